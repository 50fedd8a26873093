"""The figures of the last 24 hours, as a ticker shows them."""

from __future__ import annotations

from collections import deque

from tests.simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, CandleSeries, Period
from tests.simulator.events import Candle, Trade

_MINUTE = Period("minute", MINUTE_MS)
_UTC_DAY = Period("day", DAY_MS)
_UTC8_DAY = Period("day8", DAY_MS, -8 * HOUR_MS)


class DayStats:
    """A window of 24 hours that slides in whole minutes.

    Args:
        start_ms: First moment.
        price: Price before the first trade, in ticks.
    """

    def __init__(self, start_ms: int, price: int) -> None:
        self._minutes = CandleSeries(_MINUTE, start_ms, price, keep=1)
        self._window: deque[Candle] = deque()
        self.before = price
        """Price just before the window, in ticks."""
        self._closed = Candle(start_ms, price, price, price, price)
        self._utc0 = CandleSeries(_UTC_DAY, start_ms, price, keep=1)
        self._utc8 = CandleSeries(_UTC8_DAY, start_ms, price, keep=1)

    @property
    def open_utc0(self) -> int:
        """Opening price of the UTC day, in ticks."""
        return self._utc0.running.open

    @property
    def open_utc8(self) -> int:
        """Opening price of the day in UTC+8, in ticks."""
        return self._utc8.running.open

    def roll(self, now_ms: int) -> None:
        """Let time pass."""
        self._utc0.roll(now_ms)
        self._utc8.roll(now_ms)
        ended = self._minutes.roll(now_ms)
        if ended:
            self._window += ended
            oldest = self._minutes.running.open_ms - DAY_MS
            while self._window and self._window[0].open_ms <= oldest:
                self.before = self._window.popleft().close
            self._closed = merge(self._window) if self._window else self._minutes.running

    def add(self, trade: Trade, base: int, quote: int) -> None:
        """Add one trade; `base` and `quote` are its amounts."""
        self.roll(trade.ts_ms)
        for series in (self._minutes, self._utc0, self._utc8):
            series.add(trade, base, quote)

    def last_day(self) -> Candle:
        """Open, high, low, close and sums of the window, the running minute included."""
        if not self._window:
            return self._minutes.running
        return merge((self._closed, self._minutes.running))


def merge(bars: deque[Candle] | tuple[Candle, ...]) -> Candle:
    """Join bars in order of time into one; at least one. Prices of bars without trades do not count.

    If none has a trade, the result repeats the first bar's price.
    """
    traded = [bar for bar in bars if bar.volume] or [bars[0]]
    return Candle(
        open_ms=bars[0].open_ms,
        open=traded[0].open,
        high=max(bar.high for bar in traded),
        low=min(bar.low for bar in traded),
        close=traded[-1].close,
        volume=sum(bar.volume for bar in traded),
        base=sum(bar.base for bar in traded),
        quote=sum(bar.quote for bar in traded),
        trades=sum(bar.trades for bar in traded),
        first_id=traded[0].first_id,
        last_id=traded[-1].last_id,
        taker_base=sum(bar.taker_base for bar in traded),
        taker_quote=sum(bar.taker_quote for bar in traded),
    )
