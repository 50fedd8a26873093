from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.integrity.gap_sequencer import Lost
from collector_worker.integrity.sequences import (
    CANDLE_GRACE_S,
    ELSEWHERE_TRADES,
    MAX_JUMP,
    TRADE_GRACE_S,
    CandleSequence,
    IdReset,
    TradeSequence,
)
from tests.support.market_items import MINUTE_NS, START_NS, bar, trade, trade_ts
from tickfleet.contract.events import Candle, Trade


def sequence(last_id: int | None = 10) -> TradeSequence:
    made = TradeSequence(60.0)
    if last_id is not None:
        made.restore(last_id, 5)
    return made


def candles(closed_until: int | None = 0) -> CandleSequence:
    """A sequence with all bars that open before a minute (since ``START_NS``)."""
    made = CandleSequence("1m", 60.0)
    if closed_until is not None:
        made.restore(START_NS + closed_until * MINUTE_NS)
    return made


# --- trades -----------------------------------------------------------------------------------------------------------


def test_an_empty_stream_begins_anywhere() -> None:
    made = sequence(None)
    assert (made.last_id, made.last_ts) == (None, 0)
    assert made.offer(trade(2_832_749_645), 0.0) == [trade(2_832_749_645)]
    assert made.last_id == 2_832_749_645


def test_goes_on_behind_what_the_stream_holds() -> None:
    made = sequence(10)
    assert [made.offer(trade(number), 0.0) for number in (9, 10, 11)] == [[], [], [trade(11)]]
    assert (made.last_id, made.last_ts, made.sequence.dropped) == (11, 5, 2)


def test_a_hole_is_asked_for_after_the_grace_and_filled() -> None:
    made = sequence(10)
    assert made.offer(trade(13), 0.0) == []
    assert [made.sequence.request(now_s) for now_s in (TRADE_GRACE_S - 0.01, TRADE_GRACE_S)] == [None, 11]
    page = [trade(number, fetched=True) for number in (11, 12, 13)]
    assert made.fill(page, 1.0, more=False) == page  # also in place of the one that waited


def test_an_aggregate_stands_for_all_its_matches() -> None:
    made = sequence(10)
    assert made.offer(trade(14, count="4"), 0.0) == [trade(14, count="4")]
    assert made.offer(trade(16, count="3"), 0.0) == []  # 14 to 16: 14 is there, so the rest is fetched one by one
    assert (made.last_id, made.sequence.request(0.0)) == (14, 15)


def test_a_count_of_nothing_counts_as_one() -> None:
    made = sequence(10)
    assert made.offer(trade(11, count="0"), 0.0) == [trade(11, count="0")]


def test_an_id_that_cannot_be_does_not_end_the_sequence() -> None:
    made = sequence(10)
    assert made.offer(at(10 + MAX_JUMP + 1, 20), 0.0) == []
    assert (made.implausible, made.waiting) == (0, False)
    assert made.offer(trade(11), 0.0) == [trade(11)]
    assert (made.implausible, made.waiting) == (1, False)
    assert made.offer(at(11 + MAX_JUMP, 20), 0.0) == []
    assert (made.implausible, made.sequence.waiting) == (1, True)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 10))
def test_what_passes_rises_by_one_at_a_time(numbers: list[int], last_id: int) -> None:
    made = sequence(last_id)
    passed = offered(made, (trade(number) for number in numbers))
    assert passed == [trade(number) for number in range(last_id + 1, last_id + 1 + len(passed))]
    assert made.last_id == last_id + len(passed)


# --- a new numbering --------------------------------------------------------------------------------------------------

OLD = 5_000_000
NEW_NUMBERINGS = {"low": 1, "barely low": OLD - ELSEWHERE_TRADES - 5, "out of reach": OLD + MAX_JUMP + 1_000}


def offered(made: TradeSequence, trades: Iterable[Trade], now_s: float = 0.0) -> list[Trade | Lost | IdReset]:
    """What passes; the time of what passed is noted as the flow does."""
    passed: list[Trade | Lost | IdReset] = []
    for each in trades:
        for out in made.offer(each, now_s):
            passed.append(out)
            made.last_ts = max(made.last_ts, out.ts_event if isinstance(out, Trade) else 0)
    return passed


