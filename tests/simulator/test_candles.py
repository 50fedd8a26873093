from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.candles import CandleSeries, Period
from tests.simulator.events import Candle, Side, Trade

_TEN = Period("ten", 10)


def _trade(trade_id: int, ts_ms: int, price: int, size: int, side: Side) -> Trade:
    return Trade(trade_id, ts_ms, side, price, size)


def _bar_of(opened: int, before: int, trades: list[Trade]) -> Candle:
    prices = [trade.price for trade in trades] or [before]
    bought = [trade for trade in trades if trade.side is Side.BID]
    return Candle(
        opened,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.size for trade in trades),
        sum(trade.size * 2 for trade in trades),
        sum(trade.size * trade.price for trade in trades),
        len(trades),
        trades[0].trade_id if trades else -1,
        trades[-1].trade_id if trades else -1,
        sum(trade.size * 2 for trade in bought),
        sum(trade.size * trade.price for trade in bought),
    )


@given(st.lists(st.tuples(st.integers(0, 95), st.integers(1, 99), st.integers(1, 9), st.sampled_from(Side))))
def test_bars_are_the_aggregation_of_the_trades(rows: list[tuple[int, int, int, Side]]) -> None:
    trades = [_trade(rank, *row) for rank, row in enumerate(sorted(rows), 7)]
    series = CandleSeries(_TEN, 0, 50, keep=100)
    closed: list[Candle] = []
    for trade in trades:
        closed += series.roll(trade.ts_ms)
        series.add(trade, trade.size * 2, trade.size * trade.price)
    closed += series.roll(100)

    expected: list[Candle] = []
    for opened in range(0, 100, 10):
        inside = [trade for trade in trades if opened <= trade.ts_ms < opened + 10]
        expected.append(_bar_of(opened, expected[-1].close if expected else 50, inside))
    assert closed == expected
    assert series.closed == expected
    assert series.running == _bar_of(100, expected[-1].close, [])


def test_history_is_bounded() -> None:
    series = CandleSeries(_TEN, 0, 50, keep=3)
    for now_ms in range(10, 1_000, 10):
        series.roll(now_ms)

        assert len(series.closed) <= 6
    assert series.closed[-1].open_ms == 980


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("period", "moment", "opened", "ended"),
    [
        (Period("1m", 60_000), "2026-11-20T18:32:59.999", "2026-11-20T18:32", "2026-11-20T18:33"),
        (Period("1m", 60_000), "2026-11-20T18:33", "2026-11-20T18:33", "2026-11-20T18:34"),
        (Period("months", 0, 0, 3), "2026-11-20T18:32", "2026-10-01", "2027-01-01"),
        (Period("months8", 0, -28_800_000, 1), "2026-11-30T15:59", "2026-10-31T16:00", "2026-11-30T16:00"),
        (Period("months8", 0, -28_800_000, 1), "2026-11-30T16:00", "2026-11-30T16:00", "2026-12-31T16:00"),
    ],
)
def test_bars_begin_and_end(period: Period, moment: str, opened: str, ended: str) -> None:
    assert period.open_of(_ms(moment)) == _ms(opened)
    assert period.next_open(_ms(opened)) == _ms(ended)
