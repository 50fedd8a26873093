"""How long from the start of the program to the first trade that a consumer can read, and how much of it is imports."""

import statistics
import subprocess
import sys
import time
from typing import Any

from tests.bench.party import our_trades
from tests.bench.plan import Plan
from tests.bench.redis_wire import RedisWire
from tests.bench.site import Site
from tests.bench.stats import Row
from tests.support.processes import ROOT

_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000
_RATE = 100
_TRADES = 3_000
_NOTHING, _IMPORTS = "import os; os._exit(0)", "import collector_worker.__main__, os; os._exit(0)"


def measure(site: Site, plan: Plan) -> Row:
    """Medians and worst of some starts, ms; ``python_ms`` is that of an interpreter that does nothing.

    ``first_entry_s`` is that of the default transport.
    """
    rows: list[dict[str, Any]] = []
    for transport in plan.transports:
        site.say(f"start {plan.starts} times {transport}")
        rows.append({"transport": transport, **_spread([_first_trade_ms(site, transport) for _ in range(plan.starts)])})
    site.say("start of the interpreter, and imports")
    python_ms = statistics.median(_program_ms(_NOTHING) for _ in range(plan.starts))
    with_imports_ms = statistics.median(_program_ms(_IMPORTS) for _ in range(plan.starts))
    parts = {"python_ms": round(python_ms, 1), "imports_ms": round(with_imports_ms - python_ms, 1)}
    return {"starts": plan.starts, "first_entry_s": round(rows[0]["median_ms"] / _MS_PER_S, 3), **parts, "rows": rows}


def _spread(figures: list[float]) -> dict[str, float]:
    return {"median_ms": round(statistics.median(figures), 1), "max_ms": round(max(figures), 1)}


def _first_trade_ms(site: Site, transport: str) -> float:
    party = our_trades(transport)
    with site.run() as run:
        load = run.load(_TRADES, rate=_RATE)
        redis = run.keep(RedisWire(site.redis.port), lambda: redis.close())
        began_ns = time.monotonic_ns()
        party.start(run, load)
        position: bytes | str = "0-0"
        while True:
            ((_, entries),) = redis.call("XREAD", "BLOCK", 0, "STREAMS", party.key, position)
            if any(party.field.encode() in fields for _, fields in entries):
                return (time.monotonic_ns() - began_ns) / _NS_PER_MS
            position = entries[-1][0]


def _program_ms(code: str) -> float:
    began_ns = time.monotonic_ns()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    return (time.monotonic_ns() - began_ns) / _NS_PER_MS