def at(number: int, second: int) -> Trade:
    """A trade whose time does not follow from its number."""
    return replace(trade(number), ts_event=trade_ts(second), ts_recv=trade_ts(second))


def anew(first: int, count: int = ELSEWHERE_TRADES, second: int = 1) -> list[Trade]:
    return [at(first + index, second + index) for index in range(count)]


def old_sequence() -> TradeSequence:
    """A sequence whose last trade is number ``OLD``, at second 0."""
    made = TradeSequence(60.0)
    made.restore(OLD, trade_ts(0))
    return made


@pytest.mark.parametrize("first", NEW_NUMBERINGS.values(), ids=NEW_NUMBERINGS)
def test_many_trades_in_a_row_with_other_numbers_are_a_new_numbering(first: int) -> None:
    made = old_sequence()
    trades = anew(first, ELSEWHERE_TRADES + 3)
    assert offered(made, trades[: ELSEWHERE_TRADES - 1]) == []
    assert made.waiting
    assert offered(made, trades[ELSEWHERE_TRADES - 1 :]) == [IdReset(trade_ts(1)), *trades]
    assert (made.last_id, made.waiting, made.implausible, made.sequence.dropped) == (
        first + ELSEWHERE_TRADES + 2, False, 0, 0,
    )  # fmt: skip


def test_what_is_missing_among_the_first_of_a_new_numbering_is_asked_for() -> None:
    made = old_sequence()
    trades = [each for each in anew(1, ELSEWHERE_TRADES + 2) if each.trade_id not in ("4", "9")]
    assert offered(made, trades, 7.0) == [IdReset(trade_ts(1)), *trades[:3]]
    assert made.sequence.request(7.0 + TRADE_GRACE_S) == 4
    page = [trade(number, fetched=True) for number in range(4, 10)]
    assert made.fill(page, 8.0, more=False) == [*page, *trades[7:]]


def test_what_waited_by_the_old_numbers_is_passed_on_before() -> None:
    made = old_sequence()
    assert offered(made, [at(OLD + 3, 1), at(OLD + 6, 2)]) == []
    trades = anew(1, second=3)
    assert offered(made, trades) == [
        Lost(OLD, OLD + 3), at(OLD + 3, 1), Lost(OLD + 3, OLD + 6), at(OLD + 6, 2), IdReset(trade_ts(3)), *trades
    ]  # fmt: skip


def test_an_aggregate_begins_a_new_numbering_with_its_first_match() -> None:
    made = old_sequence()
    trades = [replace(each, trade_id=str(5 * index), count="5") for index, each in enumerate(anew(1), 1)]
    assert offered(made, trades) == [IdReset(trade_ts(1)), *trades]


def test_numbers_may_begin_anew_more_than_once() -> None:
    made = old_sequence()
    first, second = anew(1), anew(OLD + MAX_JUMP, second=50)
    third = anew(20, second=90)
    assert offered(made, first + second + third) == [
        IdReset(trade_ts(1)), *first, IdReset(trade_ts(50)), *second, IdReset(trade_ts(90)), *third
    ]  # fmt: skip


@pytest.mark.parametrize(
    "between",
    [at(OLD + 1, 5), at(OLD + 90, 5), at(3, 5), at(9 * MAX_JUMP, 5)],
    ids=["the old numbering continues", "it continues after a hole", "a number falls", "a number is out of reach"],
)
def test_anything_else_between_them_makes_them_none(between: Trade) -> None:
    made = old_sequence()
    many = anew(1_000, ELSEWHERE_TRADES - 1)
    passed = offered(made, [*many, between, *anew(2_000, ELSEWHERE_TRADES - 2, second=60)])
    assert [out for out in passed if isinstance(out, IdReset)] == []
    assert made.sequence.dropped == ELSEWHERE_TRADES - 1


@pytest.mark.parametrize("again", [at(7, 7), at(OLD, 0), at(OLD - 3, 99), at(100, -9)])
def test_a_trade_that_is_sent_again_between_them_changes_nothing(again: Trade) -> None:
    made = old_sequence()
    trades = anew(1)
    assert offered(made, [*trades[:10], again, *trades[10:]]) == [IdReset(trade_ts(1)), *trades]
    assert made.sequence.dropped == 1


