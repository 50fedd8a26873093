"""cryptofeed 2.4 and us on the same frames, with the same Redis, in the order A B A B."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import measuring
from tests.bench.measuring import Steadily
from tests.bench.party import Party, entries_added, our_trades
from tests.bench.peer_setup import PeerMissingError, peer_python, peer_versions
from tests.bench.plan import Plan
from tests.bench.site import LoadProcess, Run, Site
from tests.bench.stats import Row, medians, times_better
from tests.support.processes import ROOT, Process

RATE = 1_000
_COMPARED = {
    "burst_entries_per_s": True,
    "burst_cpu_us_per_entry": False,
    "burst_pss_mib": False,
    "steady_cpu_us_per_entry": False,
    "steady_latency_p50_us": False,
    "steady_latency_p99_us": False,
    "steady_latency_p99_9_us": False,
    "steady_pss_mib": False,
}
"""Figures that are compared, and whether more of it is better."""

_OURS, _PEER = "tickfleet", "cryptofeed"
_TURNS = 2


def measure(site: Site, plan: Plan) -> Row:
    """The figures of both, medians over the turns, and how many times better ours are."""
    try:
        python = peer_python()
    except PeerMissingError as missing:
        return {"missing": str(missing)}
    parties = {_OURS: our_trades(plan.transports[0]), _PEER: _peer(python)}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in parties}
    for number in range(1, _TURNS + 1):
        for name, party in parties.items():
            site.say(f"peer {number}/{_TURNS} {name}")
            turns[name].append(_turn(site, plan, party))
    figures = {name: medians(rounds) for name, rounds in turns.items()}
    return {
        "trades": plan.burst_trades,
        "rate": RATE,
        "transport": plan.transports[0],
        "versions": peer_versions(python),
        **figures,
        "times_better": times_better(figures[_OURS], figures[_PEER], _COMPARED),
        "turns": turns,
    }


def _turn(site: Site, plan: Plan, party: Party) -> dict[str, float]:
    burst = measuring.burst(site, party, plan.burst_trades, tls=False)
    steady = measuring.steady(site, party, Steadily(RATE, plan.warm_s, plan.peer_steady_s), tls=False)
    return {**_of("burst", burst), **_of("steady", steady)}


def _of(name: str, figures: Mapping[str, object]) -> dict[str, float]:
    """Figures under one name, those of latencies with their unit."""
    flat: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_latency_{part}_us": float(figure) for part, figure in value.items()}
        elif isinstance(value, int | float):
            flat[f"{name}_{key}"] = float(value)
    return flat


def _peer(python: Path) -> Party:
    return Party("websockets", "trades", "trades-OKX-BTC-USDT", "id", entries_added, _start(python))


def _start(python: Path) -> Callable[[Run, LoadProcess], Process]:
    def start(run: Run, load: LoadProcess) -> Process:
        script = ROOT / "tests" / "bench" / "peer_cryptofeed.py"
        command = [str(python), "-I", str(script), str(load.port), str(run.site.redis.port)]
        process = Process(command, run.folder / "peer.log")
        return run.keep(process, process.stop)

    return start
