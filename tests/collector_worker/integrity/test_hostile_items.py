"""Between good trades and tickers come others, and runs are killed. The good ones are published again in time."""

from collections.abc import Sequence
from itertools import islice, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.integrity.tickers import AHEAD_NS
from tests.support.clock import ManualClock
from tests.support.run_rig import Runs
from tickfleet.contract.coverage import State
from tickfleet.contract.events import Ticker, Trade
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType

S = 1_000_000_000
WAIT_S = 60
FIRST = 5_000_000
PAGE = 100
UNSENT = 6
"""Entries that Redis has not taken yet at any time."""
FALSE = ("666", "667")
"""Prices of what the exchange has not sent: over the socket, and by REST."""

offsets_ns = st.sampled_from([0, 30 * S, -30 * S, 59 * S, 3_600 * S, -86_400 * S, 5_000_000_000 * S])
hostile_numbers = st.one_of(
    st.integers(-150, 150), st.integers(-6_000, 6_000), st.sampled_from([-4_999_999, 999_999_999, 10**15])
)
hostile_trades = st.tuples(st.sampled_from(["hostile", "REST"]), hostile_numbers, offsets_ns)
good = st.tuples(st.sampled_from(["good", "good", "lost", "gone"]), st.just(0), st.just(0))
killed = st.tuples(st.just("killed"), st.integers(0, UNSENT), st.just(0))
quiet = st.tuples(st.just("quiet"), st.just(0), st.just(0))
steps = st.lists(st.one_of(good, hostile_trades, killed, quiet), max_size=25)


