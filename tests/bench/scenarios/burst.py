"""One collector, as fast as it reads: each transport, plain and with TLS."""

from tests.bench import measuring
from tests.bench.party import kinds_of, our_trades
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row, medians


def measure(site: Site, plan: Plan) -> Row:
    """Medians over rounds, and the rounds; transports take turns, so that a drift of the machine hits all."""
    kinds = [(*kind, tls) for tls in (False, True) for kind in kinds_of(plan.transports, tls=tls)]
    rounds: dict[tuple[str, bool, bool], list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(1, plan.rounds + 1):
        for transport, fast_path, tls in kinds:
            site.say(
                f"burst {number}/{plan.rounds} {transport}{' TLS' if tls else ''}{'' if fast_path else ' interpreted'}"
            )
            party = our_trades(transport, fast_path=fast_path)
            rounds[transport, fast_path, tls].append(measuring.burst(site, party, plan.burst_trades, tls=tls))
    rows = [
        {"transport": transport, "fast_path": fast_path, "tls": tls, **medians(measured), "rounds": measured}
        for (transport, fast_path, tls), measured in rounds.items()
    ]
    return {"trades": plan.burst_trades, "rows": rows}
