"""What becomes of trades and bars: in the stream, in the ledger, in the heartbeat."""

import pytest

from collector_worker.flows import CandleFlow, TradeFlow
from common.coverage import Interval, Kind, State, intervals
from common.health import WorkerState
from common.identity import DataType
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tests.support.market_items import MINUTE_NS, START_NS, bar, trade, trade_ts


@pytest.fixture
def rig(clock: ManualClock) -> FlowRig:
    return FlowRig(clock)


def live(flow: TradeFlow, *numbers: int) -> None:
    for number in numbers:
        flow.on_live(trade(number))


def page(flow: TradeFlow, *numbers: int, more: bool = False) -> None:
    flow.on_page([trade(number, fetched=True) for number in numbers], more=more)


def coverage(rig: FlowRig, data_type: DataType = DataType.TRADE, interval: str = "") -> list[tuple[int, int, State]]:
    """The ledger, folded: times in seconds since the start."""
    rig.tick()
    parts: list[Interval] = intervals(rig.entries, data_type, interval)
    return [((p.from_ts - START_NS) // 10**9, (p.to_ts - START_NS) // 10**9, p.state) for p in parts]


# --- trades -----------------------------------------------------------------------------------------------------------


def test_trades_in_order_go_straight_through(rig: FlowRig) -> None:
    live(rig.trades(10, trade_ts(10)), 11, 12, 12)
    assert rig.events == [trade(11), trade(12)]
    assert (rig.beat.duplicates_dropped, rig.beat.progress[DataType.TRADE].count, rig.looks) == (1, 2, 1)
    assert rig.state is WorkerState.RUNNING
    assert coverage(rig) == [(10, 12, State.COMPLETE)]


def test_behind_a_hole_all_waits_for_what_is_fetched(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    live(flow, 13, 14)
    assert (rig.events, rig.state, rig.looks, flow.wish()) == ([], WorkerState.CATCHING_UP, 2, None)
    rig.clock.advance(0.3)
    assert flow.wish() == 11
    flow.note_missing()
    assert coverage(rig) == [(10, 13, State.OPEN)]

    page(flow, 11, 12)
    assert rig.events == [trade(11, fetched=True), trade(12, fetched=True), trade(13), trade(14)]
    assert (rig.beat.backfilled, rig.beat.gaps, rig.state) == (2, 0, WorkerState.RUNNING)
    assert coverage(rig) == [(10, 13, State.FILLED), (13, 14, State.COMPLETE)]


def test_what_a_probe_finds_is_noted_as_filled(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    flow.probe()
    assert (flow.wish(), rig.looks) == (11, 1)
    flow.note_missing()
    page(flow, 11, 12)
    assert rig.events == [trade(11, fetched=True), trade(12, fetched=True)]
    assert rig.kinds() == [Kind.OPENED, Kind.GAP_OPENED, Kind.GAP_FILLED]
    assert coverage(rig)[0][2] is State.FILLED


def test_a_probe_that_finds_nothing_leaves_no_trace(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    flow.probe()
    flow.wish()
    flow.note_missing()
    page(flow)
    assert (rig.events, rig.kinds(), flow.wish()) == ([], [Kind.OPENED], None)


def test_what_does_not_come_in_time_is_marked_and_the_rest_goes_on(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    live(flow, 13, 15)
    rig.clock.advance(0.3)
    flow.wish()
    flow.note_missing()
    page(flow, 11)
    rig.clock.advance(60.0)
    flow.pass_time()
    gaps = [rig.gap(from_id="11", to_id="13"), rig.gap(from_id="13", to_id="15")]
    assert rig.events[:3] == [trade(11, fetched=True), gaps[0], trade(13)]
    flow.pass_time()
    assert rig.events[3:] == [gaps[1], trade(15)]
    assert (rig.beat.gaps, rig.beat.backfilled, rig.state) == (2, 1, WorkerState.RUNNING)
    assert coverage(rig) == [(10, 11, State.FILLED), (11, 15, State.LOST)]


def test_a_hole_in_the_middle_of_the_answers_is_lost_and_the_rest_filled(rig: FlowRig) -> None:
    """REST has some for good: what it has on both sides is there, what it leaves out is not."""
    flow = rig.trades(10, trade_ts(10))
    live(flow, 20)
    flow.note_missing()
    page(flow, 11, 12)
    for _ in range(6):
        flow.note_missing()
        page(flow, 16, 17, 18, 19)
    fetched = [trade(number, fetched=True) for number in (11, 12, 16, 17, 18, 19)]
    assert rig.events == [*fetched[:2], rig.gap(from_id="12", to_id="16"), *fetched[2:], trade(20)]
    assert coverage(rig) == [(10, 12, State.FILLED), (12, 16, State.LOST), (16, 20, State.FILLED)]


def test_what_finds_no_room_is_left_out_and_fetched_later(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    live(flow, 11)
    rig.publisher.without_room = True
    live(flow, 12, 13)
    rig.publisher.without_room = False
    live(flow, 14)
    assert (rig.events, rig.beat.entries_dropped, rig.state) == ([trade(11)], 2, WorkerState.CATCHING_UP)
    rig.clock.advance(0.3)
    assert flow.wish() == 12
    page(flow, 12, 13)
    assert rig.events[1:] == [trade(12, fetched=True), trade(13, fetched=True), trade(14)]


def test_a_page_that_finds_no_room_is_fetched_again(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    live(flow, 12)
    rig.publisher.without_room = True
    page(flow, 11)
    assert (rig.events, flow.wish()) == ([], None)
    rig.publisher.without_room = False
    rig.clock.advance(1.0)
    assert flow.wish() == 11
    page(flow, 11)
    assert rig.events == [trade(11, fetched=True), trade(12)]


def test_a_fetch_that_failed_is_tried_again(rig: FlowRig) -> None:
    flow = rig.trades(10, trade_ts(10))
    live(flow, 12)
    rig.clock.advance(0.3)
    assert flow.wish() == 11
    flow.failed()
    assert (flow.wish(), flow.next_at_s) == (None, rig.clock.monotonic_s() + 0.5)
    rig.clock.advance(0.5)
    assert flow.wish() == 11


def test_an_id_that_cannot_be_is_counted(rig: FlowRig) -> None:
    live(rig.trades(10), 10**17)
    assert (rig.events, rig.beat.decode_errors, rig.state) == ([], 1, WorkerState.RUNNING)


def test_an_empty_stream_has_nothing_to_look_behind(rig: FlowRig) -> None:
    """And so nothing to wait for: a look that nobody can take must not be due for ever."""
    flow = rig.trades()
    flow.probe()
    assert (flow.wish(), flow.next_at_s, rig.entries) == (None, None, [])


# --- bars -------------------------------------------------------------------------------------------------------------


def candles_at(rig: FlowRig, minute: int) -> CandleFlow:
    return rig.candles(START_NS + minute * MINUTE_NS)


def test_bars_in_order_go_straight_through(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    bars = [bar(3, closed=False), bar(3), bar(4, closed=False)]
    for each in [*bars, bar(3)]:
        flow.on_live(each)
    assert rig.events == bars
    assert (flow.name, rig.beat.duplicates_dropped, rig.state) == ("candles:1m", 1, WorkerState.RUNNING)
    assert coverage(rig, DataType.CANDLES, "1m") == [(180, 240, State.COMPLETE)]


def test_closes_that_were_missed_are_fetched(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    flow.on_live(bar(5, closed=False))
    assert (rig.events, rig.state) == ([], WorkerState.CATCHING_UP)
    rig.clock.advance(3.0)
    assert flow.wish() == START_NS // MINUTE_NS + 3
    flow.note_missing()
    flow.on_page([bar(3), bar(4)], more=False)
    assert rig.events == [bar(3), bar(4), bar(5, closed=False)]
    assert (rig.beat.backfilled, rig.state) == (2, WorkerState.RUNNING)
    assert coverage(rig, DataType.CANDLES, "1m") == [(180, 300, State.FILLED)]


def test_a_close_that_waited_does_not_count_as_fetched(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    flow.on_live(bar(4))
    flow.on_page([bar(3)], more=False)
    assert (rig.events, rig.beat.backfilled) == ([bar(3), bar(4)], 1)


def test_a_bar_that_nobody_has_is_lost_and_those_around_it_are_not(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    flow.on_live(bar(9, closed=False))
    flow.note_missing()
    flow.on_page([bar(3), bar(4)], more=False)
    for _ in range(6):
        flow.note_missing()
        flow.on_page([bar(6), bar(7), bar(8)], more=False)
    lost = rig.gap(from_ts=bar(5).open_time, to_ts=bar(6).open_time)
    assert rig.events == [bar(3), bar(4), lost, bar(6), bar(7), bar(8), bar(9, closed=False)]
    assert coverage(rig, DataType.CANDLES, "1m") == [
        (180, 300, State.FILLED), (300, 360, State.LOST), (360, 540, State.FILLED)
    ]  # fmt: skip


def test_bars_that_find_no_room_are_fetched_later(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    rig.publisher.without_room = True
    flow.on_live(bar(3))
    flow.on_page([bar(3)], more=False)
    rig.publisher.without_room = False
    flow.on_live(bar(4, closed=False))
    assert (rig.events, rig.beat.entries_dropped) == ([], 1)
    flow.on_page([bar(3)], more=False)
    assert rig.events == [bar(3), bar(4, closed=False)]


def test_bars_that_do_not_come_in_time_are_given_up(rig: FlowRig) -> None:
    flow = candles_at(rig, 3)
    flow.on_live(bar(5, closed=False))
    rig.clock.advance(60.0)
    flow.pass_time()
    assert rig.events == [rig.gap(from_ts=bar(3).open_time, to_ts=bar(5).open_time), bar(5, closed=False)]
    assert (rig.beat.gaps, coverage(rig, DataType.CANDLES, "1m")) == (1, [(180, 300, State.LOST)])
