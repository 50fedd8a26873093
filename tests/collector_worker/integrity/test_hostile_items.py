"""Between good items come others, with any number and any time. The good ones are published again within the wait."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.integrity.flows import CandleFlow, TradeFlow
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tickfleet.contract.coverage import State, intervals
from tickfleet.contract.events import Candle, Trade
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import INTERVAL_S, length_ns, number_at, opens_at

S = 1_000_000_000
WAIT_S = 60
FIRST = 5_000_000
PAGE = 100

offsets_ns = st.sampled_from([0, 30 * S, -30 * S, 59 * S, 3_600 * S, -86_400 * S, 5_000_000_000 * S])
hostile_numbers = st.one_of(
    st.integers(-150, 150), st.integers(-6_000, 6_000), st.sampled_from([-4_999_999, 999_999_999, 10**15])
)
hostile_trades = st.tuples(st.just("hostile"), hostile_numbers, offsets_ns)
good = st.tuples(st.sampled_from(["good", "good", "lost"]), st.just(0), st.just(0))
steps = st.lists(st.one_of(good, hostile_trades), max_size=25)


class Exchange:
    """A trade and a second, a bar and a minute: what really was, for the socket and for an honest REST."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rig = FlowRig(clock)
        self.trades: list[Trade] = []
        self.trade_flow = self.rig.trades(FIRST, clock.now_ns())

    def next(self) -> Trade:
        self.clock.advance(1.0)
        now = self.clock.now_ns()
        number = FIRST + 1 + len(self.trades)
        self.trades.append(Trade(now - S // 10, now, str(number), "1.5", "0.1", "buy"))
        return self.trades[-1]

    def serve(self, trade_flow: TradeFlow) -> None:
        """What the backfiller does, once."""
        trade_flow.pass_time()
        for _ in range(5):
            number = trade_flow.request()
            if number is None:
                return
            trade_flow.note_missing()
            now = self.clock.now_ns()
            page = [each for each in self.trades if number <= int(each.trade_id) < number + PAGE]
            trade_flow.on_page([replace(each, ts_recv=now, origin="backfill") for each in page], more=len(page) == PAGE)
            trade_flow.pass_time()


def facts(event: Trade) -> tuple[str, int, str]:
    return event.trade_id, event.ts_event, event.price


@given(steps)
@example([("hostile", 5, 0), ("good", 0, 0), ("good", 0, 0), ("good", 0, 0), ("hostile", -1, 0)])
def test_good_trades_are_published_again_and_the_ledger_ends_in_the_past(sent: Sequence[tuple[str, int, int]]) -> None:
    clock = ManualClock()
    exchange = Exchange(clock)
    trade_flow, rig = exchange.trade_flow, exchange.rig
    for what, number, offset_ns in sent:
        each = exchange.next()
        if what == "good":
            trade_flow.on_live(each)
        elif what == "hostile":
            trade_flow.on_live(each)
            false_id = max(1, int(each.trade_id) + number)
            trade_flow.on_live(Trade(clock.now_ns() + offset_ns, clock.now_ns(), str(false_id), "666", "666", "sell"))
        exchange.serve(trade_flow)
    for _ in range(WAIT_S + 10):
        trade_flow.on_live(exchange.next())
        exchange.serve(trade_flow)
    again = len(exchange.trades)
    for _ in range(20):
        trade_flow.on_live(exchange.next())
        exchange.serve(trade_flow)

    published = [facts(event) for event in rig.events if isinstance(event, Trade) and event.price != "666"]
    assert len(published) == len(set(published)), "a trade came twice"
    assert published == sorted(published, key=lambda each: int(each[0])), "trades came out of order"
    assert published[-20:] == [facts(each) for each in exchange.trades[again:]], "good trades do not flow again"
    assert rig.state is WorkerState.RUNNING

    rig.tick()
    known = intervals(rig.entries, DataType.TRADE)
    assert known[-1].to_ts <= clock.now_ns()
    taken = {
        event.trade_id for event in rig.events if isinstance(event, Trade)
    }  # a false one in its place cannot be told
    missing = [facts(each) for each in exchange.trades if each.trade_id not in taken]
    vouched = [part for part in known if part.state in (State.COMPLETE, State.FILLED)]
    said = [each for each in missing for part in vouched if part.from_ts <= each[1] < part.to_ts]
    assert not said, "the ledger vouches for trades that are missing"


# --- bars -------------------------------------------------------------------------------------------------------------

MINUTE = 60 * S
bar_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["good", "lost"]), st.just(0), st.booleans()),
        st.tuples(st.just("hostile"), st.sampled_from([-100, -2, -1, 0, 1, 2, 60, 10**6, 10**9]), st.booleans()),
        st.tuples(st.just("REST"), st.sampled_from([-100, 0, 1, 2, 60, 10**6]), st.just(True)),
    ),
    max_size=12,
)