class Exchange:
    """A trade or an aggregate of some, each second: what really was, for the socket and for an honest REST.

    Args:
        clock: Shows the time.
        most: Trades in an aggregate at most; 1: there are no aggregates.
    """

    def __init__(self, clock: ManualClock, most: int) -> None:
        self.clock = clock
        self.most = most
        self.runs = Runs(clock, DataType.TRADE)
        self.trades: list[Trade] = []
        self.gone = set[str]()
        """Those that REST does not know either."""
        self.false_ids = set[int]()
        """The ids of all that were false, also of those that a kill has lost."""
        self.false_row: Trade | None = None
        """What REST says beside the truth."""

    def next(self) -> Trade:
        """The next live one."""
        self.clock.advance(1.0)
        now = self.clock.now_ns()
        count = 1 + len(self.trades) % self.most
        for _ in range(count):
            number = FIRST + 1 + len(self.trades)
            self.trades.append(Trade(now - S // 10, now, str(number), "1.5", "0.1", "buy"))
        return self.trades[-1] if self.most == 1 else replace(self.trades[-1], count=str(count))

    def send(self, trade: Trade) -> None:
        """The socket brings it."""
        self.runs.router.on_event(trade)

    def false(self, number: int, offset_ns: int, price: str) -> Trade:
        """One that never was, so far above the last one."""
        number = max(1, FIRST + len(self.trades) + number)
        count = str(1 + number % self.most) if self.most > 1 and price == FALSE[0] else None
        now = self.clock.now_ns()
        trade = Trade(now + offset_ns, now, str(number), price, price, "sell", count=count)
        self.false_ids.update(ids(trade))
        return trade

    def serve(self) -> None:
        """What the backfiller does, once."""
        trade_flow = self.runs.trades
        assert trade_flow is not None
        trade_flow.pass_time()
        for _ in range(5):
            number = trade_flow.request()
            if number is None:
                break
            trade_flow.note_missing()
            page = self.page(number)
            trade_flow.on_page(page, more=len(page) >= PAGE)
            trade_flow.pass_time()
        self.runs.send(UNSENT)
        self.runs.check_ledger()

    def page(self, number: int) -> list[Trade]:
        """What REST answers."""
        now = self.clock.now_ns()
        known = (each for each in self.trades[max(0, number - FIRST - 1) :] if each.trade_id not in self.gone)
        found = [*islice(known, PAGE)]
        page = [replace(each, ts_recv=now, origin="backfill") for each in found]
        false, last = self.false_row, FIRST + len(self.trades)
        if false is not None and int(false.trade_id) > max(last, number - 1):
            page.append(replace(false, ts_recv=now, origin="backfill"))
        return page


def ids(trade: Trade) -> range:
    """The trades that one is made of."""
    last = int(trade.trade_id)
    return range(last - int(trade.count or 1) + 1, last + 1)


@pytest.mark.parametrize("most", [1, 3], ids=["trades", "aggregates"])
@settings(max_examples=50)
@given(sent=steps)
@example(sent=[("hostile", 5, 0), ("good", 0, 0), ("good", 0, 0), ("good", 0, 0), ("hostile", -1, 0)])
@example(sent=[("hostile", 3, 0), ("gone", 0, 0)])
@example(sent=[("gone", 0, 0), ("good", 0, 0), ("quiet", 0, 0), ("killed", 2, 0), ("killed", 0, 0)])
@example(sent=[*[("gone", 0, 0), ("good", 0, 0), ("killed", 0, 0)] * 2, ("quiet", 0, 0), ("killed", 3, 0)])
@example(
    sent=[
        ("hostile", 999999999, 0), *[("quiet", 0, 0), ("gone", 0, 0)] * 2, ("killed", 2, 0), ("killed", 3, 0),
        ("good", 0, 0), ("quiet", 0, 0), ("killed", 3, 0),
    ]
)  # fmt: skip
@example(sent=[*[("good", 0, 0)] * 9, ("gone", 0, 0), ("good", 0, 0), ("gone", 0, 0), ("hostile", -4, 0)])
@example(
    sent=[*[("good", 0, 0)] * 9, ("gone", 0, 0), ("good", 0, 0), ("gone", 0, 0), ("hostile", -4, 0), ("killed", 0, 0)]
)
@example(
    sent=[
        ("quiet", 0, 0), ("hostile", 999999999, 0), ("gone", 0, 0), ("quiet", 0, 0),
        ("hostile", 999999999, 0), ("hostile", 999999999, 0),
    ]
)  # fmt: skip
@example(sent=[("hostile", 14, 0), ("quiet", 0, 0), ("gone", 0, 0), *[("good", 0, 0)] * 10, ("killed", 0, 0)])
def test_good_trades_are_published_again_and_the_ledger_ends_in_the_past(
    most: int, sent: Sequence[tuple[str, int, int]]
) -> None:
    exchange = Exchange(ManualClock(), most)
    runs = exchange.runs
    exchange.send(exchange.next())
    exchange.serve()
    for what, number, offset_ns in sent:
        exchange.false_row = exchange.false(number, offset_ns, FALSE[1]) if what == "REST" else None
        each = exchange.next()
        if what in ("good", "hostile"):
            exchange.send(each)
        if what == "gone":
            exchange.gone.update(str(number) for number in ids(each))
        if what == "hostile":
            exchange.send(exchange.false(number, offset_ns, FALSE[0]))
        if what == "killed":
            runs.kill(unsent=number)
        for _ in range(7 if what == "quiet" else 0):  # what waits is given up
            exchange.clock.advance(10.0)
            exchange.serve()
        exchange.serve()
    exchange.false_row = None
    for _ in range(WAIT_S + 10):
        exchange.send(exchange.next())
        exchange.serve()
    again = len(exchange.trades)
    for _ in range(20):
        exchange.send(exchange.next())
        exchange.serve()

    runs.settle()
    published = [number for trade in runs.published(Trade) if trade.price not in FALSE for number in ids(trade)]
    assert len(published) == len(set(published)), "a trade came twice"
    assert published == sorted(published), "trades came out of order"
    flowing = [number for number in published if number > FIRST + again]
    assert flowing == [int(each.trade_id) for each in exchange.trades[again:]], "good trades do not flow again"
    assert runs.state is WorkerState.RUNNING

    known = runs.intervals(DataType.TRADE)
    assert known[-1].to_ts <= exchange.clock.now_ns()
    there = {number for trade in runs.published(Trade) for number in ids(trade)}
    """A false one in its place cannot be told, nor from when to when a hole reaches beside a false one."""
    absent = [each for each in exchange.trades if int(each.trade_id) not in there]
    holes = [
        range(
            max((number for number in there if number < int(each.trade_id)), default=FIRST),
            min(number for number in there if number > int(each.trade_id)) + 1,
        )
        for each in absent
    ]
    missing = [each for each, hole in zip(absent, holes, strict=True) if exchange.false_ids.isdisjoint(hole)]
    confirmed = [part for part in known if part.state in (State.COMPLETE, State.FILLED)]
    said = [each for each in missing for part in confirmed if part.from_ts <= each.ts_event < part.to_ts]
    assert not said, "the ledger confirms trades that are missing"


# --- tickers ----------------------------------------------------------------------------------------------------------

ticker_steps = st.lists(st.one_of(good, st.tuples(st.just("hostile"), st.just(0), offsets_ns), killed), max_size=25)


@settings(max_examples=50)
@given(ticker_steps)
@example([("good", 0, 0), ("hostile", 0, 3_600 * S), ("killed", 0, 0), ("hostile", 0, -30 * S)])
def test_good_tickers_are_published_again_and_a_run_does_not_go_back(sent: Sequence[tuple[str, int, int]]) -> None:
    clock = ManualClock()
    runs = Runs(clock, DataType.TICKER)
    arrived, begun = list[Ticker](), [0]

    def arrive(offset_ns: int, last: str) -> None:
        now = clock.now_ns()
        arrived.append(Ticker(ts_event=now + offset_ns, ts_recv=now, last=last))
        runs.router.on_event(arrived[-1])

    for what, number, offset_ns in sent:
        clock.advance(1.0)
        if what != "killed":
            arrive(offset_ns if what == "hostile" else -S // 10, FALSE[0] if what == "hostile" else "1")
        if what == "killed":
            runs.kill(number)
            begun.append(len(runs.published(Ticker)))
        runs.send(UNSENT)
        runs.check_ledger()
    for _ in range(2):
        clock.advance(1.0)
        arrive(-S // 10, "1")
        runs.send()
        runs.check_ledger()
    runs.settle()
    published = runs.published(Ticker)
    assert published[-1] == arrived[-1]
    assert [each.ts_recv for each in published] == sorted({each.ts_recv for each in published}), "one came twice"
    for first, end in pairwise([*begun, len(published)]):
        ahead = [each.ts_event > each.ts_recv + AHEAD_NS for each in published[first:end]]
        rows = zip(ahead, published[first:end], strict=True)
        times = [each.ts_recv if is_ahead else each.ts_event for is_ahead, each in rows]
        assert times == sorted(times), "a run published an older one"
    assert runs.intervals(DataType.TICKER)[-1].to_ts <= clock.now_ns()
