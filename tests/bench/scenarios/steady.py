"""One collector at even rates: CPU per entry, and latency from the exchange's socket to a consumer of the stream.

Beside it a bare reader of the same frames, and one that writes each into a stream: what no Python process can be faster
than.
"""

from tests.bench.measuring import Steadily, bare_steady, floor_steady, steady
from tests.bench.party import kinds_of, our_trades
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row, ratio


def measure(site: Site, plan: Plan) -> Row:
    """A row for each rate, transport, and TLS or not; ``p99_over_bare`` relates it to the bare reader.

    ``floor`` is that of a bare reader that writes, without TLS.
    """
    rows: list[Row] = []
    bare: list[Row] = []
    floors: list[Row] = []
    for rate in plan.rates:
        how = Steadily(rate, plan.warm_s, plan.steady_s)
        site.say(f"steady {rate}/s bare reader that writes")
        floors.append({"rate": rate, "tls": False, **floor_steady(site, how)})
        for tls in (False, True):
            place = f"{rate}/s{' TLS' if tls else ''}"
            site.say(f"steady {place} bare reader")
            reader = bare_steady(site, how, tls=tls)
            bare.append({"rate": rate, "tls": tls, **reader})
            for transport, express in kinds_of(plan.transports, tls=tls):
                site.say(f"steady {place} {transport}{'' if express else ' interpreted'}")
                figures = steady(site, our_trades(transport, express=express), how, tls=tls)
                over = {"p99_over_bare": ratio(_p99(figures), _p99(reader))}
                rows.append({"rate": rate, "tls": tls, "transport": transport, "express": express, **figures, **over})
    return {"seconds": plan.steady_s, "rows": rows, "bare": bare, "floor": floors}


def _p99(figures: Row) -> float:
    latency = figures["latency_us"]
    return float(latency["p99"]) if isinstance(latency, dict) else 0.0
