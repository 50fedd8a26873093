"""One collector at even rates: CPU per entry, and latency from the exchange's socket to a consumer of the stream.

Beside it a bare reader of the same frames, and one that writes each into a stream: what no Python process can be faster
than.
"""

from tests.bench.measuring import Steadily, bare_steady, floor_steady, steady
from tests.bench.party import kinds_of, our_trades
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row


def measure(site: Site, plan: Plan) -> Row:
    """A row for each rate, transport, and TLS or not; ``floor`` is that of a bare reader that writes, without TLS."""
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
            bare.append({"rate": rate, "tls": tls, **bare_steady(site, how, tls=tls)})
            for transport, fast_path in kinds_of(plan.transports, tls=tls):
                site.say(f"steady {place} {transport}{'' if fast_path else ' interpreted'}")
                figures = steady(site, our_trades(transport, fast_path=fast_path), how, tls=tls)
                rows.append({"rate": rate, "tls": tls, "transport": transport, "fast_path": fast_path, **figures})
    return {"seconds": plan.steady_s, "rows": rows, "bare": bare, "floor": floors}