class Bars:
    """Bars of a minute: what the socket pushes, and a REST that has one false row where a test wants it."""

    def __init__(self, clock: ManualClock) -> None:
        self.false_row: int | None = None
        self.clock = clock
        self.rig = FlowRig(clock)
        self.candle_flow = self.rig.candles(clock.now_ns())
        self.start_ns = clock.now_ns()

    def bar(self, opened: int, *, closed: bool, price: str = "1") -> Candle:
        now = self.clock.now_ns()
        return Candle(
            ts_event=opened, ts_recv=now, interval="1m", open_time=opened, close_time=opened + MINUTE,
            open=price, high=price, low=price, close=price, volume="1", closed=closed,
        )  # fmt: skip

    def minute(self, *, reaches_us: bool) -> None:
        """One bar from its opening to its end, half a second later."""
        opened = self.clock.now_ns() // MINUTE * MINUTE
        for _ in range(6):
            self.clock.advance(10.0)
            if reaches_us and self.clock.now_ns() < opened + MINUTE:
                self.candle_flow.on_live(self.bar(opened, closed=False))
            self.serve(self.candle_flow)
        self.clock.advance(0.5)
        if reaches_us:
            self.candle_flow.on_live(self.bar(opened, closed=True))
        self.clock.advance(-0.5)
        self.serve(self.candle_flow)

    def serve(self, candle_flow: CandleFlow) -> None:
        candle_flow.pass_time()
        for _ in range(5):
            number = candle_flow.request()
            if number is None:
                return
            candle_flow.note_missing()
            opened, now = candle_flow.sequence.opens_at(number), self.clock.now_ns()
            closed = range(max(opened, self.start_ns), now - MINUTE + 1, MINUTE)[:PAGE]
            page = [self.bar(each, closed=True) for each in closed]
            if self.false_row is not None:
                opened = max(0, now // MINUTE + self.false_row) * MINUTE
                page += [] if opened in closed else [self.bar(opened, closed=True, price="667")]
            candle_flow.on_page(sorted(page, key=lambda bar: bar.open_time), more=len(closed) == PAGE)
            candle_flow.pass_time()


def test_a_bar_called_closed_before_its_end_is_taken_from_rest() -> None:
    bars = Bars(ManualClock())
    bars.candle_flow.on_live(bars.bar(bars.start_ns, closed=True, price="666"))
    assert bars.rig.events == []
    bars.minute(reaches_us=True)
    bars.minute(reaches_us=True)
    assert {event.close for event in bars.rig.events if isinstance(event, Candle)} == {"1"}


@pytest.mark.parametrize("interval", INTERVAL_S)
def test_a_bar_of_any_length_is_closed_at_its_end_as_far_as_clocks_differ(interval: str) -> None:
    length = length_ns(interval)
    early = min(2 * S, length // 2)
    clock = ManualClock()
    rig = FlowRig(clock)
    number = number_at(interval, clock.now_ns()) + 1
    clock.advance((opens_at(interval, number) - clock.now_ns()) / S)
    candle_flow = rig.candles(clock.now_ns(), interval)

    def closed(number: int, close: str) -> Candle:
        opened, now = opens_at(interval, number), clock.now_ns()
        return Candle(
            ts_event=now, ts_recv=now, interval=interval, open_time=opened, close_time=opened + length,
            open="1", high="9", low="1", close=close, volume="1", closed=True,
        )  # fmt: skip

    candle_flow.on_live(closed(number, "6"))
    candle_flow.on_live(closed(number + 1, "6"))
    clock.advance((length - early) / S - 0.001)
    candle_flow.on_live(closed(number, "6"))
    assert rig.events == []
    clock.advance(0.001)
    candle_flow.on_live(closed(number, "1"))
    assert [(event.open_time, event.close) for event in rig.events if isinstance(event, Candle)] == [
        (opens_at(interval, number), "1")
    ]
    assert candle_flow.next_at_s is not None, "REST is asked for what was called closed too early"


@pytest.mark.parametrize("said", ["running", "other figures", "the same"])
def test_a_bar_from_the_future_is_published_where_socket_and_rest_agree(said: str) -> None:
    """Our clock is four minutes behind."""
    bars = Bars(ManualClock())
    ahead = [bars.start_ns + each * MINUTE for each in range(4)]
    for opened in ahead[:-1]:
        bars.candle_flow.on_live(bars.bar(opened, closed=True))
    bars.candle_flow.on_live(
        bars.bar(ahead[-1], closed=said != "running", price="2" if said == "other figures" else "1")
    )
    bars.candle_flow.on_page([bars.bar(opened, closed=True) for opened in ahead], more=False)
    published = [event.open_time for event in bars.rig.events if isinstance(event, Candle) and event.closed]
    assert published == (ahead if said == "the same" else ahead[:-1])


@pytest.mark.parametrize("left_s", [59.0, 1.5, 0.001])
def test_rest_alone_closes_no_bar_before_its_end(left_s: float) -> None:
    """As a page of Binance does that has a row of a later bar."""
    bars = Bars(ManualClock())
    bars.clock.advance(60.0 - left_s)
    bars.candle_flow.on_page([bars.bar(bars.start_ns, closed=True, price="667")], more=False)
    assert bars.rig.events == []
    bars.clock.advance(left_s)
    bars.candle_flow.on_page([bars.bar(bars.start_ns, closed=True)], more=False)
    assert [event.close for event in bars.rig.events if isinstance(event, Candle)] == ["1"]


@pytest.mark.parametrize("behind_s", [0, 1, 30, 59, 61, 90, 300])
def test_a_clock_that_is_behind_costs_no_bar(behind_s: int) -> None:
    """Socket and REST say the same of bars whose end our clock does not know yet."""
    bars = Bars(ManualClock())
    bars.start_ns += (behind_s * S // MINUTE + 1) * MINUTE
    bars.candle_flow = bars.rig.candles(bars.start_ns)
    bars.clock.advance((bars.start_ns - bars.clock.now_ns()) / S - behind_s)
    opened_at = [bars.start_ns + minute * MINUTE for minute in range(30)]
    for opened in opened_at:
        for second in range(10, 61, 10):
            bars.clock.advance(10.0)
            bars.candle_flow.on_live(bars.bar(opened, closed=second == 60))
            bars.candle_flow.pass_time()
            while (number := bars.candle_flow.request()) is not None:
                bars.candle_flow.note_missing()
                first = bars.candle_flow.sequence.opens_at(number)
                ended = range(first, opened + MINUTE * (second == 60), MINUTE)
                bars.candle_flow.on_page([bars.bar(each, closed=True) for each in ended], more=False)
    published = [event.open_time for event in bars.rig.events if isinstance(event, Candle) and event.closed]
    assert published in (opened_at, opened_at[:-1])
    assert bars.rig.beat.gaps == 0


@given(bar_steps)
@example([("hostile", 2, False), ("REST", 1, True), ("REST", 1, True)])
def test_good_bars_are_published_again_and_the_ledger_ends_in_the_past(sent: Sequence[tuple[str, int, bool]]) -> None:
    clock = ManualClock()
    bars = Bars(clock)
    for what, ahead, closed in sent:
        if what == "hostile":
            opened = clock.now_ns() // MINUTE * MINUTE + ahead * MINUTE
            bars.candle_flow.on_live(bars.bar(max(0, opened), closed=closed, price="666"))
        bars.false_row = ahead if what == "REST" else None
        bars.minute(reaches_us=what in ("good", "hostile"))
    bars.false_row = None
    for _ in range(4):
        bars.minute(reaches_us=True)
    ended = clock.now_ns()
    for _ in range(5):
        bars.minute(reaches_us=True)
    closed_bars = [event for event in bars.rig.events if isinstance(event, Candle) and event.closed]
    opened_at = [event.open_time for event in closed_bars]
    assert opened_at == sorted(set(opened_at)), "a closed bar came twice or out of order"
    assert [at for at in opened_at if at >= ended] == [*range(ended, ended + 5 * MINUTE, MINUTE)]
    assert bars.rig.state is WorkerState.RUNNING
    bars.rig.tick()
    known = intervals(bars.rig.entries, DataType.CANDLES, "1m")
    assert known[-1].to_ts <= clock.now_ns()
    there = set(opened_at)
    missing = [at for at in range(bars.start_ns, clock.now_ns(), MINUTE) if at not in there]
    vouched = [part for part in known if part.state in (State.COMPLETE, State.FILLED)]
    said = [at for at in missing for part in vouched if part.from_ts <= at < part.to_ts]
    assert not said, "the ledger vouches for bars that are missing"
