"""How late entries are at 1,000 frames a second, of all who are compared, in turns: A B C D A B C D and so on.

Who is measured minutes later meets another machine. So each takes many turns of some seconds, and what counts is the
median over the turns: a stretch in which the machine had other things to do spoils a turn or two, and no comparison.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct, convert, to_builtins

from tests.bench.forwarder import CompilerMissingError, build_forwarder
from tests.bench.measuring import Steadily, bare_steady, steady
from tests.bench.party import Party, forwarder_trades, kinds_of, our_trades, peer_trades
from tests.bench.peer_setup import PeerMissingError, peer_python
from tests.bench.plan import RATE, Plan
from tests.bench.site import Site
from tests.bench.stats import Row, medians

_OURS, _BARE = "tickfleet", "bare reader"
_OTHERS: Mapping[str, Callable[[], Party]] = {
    "cryptofeed": lambda: peer_trades(peer_python()),
    "forwarder in C": lambda: forwarder_trades(build_forwarder()),
}
"""Who is not there on every machine."""


class Turn(Struct, frozen=True):
    """What one turn gave.

    Attributes:
        cpu_us_per_entry: Of a reader that writes none: per frame.
        latency_us: By percentile.
    """

    cpu_us_per_entry: float
    latency_us: dict[str, float]


def measure(site: Site, plan: Plan) -> Row:
    """A row for each: medians over its turns, and the turns; ``missing`` says who is not there, and why."""
    how = Steadily(RATE, plan.warm_s, plan.latency_s)
    transport, fast_path = kinds_of(plan.transports, tls=False)[0]
    others, missing = _others()
    ways: dict[str, Callable[[], Turn]] = {
        _OURS: partial(_turn, site, our_trades(transport, fast_path=fast_path), how),
        **{who: partial(_turn, site, party, how) for who, party in others.items()},
        _BARE: partial(_bare_turn, site, how),
    }
    kinds = {_OURS: {"transport": transport, "fast_path": fast_path}}
    turns = in_turns(ways, plan.latency_turns, site.say)
    rows = [{"who": who, **kinds.get(who, {}), **over(taken)} for who, taken in turns.items()]
    return {"rate": RATE, "seconds": plan.latency_s, "rows": rows, **({"missing": missing} if missing else {})}


def in_turns(ways: Mapping[str, Callable[[], Turn]], count: int, say: Callable[[str], None]) -> dict[str, list[Turn]]:
    """The turns of each, so many, one after the other and then again."""
    found: dict[str, list[Turn]] = {who: [] for who in ways}
    for number in range(1, count + 1):
        for who, way in ways.items():
            say(f"latency {number}/{count} {who}")
            found[who].append(way())
    return found


def over(turns: Sequence[Turn]) -> Row:
    """The median of each figure over some turns, and the turns. Pure."""
    return {
        "cpu_us_per_entry": round(statistics.median(turn.cpu_us_per_entry for turn in turns), 2),
        "latency_us": medians([turn.latency_us for turn in turns]),
        "turns": to_builtins(turns),
    }


def _others() -> tuple[dict[str, Party], dict[str, str]]:
    """Who of the others is there; and why the rest is not."""
    there: dict[str, Party] = {}
    missing: dict[str, str] = {}
    for who, made in _OTHERS.items():
        try:
            there[who] = made()
        except (PeerMissingError, CompilerMissingError) as error:
            missing[who] = str(error)
    return there, missing


def _turn(site: Site, party: Party, how: Steadily) -> Turn:
    figures = steady(site, party, how, tls=False)
    return convert({name: figures[name] for name in Turn.__struct_fields__}, Turn)


def _bare_turn(site: Site, how: Steadily) -> Turn:
    figures = bare_steady(site, how, tls=False)
    return convert({**figures, "cpu_us_per_entry": figures["cpu_us_per_frame"]}, Turn)
