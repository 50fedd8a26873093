from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.integrity import CandleGate, TickerGate, TradeGate
from common.events import Candle, Ticker, Trade


def trade(number: int) -> Trade:
    return Trade(1, 2, str(number), "3", "4", "buy")


def candle(minute: int, *, closed: bool, interval: str = "1m") -> Candle:
    return Candle(
        ts_event=minute * 60, ts_recv=1, interval=interval, open_time=minute * 60, close_time=(minute + 1) * 60,
        open="1", high="1", low="1", close="1", volume="1", closed=closed,
    )  # fmt: skip


@given(st.lists(st.integers(0, 20)), st.integers(-1, 20))
def test_trades_pass_once_and_rising(numbers: list[int], last_id: int) -> None:
    gate = TradeGate(last_id)
    passed = [number for number in numbers if gate.admits(trade(number))]

    highest, expected = last_id, []
    for number in numbers:
        if number > highest:
            expected.append(number)
            highest = number
    assert passed == expected
    assert gate.last_id == highest


def test_the_first_trade_of_all_has_the_number_zero() -> None:
    assert TradeGate().admits(trade(0))


bars = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from(["1m", "5m"])), max_size=20)


@given(bars)
def test_a_bar_that_is_closed_comes_once_and_none_before_it_comes_again(rows: list[tuple[int, bool, str]]) -> None:
    gate = CandleGate()
    passed = [row for row in rows if gate.admits(candle(row[0], closed=row[1], interval=row[2]))]

    for interval in ("1m", "5m"):
        mine = [(minute, closed) for minute, closed, name in passed if name == interval]
        closed_bars = [minute for minute, closed in mine if closed]
        assert closed_bars == sorted(set(closed_bars))
        for position, (minute, _) in enumerate(mine):
            assert all(minute > earlier for earlier, closed in mine[:position] if closed)


def test_the_running_bar_comes_as_often_as_it_changes() -> None:
    gate = CandleGate()
    rows = [(3, False), (3, False), (3, True), (3, False), (3, True), (4, False), (2, True)]

    assert [gate.admits(candle(minute, closed=closed)) for minute, closed in rows] == [
        True, True, True, False, False, True, False,
    ]  # fmt: skip


def test_bars_that_an_earlier_run_published_do_not_pass() -> None:
    gate = CandleGate()
    gate.restore("1m", 4 * 60)

    assert [gate.admits(candle(minute, closed=True)) for minute in (2, 3, 4)] == [False, False, True]
    assert gate.admits(candle(2, closed=True, interval="5m"))


def test_the_latest_ticker_wins() -> None:
    gate, ticker = TickerGate(), Ticker(ts_event=5, ts_recv=6)

    times = (5, 5, 4, 6, 5, 7)
    assert [gate.admits(replace(ticker, ts_event=time)) for time in times] == [True, True, False, True, False, True]
