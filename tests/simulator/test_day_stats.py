from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS
from tests.simulator.day_stats import DayStats
from tests.simulator.events import Candle, Side, Trade

_row = st.tuples(st.integers(0, 3 * DAY_MS - 1), st.integers(1, 99), st.integers(1, 9), st.sampled_from(Side))


@given(st.lists(_row, min_size=1))
def test_last_day_is_what_was_traded_in_1440_minutes(rows: list[tuple[int, int, int, Side]]) -> None:
    trades = [Trade(n, ts_ms, side, price, size) for n, (ts_ms, price, size, side) in enumerate(sorted(rows))]
    stats = DayStats(0, 50)
    for trade in trades:
        stats.add(trade, trade.size, trade.size * trade.price)
    last_ms = trades[-1].ts_ms
    since = last_ms - last_ms % MINUTE_MS - DAY_MS + MINUTE_MS
    inside = [trade for trade in trades if trade.ts_ms >= since]
    prices = [trade.price for trade in inside]
    bought = [trade for trade in inside if trade.side is Side.BID]
    earlier = [trade.price for trade in trades if trade.ts_ms < since]

    figures = stats.last_day()
    assert figures == Candle(
        figures.open_ms,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.size for trade in inside),
        sum(trade.size for trade in inside),
        sum(trade.size * trade.price for trade in inside),
        len(inside),
        inside[0].trade_id,
        inside[-1].trade_id,
        sum(trade.size for trade in bought),
        sum(trade.size * trade.price for trade in bought),
    )
    assert stats.before == (earlier[-1] if earlier else 50)


def test_a_quiet_day_repeats_the_last_price() -> None:
    stats = DayStats(0, 50)
    stats.add(Trade(1, 0, Side.BID, 60, 2), 2, 120)
    stats.roll(2 * DAY_MS)

    figures = stats.last_day()
    assert (figures.open, figures.high, figures.low, figures.close, figures.volume) == (60, 60, 60, 60, 0)


def test_days_open_at_their_own_midnight() -> None:
    stats = DayStats(0, 50)
    for hour, price in ((1, 51), (15, 52), (16, 53), (25, 54)):
        stats.add(Trade(1, hour * HOUR_MS, Side.BID, price, 1), 1, price)

    assert (stats.open_utc0, stats.open_utc8) == (54, 53)
