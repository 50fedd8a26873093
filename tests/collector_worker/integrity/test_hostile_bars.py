"""Between good bars come others, and runs are killed. The good ones are published again within the wait."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector_worker.integrity.flows import CandleFlow
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tests.support.run_rig import Runs
from tickfleet.contract.coverage import State
from tickfleet.contract.events import Candle, Gap
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import INTERVAL_S, length_ns, number_at, opens_at

S = 1_000_000_000
MINUTE = 60 * S
WAIT_S = 60
PAGE = 100
UNSENT = 6
"""Entries that Redis has not taken yet at any time."""
FALSE = ("666", "667")
"""Prices of what the exchange has not sent: over the socket, and by REST."""

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["good", "lost"]), st.just(0), st.booleans()),
        st.tuples(st.just("hostile"), st.sampled_from([-100, -2, -1, 0, 1, 2, 60, 10**6, 10**9]), st.booleans()),
        st.tuples(st.just("REST"), st.sampled_from([-100, 0, 1, 2, 60, 10**6]), st.just(True)),
        st.tuples(st.just("killed"), st.integers(0, UNSENT), st.booleans()),
    ),
    max_size=12,
)


class Bars:
    """Bars of one length: what the socket pushes, and a REST that has one false row where a test wants it."""

    def __init__(self, clock: ManualClock, interval: str = "1m") -> None:
        self.false_row: int | None = None
        self.interval = interval
        self.length_ns = length_ns(interval)
        self.clock = clock
        self.runs = Runs(clock, DataType.CANDLES, interval=interval)
        self.start_ns = clock.now_ns()
        parts = 6 if self.length_ns >= MINUTE else 2
        self.moments_ns = sorted(
            {at for at in (S, 4 * S, 10 * S, 70 * S) if at < self.length_ns}
            | {self.length_ns * part // parts for part in range(1, parts + 1)}
        )
        """When within a bar it is pushed and REST is asked."""

    @property
    def candle_flow(self) -> CandleFlow:
        """What the run of now makes of them."""
        return self.runs.candles[self.interval]

    def bar(self, opened: int, *, closed: bool, price: str = "1") -> Candle:
        """The bar that opens then, as it comes now."""
        now = self.clock.now_ns()
        return Candle(
            ts_event=opened, ts_recv=now, interval=self.interval, open_time=opened, close_time=opened + self.length_ns,
            open=price, high=price, low=price, close=price, volume="1", closed=closed,
        )  # fmt: skip

    def next(self, *, reaches_us: bool, killed: int | None = None) -> None:
        """One bar from its opening to its end, half a second later; the run may be killed in its midst."""
        opened = self.clock.now_ns() // self.length_ns * self.length_ns
        for at in self.moments_ns:
            self.clock.advance((opened + at - self.clock.now_ns()) / S)
            if reaches_us and self.clock.now_ns() < opened + self.length_ns:
                self.candle_flow.on_live(self.bar(opened, closed=False))
            if killed is not None and at >= self.length_ns // 2:
                self.runs.kill(unsent=killed)
                killed = None
            self.serve()
        self.clock.advance(0.5)
        if reaches_us:
            self.candle_flow.on_live(self.bar(opened, closed=True))
        self.clock.advance(-0.5)
        self.serve()

    def serve(self) -> None:
        """What the backfiller does, once."""
        candle_flow = self.candle_flow
        candle_flow.pass_time()
        for _ in range(5):
            number = candle_flow.request()
            if number is None:
                break
            candle_flow.note_missing()
            opened, now = candle_flow.sequence.opens_at(number), self.clock.now_ns()
            closed = range(max(opened, self.start_ns), now - self.length_ns + 1, self.length_ns)[:PAGE]
            page = [self.bar(each, closed=True) for each in closed]
            if self.false_row is not None:
                opened = max(0, now // self.length_ns + self.false_row) * self.length_ns
                page += [] if opened in closed else [self.bar(opened, closed=True, price=FALSE[1])]
            candle_flow.on_page(sorted(page, key=lambda bar: bar.open_time), more=len(closed) == PAGE)
            candle_flow.pass_time()
        self.runs.send(UNSENT)
        self.runs.check_ledger()


def test_a_bar_called_closed_before_its_end_is_taken_from_rest() -> None:
    bars = Bars(ManualClock())
    bars.candle_flow.sequence.restore(bars.start_ns)
    bars.candle_flow.on_live(bars.bar(bars.start_ns, closed=True, price="666"))
    bars.runs.settle()
    assert bars.runs.published(Candle) == []
    bars.next(reaches_us=True)
    bars.next(reaches_us=True)
    assert {event.close for event in bars.runs.published(Candle)} == {"1"}


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
    bars.candle_flow.sequence.restore(bars.start_ns)
    ahead = [bars.start_ns + each * MINUTE for each in range(4)]
    for opened in ahead[:-1]:
        bars.candle_flow.on_live(bars.bar(opened, closed=True))
    bars.candle_flow.on_live(
        bars.bar(ahead[-1], closed=said != "running", price="2" if said == "other figures" else "1")
    )
    bars.candle_flow.on_page([bars.bar(opened, closed=True) for opened in ahead], more=False)
    bars.runs.settle()
    published = [event.open_time for event in bars.runs.published(Candle) if event.closed]
    assert published == (ahead if said == "the same" else ahead[:-1])


@pytest.mark.parametrize("left_s", [59.0, 1.5, 0.001])
def test_rest_alone_closes_no_bar_before_its_end(left_s: float) -> None:
    """As a page of Binance does that has a row of a later bar."""
    bars = Bars(ManualClock())
    bars.candle_flow.sequence.restore(bars.start_ns)
    bars.clock.advance(60.0 - left_s)
    bars.candle_flow.on_page([bars.bar(bars.start_ns, closed=True, price="667")], more=False)
    bars.runs.settle()
    assert bars.runs.published(Candle) == []
    bars.clock.advance(left_s)
    bars.candle_flow.on_page([bars.bar(bars.start_ns, closed=True)], more=False)
    bars.runs.settle()
    assert [event.close for event in bars.runs.published(Candle)] == ["1"]


@pytest.mark.parametrize("behind_s", [0, 1, 30, 59, 61, 90, 300])
def test_a_clock_that_is_behind_costs_no_bar(behind_s: int) -> None:
    """Socket and REST say the same of bars whose end our clock does not know yet."""
    bars = Bars(ManualClock())
    bars.start_ns += (behind_s * S // MINUTE + 1) * MINUTE
    bars.candle_flow.sequence.restore(bars.start_ns)
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
    bars.runs.settle()
    published = [event.open_time for event in bars.runs.published(Candle) if event.closed]
    assert published in (opened_at, opened_at[:-1])
    assert bars.runs.published(Gap) == []


@pytest.mark.parametrize("interval", ["1s", "1m", "1h"])
@settings(max_examples=50)
@given(sent=steps)
@example([("hostile", 2, False), ("REST", 1, True), ("REST", 1, True)])
@example([("killed", 3, False), ("hostile", 60, False), ("killed", 0, False)])
@example([("good", 0, True), ("lost", 0, True), ("killed", 1, True), ("REST", 1, True), ("killed", 0, False)])
def test_good_bars_are_published_again_and_the_ledger_ends_in_the_past(
    interval: str, sent: Sequence[tuple[str, int, bool]]
) -> None:
    clock = ManualClock()
    bars = Bars(clock, interval)
    runs, length = bars.runs, bars.length_ns
    bars.next(reaches_us=True)
    for what, number, flag in sent:
        if what == "hostile":
            opened = (clock.now_ns() // length + number) * length
            bars.candle_flow.on_live(bars.bar(max(0, opened), closed=flag, price=FALSE[0]))
        bars.false_row = number if what == "REST" else None
        if what == "killed":
            bars.next(reaches_us=flag, killed=number)
        else:
            bars.next(reaches_us=what in ("good", "hostile"))
    bars.false_row = None
    for _ in range(max(4, (WAIT_S + 10) * S // length)):
        bars.next(reaches_us=True)
    ended = clock.now_ns()
    for _ in range(5):
        bars.next(reaches_us=True)
    runs.settle()
    opened_at = [event.open_time for event in runs.published(Candle) if event.closed]
    assert opened_at == sorted(set(opened_at)), "a closed bar came twice or out of order"
    assert [at for at in opened_at if at >= ended] == [*range(ended, ended + 5 * length, length)]
    assert runs.state is WorkerState.RUNNING
    known = runs.intervals(DataType.CANDLES, interval)
    assert known[-1].to_ts <= clock.now_ns()
    there = set(opened_at)
    missing = [at for at in range(bars.start_ns, clock.now_ns(), length) if at not in there]
    confirmed = [part for part in known if part.state in (State.COMPLETE, State.FILLED)]
    said = [at for at in missing for part in confirmed if part.from_ts <= at < part.to_ts]
    assert not said, "the ledger confirms bars that are missing"
