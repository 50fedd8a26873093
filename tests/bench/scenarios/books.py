"""A book of 400 levels a side that changes some 20 levels at a time: CPU per change, memory, latency."""

from tests.bench.measuring import Steadily, steady
from tests.bench.party import our_book
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row


def measure(site: Site, plan: Plan) -> Row:
    """A row for each rate of changes and transport."""
    rows: list[Row] = []
    for rate in plan.book_rates:
        for transport in plan.transports:
            site.say(f"books {rate}/s {transport}")
            figures = steady(site, our_book(transport), Steadily(rate, plan.warm_s, plan.steady_s), tls=False)
            rows.append({"rate": rate, "transport": transport, **figures})
    return {"seconds": plan.steady_s, "rows": rows}
