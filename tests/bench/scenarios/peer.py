"""cryptofeed 2.4 and us on the same frames, with the same Redis, in the order A B A B: entries, CPU and memory.

How late entries are is the affair of ``latency``, whose turns are more and shorter.
"""

from collections.abc import Mapping

from tests.bench import measuring
from tests.bench.measuring import Steadily
from tests.bench.party import Party, our_trades, peer_trades
from tests.bench.peer_setup import PeerMissingError, peer_python, peer_versions
from tests.bench.plan import RATE, Plan
from tests.bench.site import Site
from tests.bench.stats import Row, medians, times_better

_COMPARED = {
    "burst_entries_per_s": True,
    "burst_cpu_us_per_entry": False,
    "burst_pss_mib": False,
    "steady_cpu_us_per_entry": False,
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
    parties = {_OURS: our_trades(plan.transports[0]), _PEER: peer_trades(python)}
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
    """Figures under one name."""
    return {f"{name}_{key}": float(value) for key, value in figures.items() if isinstance(value, int | float)}
