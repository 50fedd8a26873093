"""Memory of one collector: idle, under a load, and whether it grows over a million trades."""

import time
from typing import Any

from tests.bench.measuring import Observed, Reading, observed
from tests.bench.party import our_trades
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row

_LOADED_RATE = 1_000
_SAMPLES = 20
_ARRIVAL_S = 60.0


def measure(site: Site, plan: Plan) -> Row:
    """MiB for each transport; ``series`` holds trades published and memory then.

    ``growth_mib`` is from the first of the series, a twentieth of all trades, to its last, of what only this process
    has: what it shares counts for more when others end.
    """
    rows: list[dict[str, Any]] = []
    for transport in plan.transports:
        figures: dict[str, Any] = {"transport": transport}
        for name, measured in (("idle", _idle), ("loaded", _loaded), ("million", _series)):
            site.say(f"memory {name} {transport}")
            figures |= measured(site, plan, transport)
        rows.append(figures)
    return {
        "loaded_rate": _LOADED_RATE,
        "trades": plan.memory_trades,
        "growth_mib": rows[0]["growth_mib"],
        "rows": rows,
    }


def _idle(site: Site, plan: Plan, transport: str) -> Row:
    """Connected and subscribed; not one frame comes."""
    party = our_trades(transport)
    with site.run() as run:
        process = party.start(run, run.load(0, rate=1))
        with observed(run, party, process) as seen:
            seen.wait_entry(_ARRIVAL_S)
            time.sleep(plan.idle_s)
            return {f"idle_{name}": figure for name, figure in seen.memory().items()}


def _loaded(site: Site, plan: Plan, transport: str) -> Row:
    party = our_trades(transport)
    seconds = plan.warm_s + plan.steady_s
    with site.run() as run:
        load = run.load(int((seconds + 1) * _LOADED_RATE), rate=_LOADED_RATE)
        with observed(run, party, party.start(run, load)) as seen:
            seen.wait(int(seconds * _LOADED_RATE), _ARRIVAL_S + seconds)
            return {f"loaded_{name}": figure for name, figure in seen.memory().items()}


def _series(site: Site, plan: Plan, transport: str) -> Row:
    """As fast as it reads; memory at even distances, and at the end."""
    party = our_trades(transport)
    step = plan.memory_trades // _SAMPLES
    with site.run() as run:
        load = run.load(plan.memory_trades)
        with observed(run, party, party.start(run, load)) as seen:
            series = [_sample(seen, seen.wait(at, _ARRIVAL_S)) for at in range(step, plan.memory_trades + 1, step)]
    return {"series": series, "growth_mib": round(series[-1]["uss_mib"] - series[0]["uss_mib"], 1)}


def _sample(seen: Observed, reading: Reading) -> dict[str, float]:
    return {"trades": reading.done, **seen.memory()}