def test_old_trades_that_are_sent_again_are_no_new_numbering() -> None:
    made = old_sequence()
    again = [at(number, number - OLD) for number in range(OLD - 1_000, OLD + 1)]
    assert offered(made, again) == []
    assert (made.sequence.dropped, made.waiting) == (1_001, False)


def test_old_trades_are_known_behind_the_beginning_of_a_new_numbering_too() -> None:
    """As from a second connection that is behind the first."""
    made = old_sequence()
    offered(made, [at(OLD + 3, 5)])
    trades = anew(1, ELSEWHERE_TRADES + 1, second=6)
    offered(made, trades[:ELSEWHERE_TRADES])
    again = [at(OLD - 1, -1), at(OLD, 0), at(OLD + 3, 5), *trades[:3]]
    assert offered(made, [*again, trades[-1]]) == [trades[-1]]
    assert (made.sequence.dropped, made.waiting) == (6, False)


def test_numbers_out_of_reach_at_an_old_time_are_garbage() -> None:
    made = old_sequence()
    assert offered(made, [at(OLD + 2 * MAX_JUMP + index, 0) for index in range(30)]) == []
    assert (made.implausible, made.waiting) == (30, False)


@given(st.lists(st.integers(1, 1_500), max_size=80), st.integers(0, 1_000), st.integers(1, 40))
def test_one_numbering_is_never_taken_for_two(order: list[int], last: int, per_second: int) -> None:
    """However its trades are repeated, left out and mixed up: times follow numbers."""
    made = TradeSequence(60.0)
    made.restore(last, trade_ts(last // per_second))
    trades = [at(number, number // per_second) for number in order for _ in range(1 + number % 3)]
    passed = offered(made, trades)
    assert [out for out in passed if isinstance(out, IdReset)] == []


@given(st.data())
def test_of_a_new_numbering_nothing_is_lost_and_nothing_comes_twice(data: st.DataObject) -> None:
    """Old trades are sent again between its first ones, new ones too; some are missed and fetched."""
    first = data.draw(st.integers(1, OLD - 1_000) | st.integers(OLD + MAX_JUMP + 1, 10**17), "first")
    numbers = sorted(data.draw(st.sets(st.integers(first + 1, first + 60), min_size=25), "arrived") | {first})
    made = old_sequence()
    passed: list[Trade | Lost | IdReset] = []
    for number in numbers:
        passed += offered(made, [at(number, number - first + 1)])
        again = data.draw(st.sampled_from(["old", "new", "none", "none"]), "again")
        if again == "old":
            back = data.draw(st.integers(0, 5_000), "back")
            passed += offered(made, [at(OLD - back, -back)])
        elif again == "new":
            passed += offered(made, [at(number, number - first + 1)])
    while (after := made.sequence.hole) is not None:
        passed += made.fill([(trade(number)) for number in range(after[0] + 1, after[1])], 1.0, more=False)
    marker, *trades = passed
    assert marker == IdReset(trade_ts(1))
    assert [int(each.trade_id) for each in trades if isinstance(each, Trade)] == [*range(first, numbers[-1] + 1)]
    assert len(trades) == numbers[-1] + 1 - first


def test_two_ids_that_agree_are_an_id_reset_once_the_first_has_waited() -> None:
    made = old_sequence()
    first, second = at(7, 1), at(8, 2)
    assert offered(made, [first], 100.0) == []
    assert (made.next_at_s(), made.request(100.5), made.waiting) == (100.5, 7, False)
    assert made.fill([], 100.6, more=False) == []
    assert offered(made, [second], 130.0) == []
    assert (made.request(155.5), made.due(159.9), made.next_at_s()) == (7, [], 160.0)
    assert made.due(160.0) == [IdReset(trade_ts(1)), first, second]
    assert (made.last_id, made.waiting, made.next_at_s()) == (8, False, None)


def test_each_of_a_new_numbering_waits_by_its_own_arrival() -> None:
    made = old_sequence()
    trades = [at(7, 1), at(9, 2)]
    assert offered(made, trades[:1], 100.0) + offered(made, trades[1:], 150.0) == []
    assert made.due(160.0) == [IdReset(trade_ts(1)), trades[0]]
    assert (made.sequence.request(160.0), made.due(209.9)) == (8, [])
    assert made.due(210.0) == [Lost(7, 9), trades[1]]


@pytest.mark.parametrize(("number", "counts"), [(7, (0, 1)), (OLD + 2 * MAX_JUMP, (1, 0))])
def test_one_that_stays_alone_is_dropped(number: int, counts: tuple[int, int]) -> None:
    made = old_sequence()
    offered(made, [at(number, 1)], 100.0)
    assert (made.due(160.0), made.next_at_s()) == ([], None)
    assert (made.implausible, made.sequence.dropped) == counts
    assert made.offer(at(OLD + 1, 200), 200.0) == [at(OLD + 1, 200)]


def test_where_trades_are_rarer_than_the_wait_a_new_numbering_is_found_too() -> None:
    made = old_sequence()
    passed = []
    for index in range(4):
        passed += offered(made, [at(7 + index, 600 * index + 1)], 600.0 * index)
        passed += made.due(600.0 * index + 60.0)
    assert passed == [IdReset(trade_ts(601)), at(8, 601), at(9, 1_201), at(10, 1_801)]


@pytest.mark.parametrize("between", [at(OLD + 1, 300), at(5, 300)], ids=["the old numbering continues", "an id falls"])
def test_one_that_was_dropped_agrees_with_none_behind_another(between: Trade) -> None:
    made = old_sequence()
    offered(made, [at(7, 1)], 0.0)
    made.due(60.0)
    offered(made, [between], 300.0)
    made.last_ts = max(made.last_ts, trade_ts(300))
    made.due(360.0)
    offered(made, [at(4, 600)], 600.0)
    assert made.due(660.0) == []


def test_two_whose_times_fall_are_dropped() -> None:
    made = old_sequence()
    offered(made, [at(7, 5), at(8, 4)], 100.0)
    assert (made.due(160.0), made.next_at_s(), made.sequence.dropped) == ([], None, 2)


@given(st.lists(st.tuples(st.sampled_from(["old", "new"]), st.integers(1, 40), st.integers(0, 50)), max_size=40))
def test_no_trade_waits_longer_than_it_may(steps: list[tuple[str, int, int]]) -> None:
    """Whatever passes late or is dropped: a look at each moment that is named finds nothing that is older."""
    made = old_sequence()
    now_s, arrived_s = 0.0, dict[str, float]()
    numbers = {"old": OLD, "new": 0}
    for number, (which, ahead, pause_s) in enumerate(steps, 1):
        until_s = now_s + pause_s
        while (at_s := made.next_at_s()) is not None and at_s <= until_s:
            made.request(at_s)
            passed = made.due(at_s)
            waits_s = [at_s - arrived_s[out.trade_id] for out in passed if isinstance(out, Trade)]
            assert max(waits_s, default=0.0) <= 60.0
        now_s = until_s
        numbers[which] += ahead
        each = at(numbers[which], number)
        arrived_s[each.trade_id] = now_s
        for out in made.offer(each, now_s):
            assert not isinstance(out, Trade) or now_s - arrived_s[out.trade_id] <= 60.0
    while (at_s := made.next_at_s()) is not None and at_s <= now_s + 60.0:
        made.request(at_s)
        made.due(at_s)
    assert not made.waiting


# --- bars -------------------------------------------------------------------------------------------------------------


def test_a_running_bar_comes_as_often_as_it_changes_and_a_closed_one_once() -> None:
    made = candles(3)
    bars = [
        bar(2), bar(3, closed=False), bar(3, closed=False, close="2"), bar(3), bar(3, closed=False), bar(3),
        bar(4, closed=False),
    ]  # fmt: skip
    passed: list[Candle | Lost] = [out for each in bars for out in made.offer(each, 0.0)]
    assert passed == [bars[1], bars[2], bars[3], bars[6]]
    assert made.sequence.dropped == 3


def test_behind_a_close_that_was_missed_all_waits() -> None:
    made = candles(3)
    assert made.offer(bar(4, closed=False), 0.0) == []
    assert made.offer(bar(4, closed=False, close="2"), 1.0) == []
    assert [made.sequence.request(now_s) for now_s in (CANDLE_GRACE_S - 0.1, CANDLE_GRACE_S)] == [
        None,
        START_NS // MINUTE_NS + 3,
    ]
    assert made.fill([bar(2), bar(3)], 4.0, more=False) == [
        bar(3), bar(4, closed=False), bar(4, closed=False, close="2")
    ]  # fmt: skip


def test_a_late_close_comes_before_the_next_bar() -> None:
    """The last push of a bar may come after the first one of the next."""
    made = candles(3)
    assert made.offer(bar(4, closed=False), 0.0) == []
    assert made.offer(bar(3), 1.0) == [bar(3), bar(4, closed=False)]
    assert made.sequence.request(99.0) is None


def test_the_first_bar_of_all() -> None:
    made = candles(None)
    assert made.offer(bar(7, closed=False), 0.0) == [bar(7, closed=False)]
    assert made.offer(bar(7), 0.0) == [bar(7)]
    assert made.opens_at(made.sequence.last or 0) == START_NS + 7 * MINUTE_NS


def test_a_bar_of_another_age_does_not_end_the_sequence() -> None:
    made = candles(3)
    assert made.offer(replace(bar(3 + MAX_JUMP), ts_recv=bar(3).ts_recv), 0.0) == []
    assert (made.implausible, made.waiting, made.offer(bar(3), 0.0)) == (1, False, [bar(3)])


def test_a_week_begins_on_monday() -> None:
    """2025-12-01 was one."""
    monday = START_NS - 31 * 86_400 * 1_000_000_000
    made = CandleSequence("1w", 60.0)
    made.restore(monday)
    assert made.reached == (monday, None)
    week = replace(bar(0, interval="1w"), open_time=monday, closed=False)
    assert made.offer(week, 0.0) == [week]
    later = replace(week, open_time=monday + 2 * made.length_ns)
    assert made.offer(later, 1.0) == []
    assert made.sequence.hole == ((made.sequence.last or 0), (made.sequence.last or 0) + 3, later)
    assert [made.opens_at((made.sequence.last or 0) + ahead) for ahead in (0, 1, 3)] == [
        monday - made.length_ns, monday, later.open_time
    ]  # fmt: skip


def test_the_length_of_a_bar_is_that_of_its_interval() -> None:
    made = CandleSequence("1h", 60.0)
    made.restore(7_200_000_000_000)
    assert (made.sequence.last, made.opens_at(2), made.interval) == (1, 7_200_000_000_000, "1h")


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(0, 5))
def test_the_short_way_is_the_long_one(numbers: list[int], last_id: int) -> None:
    """Whether ``takes`` is asked first changes nothing, in what is passed on and in what comes after it."""
    long, short = sequence(last_id), sequence(last_id)
    for number in numbers:
        passed = long.offer(trade(number), 0.0)
        assert ([trade(number)] if short.takes(number) else short.offer(trade(number), 0.0)) == passed
        assert (short.last_id, short.waiting, short.sequence.dropped) == (
            long.last_id,
            long.waiting,
            long.sequence.dropped,
        )
    assert short.due(1e6) == long.due(1e6)


@pytest.mark.parametrize("wait_s", [0.1, 1.0, 3.0, 60.0])
def test_what_waits_is_asked_for_before_it_is_given_up(wait_s: float) -> None:
    """Also where it may wait for less than late items are given to come by themselves."""
    bars, trades = CandleSequence("1m", wait_s), TradeSequence(wait_s)
    for number in (1, 3):
        bars.offer(bar(number), 0.0)
        trades.offer(trade(number), 0.0)
    asked_s = [bars.next_at_s() or 0.0, trades.next_at_s() or 0.0]
    assert [at_s <= wait_s / 2 for at_s in asked_s] == [True, True]
    assert [bars.due(asked_s[0]), trades.due(asked_s[1])] == [[], []]
    assert [bars.sequence.request(asked_s[0]), trades.sequence.request(asked_s[1])] == [START_NS // MINUTE_NS + 2, 2]
