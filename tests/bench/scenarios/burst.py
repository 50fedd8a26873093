"""One collector, as fast as it reads: each transport, plain and with TLS."""

from tests.bench import measuring
from tests.bench.party import our_trades
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row, medians


def measure(site: Site, plan: Plan) -> Row:
    """Medians over rounds, and the rounds; transports take turns, so that a drift of the machine hits all."""
    kinds = [(transport, tls) for tls in (False, True) for transport in plan.transports]
    rounds: dict[tuple[str, bool], list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(1, plan.rounds + 1):
        for transport, tls in kinds:
            site.say(f"burst {number}/{plan.rounds} {transport}{' TLS' if tls else ''}")
            rounds[transport, tls].append(measuring.burst(site, our_trades(transport), plan.burst_trades, tls=tls))
    rows = [
        {"transport": transport, "tls": tls, **medians(rounds[transport, tls]), "rounds": rounds[transport, tls]}
        for transport, tls in kinds
    ]
    return {"trades": plan.burst_trades, "rows": rows}
