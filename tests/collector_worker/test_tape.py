from hypothesis import given
from hypothesis import strategies as st

from collector_worker.sequencer import Lost
from collector_worker.tape import CANDLE_GRACE_S, MAX_JUMP, TRADE_GRACE_S, CandleTape, TradeTape
from common.events import Candle, Trade
from tests.support.market_items import MINUTE_NS, START_NS, bar, trade


def tape(last_id: int | None = 10) -> TradeTape:
    made = TradeTape(60.0)
    if last_id is not None:
        made.restore(last_id, 5)
    return made


def candles(closed_until: int | None = 0) -> CandleTape:
    """A tape with all bars that open before a minute (since ``START_NS``)."""
    made = CandleTape("1m", 60.0)
    if closed_until is not None:
        made.restore(START_NS + closed_until * MINUTE_NS)
    return made


# --- trades -----------------------------------------------------------------------------------------------------------


def test_an_empty_stream_begins_anywhere() -> None:
    made = tape(None)
    assert (made.last_id, made.last_ts) == (None, 0)
    assert made.offer(trade(2_832_749_645), 0.0) == [trade(2_832_749_645)]
    assert made.last_id == 2_832_749_645


def test_goes_on_behind_what_the_stream_holds() -> None:
    made = tape(10)
    assert [made.offer(trade(number), 0.0) for number in (9, 10, 11)] == [[], [], [trade(11)]]
    assert (made.last_id, made.last_ts, made.sequence.dropped) == (11, 5, 2)


def test_a_hole_is_asked_for_after_the_grace_and_filled() -> None:
    made = tape(10)
    assert made.offer(trade(13), 0.0) == []
    assert [made.sequence.wish(now_s) for now_s in (TRADE_GRACE_S - 0.01, TRADE_GRACE_S)] == [None, 11]
    page = [trade(number, fetched=True) for number in (11, 12, 13)]
    assert made.fill(page, 1.0, more=False) == page  # also in place of the one that waited


def test_an_aggregate_stands_for_all_its_matches() -> None:
    made = tape(10)
    assert made.offer(trade(14, count="4"), 0.0) == [trade(14, count="4")]
    assert made.offer(trade(16, count="3"), 0.0) == []  # 14 to 16: 14 is there, so the rest is fetched one by one
    assert (made.last_id, made.sequence.wish(0.0)) == (14, 15)


def test_a_count_of_nothing_counts_as_one() -> None:
    made = tape(10)
    assert made.offer(trade(11, count="0"), 0.0) == [trade(11, count="0")]


def test_an_id_that_cannot_be_does_not_end_the_tape() -> None:
    made = tape(10)
    assert made.offer(trade(10 + MAX_JUMP + 1), 0.0) == []
    assert (made.implausible, made.sequence.waiting) == (1, False)
    assert made.offer(trade(10 + MAX_JUMP), 0.0) == []
    assert (made.implausible, made.sequence.waiting) == (1, True)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 10))
def test_what_passes_rises_by_one_at_a_time(numbers: list[int], last_id: int) -> None:
    made = tape(last_id)
    passed: list[Trade | Lost] = [out for number in numbers for out in made.offer(trade(number), 0.0)]
    assert passed == [trade(number) for number in range(last_id + 1, last_id + 1 + len(passed))]
    assert made.last_id == last_id + len(passed)


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
    assert [made.sequence.wish(now_s) for now_s in (CANDLE_GRACE_S - 0.1, CANDLE_GRACE_S)] == [
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
    assert made.sequence.wish(99.0) is None


def test_the_first_bar_of_all() -> None:
    made = candles(None)
    assert made.offer(bar(7, closed=False), 0.0) == [bar(7, closed=False)]
    assert made.offer(bar(7), 0.0) == [bar(7)]
    assert made.opens_at(made.sequence.last or 0) == START_NS + 7 * MINUTE_NS


def test_a_bar_of_another_age_does_not_end_the_tape() -> None:
    made = candles(3)
    assert made.offer(bar(3 + MAX_JUMP), 0.0) == []
    assert (made.sequence.waiting, made.offer(bar(3), 0.0)) == (False, [bar(3)])


def test_the_length_of_a_bar_is_that_of_its_interval() -> None:
    made = CandleTape("1h", 60.0)
    made.restore(7_200_000_000_000)
    assert (made.sequence.last, made.opens_at(2), made.interval) == (1, 7_200_000_000_000, "1h")
