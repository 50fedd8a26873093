"""Candles: where bars begin, and how trades become bars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tests.simulator.events import Candle, Side, Trade

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Period:
    """Length and position of bars.

    Attributes:
        name: The exchange's word, e.g. ``1m``.
        length_ms: Length of a bar; 0 if it is counted in calendar months.
        anchor_ms: Any moment at which a bar begins; for months, minus the offset of the exchange's day from UTC.
        months: Calendar months per bar, dividing 12; 0 for fixed lengths.
    """

    name: str
    length_ms: int
    anchor_ms: int = 0
    months: int = 0

    def open_of(self, ts_ms: int) -> int:
        """Start of the bar that holds a moment."""
        if self.months:
            return self._month_start(self._month_of(ts_ms))
        return ts_ms - (ts_ms - self.anchor_ms) % self.length_ms

    def next_open(self, open_ms: int) -> int:
        """Start of the bar after the one that starts at `open_ms`."""
        if self.months:
            return self._month_start(self._month_of(open_ms) + self.months)
        return open_ms + self.length_ms

    def _month_of(self, ts_ms: int) -> int:
        local = datetime.fromtimestamp((ts_ms - self.anchor_ms) // 1_000, UTC)
        month = local.year * 12 + local.month - 1
        return month - month % self.months

    def _month_start(self, month: int) -> int:
        first = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return int(first.timestamp()) * 1_000 + self.anchor_ms


class CandleSeries:
    """Bars of one length, made from trades in order of time.

    Args:
        period: Where bars begin.
        start_ms: Some moment in the first bar.
        price: Price before the first trade, in ticks.
        keep: Closed bars to remember.
    """

    def __init__(self, period: Period, start_ms: int, price: int, keep: int) -> None:
        self.period = period
        self.version = 0
        """Grows with every change of the running bar."""
        self._keep = keep
        self.closed: list[Candle] = []
        """Oldest first; between `keep` and twice as many once the history is long enough."""
        opened = period.open_of(start_ms)
        self.running = Candle(opened, price, price, price, price)
        self.end_ms = period.next_open(opened)

    def roll(self, now_ms: int) -> list[Candle]:
        """Close all bars that end at or before now; call it before a trade of that moment is added."""
        ended: list[Candle] = []
        while self.end_ms <= now_ms:
            last = self.running
            ended.append(last)
            self.running = Candle(self.end_ms, last.close, last.close, last.close, last.close)
            self.end_ms = self.period.next_open(self.end_ms)
            self.version += 1
        self.closed += ended
        if len(self.closed) > 2 * self._keep:
            del self.closed[: -self._keep]
        return ended

    def add(self, trade: Trade, base: int, quote: int) -> None:
        """Add one trade to the running bar; `base` and `quote` are its amounts."""
        bar = self.running
        if not bar.volume:  # the repeated close makes way for the first trade
            bar.open = bar.high = bar.low = trade.price
            bar.first_id = trade.trade_id
        bar.high = max(bar.high, trade.price)
        bar.low = min(bar.low, trade.price)
        bar.close = trade.price
        bar.volume += trade.size
        bar.base += base
        bar.quote += quote
        bar.trades += 1
        bar.last_id = trade.trade_id
        if trade.side is Side.BID:
            bar.taker_base += base
            bar.taker_quote += quote
        self.version += 1
