"""What becomes of trades and bars: in the stream, in the ledger, in the heartbeat."""

import pytest
from msgspec.structs import replace

from collector_worker.integrity.flows import CandleFlow, TradeFlow
from collector_worker.integrity.sequences import ELSEWHERE_TRADES
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tests.support.market_items import MINUTE_NS, START_NS, bar, trade, trade_ts
from tickfleet.contract.coverage import Interval, LedgerKind, State, intervals
from tickfleet.contract.events import Event, Trade
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType


@pytest.fixture
def rig(clock: ManualClock) -> FlowRig:
    return FlowRig(clock)


def live(trade_flow: TradeFlow, *numbers: int) -> None:
    for number in numbers:
        trade_flow.on_live(trade(number))


def page(trade_flow: TradeFlow, *numbers: int, more: bool = False) -> None:
    trade_flow.on_page([trade(number, fetched=True) for number in numbers], more=more)


def coverage(rig: FlowRig, data_type: DataType = DataType.TRADE, interval: str = "") -> list[tuple[int, int, State]]:
    """The ledger, folded: times in seconds since the start."""
    rig.tick()
    parts: list[Interval] = intervals(rig.entries, data_type, interval)
    return [((p.from_ts - START_NS) // 10**9, (p.to_ts - START_NS) // 10**9, p.state) for p in parts]


def test_what_rest_brings_shows_nothing_of_the_feed(rig: FlowRig) -> None:
    trade_flow, candles = rig.trades(10, trade_ts(10)), rig.candles(START_NS)
    page(trade_flow, 11, 12)
    candles.on_page([bar(0), bar(1)], more=False)
    assert {each: (p.count, p.last_event_at) for each, p in rig.beat.progress.items()} == {
        DataType.TRADE: (2, 0),
        DataType.CANDLES: (2, 0),
    }
    live(trade_flow, 12)  # REST was faster, but the feed is there
    candles.on_live(bar(1))
    assert [p.last_event_at for p in rig.beat.progress.values()] == [trade_ts(12), START_NS + 2 * MINUTE_NS]


# --- trades -----------------------------------------------------------------------------------------------------------


def test_trades_in_order_go_straight_through(rig: FlowRig) -> None:
    live(rig.trades(10, trade_ts(10)), 11, 12, 12)
    assert rig.events == [trade(11), trade(12)]
    assert (rig.beat.duplicates_dropped, rig.beat.progress[DataType.TRADE].count, rig.looks) == (1, 2, 1)
    assert rig.state is WorkerState.RUNNING
    assert coverage(rig) == [(10, 12, State.COMPLETE)]


def test_behind_a_hole_all_waits_for_what_is_fetched(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 13, 14)
    assert (rig.events, rig.state, rig.looks, trade_flow.request()) == ([], WorkerState.CATCHING_UP, 2, None)
    rig.clock.advance(0.3)
    assert trade_flow.request() == 11
    trade_flow.note_missing()
    assert coverage(rig) == [(10, 13, State.OPEN)]

    page(trade_flow, 11, 12)
    assert rig.events == [trade(11, fetched=True), trade(12, fetched=True), trade(13), trade(14)]
    assert (rig.beat.backfilled, rig.beat.gaps, rig.state) == (2, 0, WorkerState.RUNNING)
    assert coverage(rig) == [(10, 13, State.FILLED), (13, 14, State.COMPLETE)]


def test_what_a_probe_finds_is_noted_as_filled(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    trade_flow.probe()
    assert (trade_flow.request(), rig.looks) == (11, 1)
    trade_flow.note_missing()
    page(trade_flow, 11, 12)
    assert rig.events == [trade(11, fetched=True), trade(12, fetched=True)]
    assert rig.kinds() == [LedgerKind.OPENED, LedgerKind.GAP_OPENED, LedgerKind.GAP_FILLED]
    assert coverage(rig)[0][2] is State.FILLED


def test_a_probe_that_finds_nothing_leaves_no_trace(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    trade_flow.probe()
    trade_flow.request()
    trade_flow.note_missing()
    page(trade_flow)
    assert (rig.events, rig.kinds(), trade_flow.request()) == ([], [LedgerKind.OPENED], None)


def test_what_does_not_come_in_time_is_marked_and_the_rest_goes_on(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 13, 15)
    rig.clock.advance(0.3)
    trade_flow.request()
    trade_flow.note_missing()
    page(trade_flow, 11)
    rig.clock.advance(60.0)
    trade_flow.pass_time()
    gaps = [rig.gap(from_id="11", to_id="13"), rig.gap(from_id="13", to_id="15")]
    assert rig.events == [trade(11, fetched=True), gaps[0], trade(13), gaps[1], trade(15)]
    assert (rig.beat.gaps, rig.beat.backfilled, rig.state) == (2, 1, WorkerState.RUNNING)
    assert coverage(rig) == [(10, 11, State.FILLED), (11, 15, State.LOST)]


def test_a_hole_in_the_middle_of_the_answers_is_lost_and_the_rest_filled(rig: FlowRig) -> None:
    """REST has some for good: what it has on both sides is there, what it leaves out is not."""
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 20)
    trade_flow.note_missing()
    page(trade_flow, 11, 12)
    for _ in range(6):
        trade_flow.note_missing()
        page(trade_flow, 16, 17, 18, 19)
    fetched = [trade(number, fetched=True) for number in (11, 12, 16, 17, 18, 19)]
    assert rig.events == [*fetched[:2], rig.gap(from_id="12", to_id="16"), *fetched[2:], trade(20)]
    assert coverage(rig) == [(10, 12, State.FILLED), (12, 16, State.LOST), (16, 20, State.FILLED)]


def test_what_finds_no_room_is_left_out_and_fetched_later(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 11)
    rig.publisher.without_room = True
    live(trade_flow, 12, 13)
    rig.publisher.without_room = False
    live(trade_flow, 14)
    assert (rig.events, rig.beat.entries_dropped, rig.state) == ([trade(11)], 2, WorkerState.CATCHING_UP)
    rig.clock.advance(0.3)
    assert trade_flow.request() == 12
    page(trade_flow, 12, 13)
    assert rig.events[1:] == [trade(12, fetched=True), trade(13, fetched=True), trade(14)]


def test_a_page_that_finds_no_room_is_fetched_again(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 12)
    rig.publisher.without_room = True
    page(trade_flow, 11)
    assert (rig.events, trade_flow.request()) == ([], None)
    rig.publisher.without_room = False
    rig.clock.advance(1.0)
    assert trade_flow.request() == 11
    page(trade_flow, 11)
    assert rig.events == [trade(11, fetched=True), trade(12)]


def test_a_fetch_that_failed_is_tried_again(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 12)
    rig.clock.advance(0.3)
    assert trade_flow.request() == 11
    trade_flow.failed()
    assert (trade_flow.request(), trade_flow.next_at_s) == (None, rig.clock.monotonic_s() + 0.5)
    rig.clock.advance(0.5)
    assert trade_flow.request() == 11


def test_an_id_that_cannot_be_is_counted(rig: FlowRig) -> None:
    trade_flow = rig.trades(10)
    live(trade_flow, 10**17)
    assert (rig.events, rig.state) == ([], WorkerState.RUNNING)
    live(trade_flow, 11)
    assert (rig.events, rig.beat.decode_errors, rig.state) == ([trade(11)], 1, WorkerState.RUNNING)


def at(number: int, second: int) -> Trade:
    """A trade whose time does not follow from its number."""
    return replace(trade(number), ts_event=trade_ts(second), ts_recv=trade_ts(second))


def anew(first: int, count: int, second: int) -> list[Trade]:
    """Trades of another numbering."""
    return [at(first + index, second + index) for index in range(count)]


OLD = 5_000_000


def test_an_exchange_that_counts_anew_is_followed_and_the_place_is_marked(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    (waiting,) = anew(OLD + 2, 1, 2)
    trade_flow.on_live(waiting)  # still waits for the one before
    trade_flow.note_missing()
    fresh = anew(1, ELSEWHERE_TRADES, 5)
    for each in fresh[:-1]:
        trade_flow.on_live(each)
    assert (rig.events, rig.state) == ([], WorkerState.CATCHING_UP)
    trade_flow.on_live(fresh[-1])
    trade_flow.on_live(*anew(21, 1, 25))
    mark = replace(rig.gap(from_ts=trade_ts(2), to_ts=trade_ts(5)), reason="id_reset")
    assert rig.events == [
        rig.gap(from_id=str(OLD), to_id=str(OLD + 2)), waiting,
        mark, *fresh, *anew(21, 1, 25),
    ]  # fmt: skip
    assert (rig.beat.gaps, rig.beat.duplicates_dropped, rig.state) == (2, 0, WorkerState.RUNNING)
    assert coverage(rig) == [(0, 2, State.LOST), (2, 5, State.LOST), (5, 25, State.COMPLETE)]
    assert [entry.reason for entry in rig.entries if entry.kind is LedgerKind.GAP_LOST] == ["not_available", "id_reset"]
    last = rig.entries[-1]
    assert (last.kind, last.to_id) == (LedgerKind.COMPLETE, "21")


YEAR_2200_NS = 7_258_118_400_000_000_000


def test_a_trade_dated_far_ahead_is_published_but_its_time_is_not_trusted(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    dated = replace(trade(OLD + 1), ts_event=YEAR_2200_NS, ts_recv=trade_ts(1))
    trade_flow.on_live(dated)
    fresh = anew(1, ELSEWHERE_TRADES, 5)
    for each in fresh:
        trade_flow.on_live(each)
    mark = replace(rig.gap(from_ts=trade_ts(1), to_ts=trade_ts(5)), reason="id_reset")
    assert rig.events == [dated, mark, *fresh]
    assert coverage(rig) == [(0, 1, State.COMPLETE), (1, 5, State.LOST), (5, 24, State.COMPLETE)]


def test_a_new_numbering_that_rest_knows_is_believed_at_its_first_trade(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    (first,) = anew(7, 1, 5)
    trade_flow.on_live(first)
    rig.clock.advance(0.5)
    assert trade_flow.request() == 7
    trade_flow.on_page([replace(first, origin="backfill")], more=False)
    mark = replace(rig.gap(from_ts=trade_ts(0), to_ts=trade_ts(5)), reason="id_reset")
    assert rig.events == [mark, first]


@pytest.mark.parametrize("ahead_s", [59, 61, 300, 86_400])
@pytest.mark.parametrize("first", [1, OLD - 500, 10**12], ids=["from 1", "below", "out of reach"])
@pytest.mark.parametrize("knows", [True, False], ids=["REST agrees", "REST knows nothing"])
def test_an_exchange_ahead_of_our_clock_may_number_anew(rig: FlowRig, first: int, ahead_s: int, knows: bool) -> None:
    trade_flow = rig.trades(OLD, rig.clock.now_ns())
    told: list[Trade] = []
    for number in range(first, first + 90):
        rig.clock.advance(1.0)
        now_ns = rig.clock.now_ns()
        told.append(Trade(now_ns + ahead_s * 1_000_000_000, now_ns, str(number), "1", "1", "buy"))
        trade_flow.on_live(told[-1])
        trade_flow.pass_time()
        while (from_id := trade_flow.request()) is not None:
            trade_flow.note_missing()
            page = [replace(each, origin="backfill") for each in told if knows and int(each.trade_id) >= from_id]
            trade_flow.on_page(page[:100], more=False)
    published = [event.trade_id for event in rig.events if isinstance(event, Trade)]
    believed = knows or ahead_s <= 60
    assert published == ([each.trade_id for each in told] if believed else [])
    assert rig.beat.gaps == believed
    rig.tick()
    assert all(entry.to_ts is None or entry.to_ts <= rig.clock.now_ns() for entry in rig.entries)


def test_old_trades_of_an_exchange_ahead_of_our_clock_are_no_new_numbering(rig: FlowRig) -> None:
    """Although REST knows them: sent again one by one, near the last one or far below."""
    trade_flow = rig.trades(OLD, rig.clock.now_ns())
    now_ns = rig.clock.now_ns()
    ahead = [
        Trade(now_ns + (300 + number - OLD) * 1_000_000_000, now_ns, str(number), "1", "1", "buy")
        for number in range(OLD - 400, OLD + 1)
    ]
    for place in (-1, -3, -50, -101, -150, 0):
        trade_flow.on_live(ahead[place])
        rig.clock.advance(10.0)
        while (from_id := trade_flow.request()) is not None:
            page = [replace(each, origin="backfill") for each in ahead if int(each.trade_id) >= from_id][:100]
            trade_flow.on_page(page, more=len(page) == 100)
        trade_flow.pass_time()
    live(trade_flow, OLD + 1)
    assert rig.events == [trade(OLD + 1)]


def test_one_that_rest_tells_otherwise_is_not_believed(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    trade_flow.on_live(*anew(7, 1, 5))
    rig.clock.advance(0.5)
    trade_flow.request()
    trade_flow.on_page([replace(trade(7), origin="backfill")], more=False)  # that number, at another time
    live(trade_flow, OLD + 1)
    assert rig.events == [trade(OLD + 1)]


def test_an_id_far_ahead_that_others_overtake_is_dropped_without_a_gap(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    trade_flow.on_live(replace(trade(5_000), ts_event=trade_ts(3_600), ts_recv=trade_ts(10)))
    for number in range(11, 80):
        rig.clock.advance(1.0)
        if trade_flow.request() is not None:
            trade_flow.note_missing()
            trade_flow.failed()
        live(trade_flow, number)
        trade_flow.pass_time()
    assert rig.events == [trade(number) for number in range(11, 80)]
    assert (rig.beat.gaps, rig.beat.decode_errors, rig.state) == (0, 1, WorkerState.RUNNING)
    assert {part[2] for part in coverage(rig)} <= {State.COMPLETE, State.FILLED}
    assert coverage(rig)[-1][1] == 79


def test_repeats_between_trades_that_went_another_way_are_no_trouble(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    live(trade_flow, 10)
    rig.clock.advance(20.0)
    trade_flow.passed_by(5, 15, trade_ts(15), trade_ts(15))
    live(trade_flow, 15)
    trade_flow.pass_time()
    assert (rig.state, rig.beat.last_error) == (WorkerState.RUNNING, "")


def test_what_is_set_aside_leaves_the_ledger_open_until_it_comes(rig: FlowRig) -> None:
    """A quiet market: REST knows neither the trade that was missed nor the one that arrived."""
    trade_flow = rig.trades(3, trade_ts(3))
    live(trade_flow, 5)
    for _ in range(200):
        rig.clock.advance(0.5)
        trade_flow.pass_time()
        if trade_flow.request() is not None:
            trade_flow.note_missing()
            page(trade_flow, 2, 3)
    assert (rig.events, trade_flow.sequence.waiting) == ([], False)
    assert coverage(rig) == [(3, 5, State.OPEN)]
    rig.clock.advance(30.0)
    assert trade_flow.request() == 4
    page(trade_flow, 4, 5)
    assert rig.events == [trade(4, fetched=True), trade(5, fetched=True)]
    assert coverage(rig) == [(3, 5, State.FILLED)]


def test_a_trade_that_was_given_up_and_comes_late_is_no_new_numbering(rig: FlowRig) -> None:
    """Its time is a little later than that of the trade behind it: times need not rise with the ids."""
    trade_flow = rig.trades(998, trade_ts(998))
    live(trade_flow, 1_000)
    rig.clock.advance(60.0)
    trade_flow.pass_time()
    late = replace(trade(999), ts_event=trade_ts(1_000) + 1_000_000, ts_recv=trade_ts(1_001))
    trade_flow.on_live(late)
    rig.clock.advance(0.5)
    assert trade_flow.request() == 999
    trade_flow.on_page([replace(late, origin="backfill"), trade(1_000, fetched=True)], more=False)
    live(trade_flow, 1_001)
    assert [event for event in rig.events if isinstance(event, Trade)] == [trade(1_000), trade(1_001)]


def test_a_stream_that_drops_what_arrives_is_not_well(rig: FlowRig) -> None:
    trade_flow = rig.trades(10, trade_ts(10))
    for _ in range(12):
        live(trade_flow, 5)
        rig.clock.advance(1.0)
        trade_flow.pass_time()
    assert (rig.state, rig.beat.last_error) == (
        WorkerState.DEGRADED,
        "trades arrive, but none continues where their stream ends",
    )
    live(trade_flow, 11)
    assert rig.state is WorkerState.RUNNING


def test_a_rare_trade_of_a_new_numbering_does_not_wait_for_many_others(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    trade_flow.on_live(replace(trade(OLD + 2), ts_event=trade_ts(1)))
    began_s = rig.clock.monotonic_s()
    first, third = replace(trade(OLD - 1_000), ts_event=trade_ts(5)), replace(trade(OLD - 998), ts_event=trade_ts(9))
    for each in (first, third):
        trade_flow.on_live(each)
    rig.clock.advance(0.3)
    assert trade_flow.request() == OLD + 1
    trade_flow.failed()
    while trade_flow.next_at_s is not None and trade_flow.next_at_s < began_s + 60.0:
        rig.clock.advance(trade_flow.next_at_s - rig.clock.monotonic_s())
        if trade_flow.request() is not None:
            trade_flow.failed()
    assert trade_flow.next_at_s == began_s + 60.0
    rig.clock.advance(began_s + 60.0 - rig.clock.monotonic_s())
    trade_flow.pass_time()
    assert rig.events == [
        rig.gap(from_id=str(OLD), to_id=str(OLD + 2)), replace(trade(OLD + 2), ts_event=trade_ts(1)),
        replace(rig.gap(from_ts=trade_ts(1), to_ts=trade_ts(5)), reason="id_reset"), first,
        rig.gap(from_id=str(OLD - 1_000), to_id=str(OLD - 998)), third,
    ]  # fmt: skip
    assert coverage(rig) == [(0, 1, State.LOST), (1, 5, State.LOST), (5, 9, State.LOST)]


def test_entry_ids_rise_where_an_exchange_counts_anew_within_a_millisecond(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    stream = rig.streams.of_type(DataType.TRADE)
    ids: list[tuple[int, int]] = []

    def publish(_: object, event: Event) -> str:
        ms, _, n = stream.pack(event)[0].partition("-")
        ids.append((int(ms), int(n)))
        return ""

    rig.publisher.publish = publish  # type: ignore[method-assign,assignment]
    for number in (OLD + 1, OLD + 2):
        trade_flow.on_live(replace(trade(number), ts_event=trade_ts(1)))
    for each in anew(1, ELSEWHERE_TRADES, 1):
        trade_flow.on_live(replace(each, ts_event=trade_ts(1) + 1))
    assert ids == sorted(set(ids))
    assert [n for _, n in ids] == [OLD + 1, OLD + 2, 0, *range(1, ELSEWHERE_TRADES + 1)]


def test_holes_behind_a_new_beginning_are_fetched_by_its_numbers(rig: FlowRig) -> None:
    trade_flow = rig.trades(OLD, trade_ts(0))
    for each in [*anew(1, 3, 1), *anew(6, ELSEWHERE_TRADES - 3, 6)]:
        trade_flow.on_live(each)
    rig.clock.advance(0.3)
    assert trade_flow.request() == 4
    trade_flow.note_missing()
    page(trade_flow, 4, 5)
    assert [event.trade_id for event in rig.events if isinstance(event, Trade)] == [
        str(number) for number in range(1, ELSEWHERE_TRADES + 3)
    ]
    assert coverage(rig) == [
        (0, 1, State.LOST), (1, 3, State.COMPLETE), (3, 6, State.FILLED), (6, 22, State.COMPLETE)
    ]  # fmt: skip


def test_an_empty_stream_has_nothing_to_look_behind(rig: FlowRig) -> None:
    """And so nothing to wait for: a look that nobody can take must not be due for ever."""
    trade_flow = rig.trades()
    trade_flow.probe()
    assert (trade_flow.request(), trade_flow.next_at_s, rig.entries) == (None, None, [])


# --- bars -------------------------------------------------------------------------------------------------------------


def candles_at(rig: FlowRig, minute: int) -> CandleFlow:
    return rig.candles(START_NS + minute * MINUTE_NS)


def test_bars_in_order_go_straight_through(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    bars = [bar(3, closed=False), bar(3), bar(4, closed=False)]
    for each in [*bars, bar(3)]:
        candle_flow.on_live(each)
    assert rig.events == bars
    assert (candle_flow.name, rig.beat.duplicates_dropped, rig.state) == ("candles:1m", 1, WorkerState.RUNNING)
    assert coverage(rig, DataType.CANDLES, "1m") == [(180, 240, State.COMPLETE)]


def test_closes_that_were_missed_are_fetched(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    candle_flow.on_live(bar(5, closed=False))
    assert (rig.events, rig.state) == ([], WorkerState.CATCHING_UP)
    rig.clock.advance(3.0)
    assert candle_flow.request() == START_NS // MINUTE_NS + 3
    candle_flow.note_missing()
    candle_flow.on_page([bar(3), bar(4)], more=False)
    assert rig.events == [bar(3), bar(4), bar(5, closed=False)]
    assert (rig.beat.backfilled, rig.state) == (2, WorkerState.RUNNING)
    assert coverage(rig, DataType.CANDLES, "1m") == [(180, 300, State.FILLED)]


def test_a_close_that_waited_does_not_count_as_fetched(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    candle_flow.on_live(bar(4))
    candle_flow.on_page([bar(3)], more=False)
    assert (rig.events, rig.beat.backfilled) == ([bar(3), bar(4)], 1)


def test_a_bar_that_nobody_has_is_lost_and_those_around_it_are_not(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    candle_flow.on_live(bar(9, closed=False))
    candle_flow.note_missing()
    candle_flow.on_page([bar(3), bar(4)], more=False)
    for _ in range(6):
        candle_flow.note_missing()
        candle_flow.on_page([bar(6), bar(7), bar(8)], more=False)
    lost = rig.gap(from_ts=bar(5).open_time, to_ts=bar(6).open_time)
    assert rig.events == [bar(3), bar(4), lost, bar(6), bar(7), bar(8), bar(9, closed=False)]
    assert coverage(rig, DataType.CANDLES, "1m") == [
        (180, 300, State.FILLED), (300, 360, State.LOST), (360, 540, State.FILLED)
    ]  # fmt: skip


def test_bars_that_find_no_room_are_fetched_later(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    rig.publisher.without_room = True
    candle_flow.on_live(bar(3))
    candle_flow.on_page([bar(3)], more=False)
    rig.publisher.without_room = False
    candle_flow.on_live(bar(4, closed=False))
    assert (rig.events, rig.beat.entries_dropped) == ([], 1)
    candle_flow.on_page([bar(3)], more=False)
    assert rig.events == [bar(3), bar(4, closed=False)]


def test_bars_that_do_not_come_in_time_are_given_up(rig: FlowRig) -> None:
    candle_flow = candles_at(rig, 3)
    candle_flow.on_live(bar(5, closed=False))
    rig.clock.advance(60.0)
    candle_flow.pass_time()
    assert rig.events == [rig.gap(from_ts=bar(3).open_time, to_ts=bar(5).open_time), bar(5, closed=False)]
    assert (rig.beat.gaps, coverage(rig, DataType.CANDLES, "1m")) == (1, [(180, 300, State.LOST)])
