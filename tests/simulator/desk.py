"""One instrument of a generated market: its book, its trades and all figures made from them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulator.candles import CandleSeries, Period
from tests.simulator.day_stats import DayStats
from tests.simulator.events import BookChange, CandleClosed, Change, Event, TakerOrder, Trade
from tests.simulator.instruments import Instrument
from tests.simulator.item_history import ItemHistory
from tests.simulator.journal import Journal
from tests.simulator.order_flow import OrderFlow

_IDS_FROM_MS = 1_600_000_000_000
"""Ids start from the clock, so that a simulator started again continues above its earlier ids."""
_LEVEL_IDS_PER_MS = 4
"""More than any market here changes levels in a millisecond, for the same reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How busy an instrument is, and how much of it is remembered.

    Attributes:
        trades_per_s: Mean rate of taker orders, >= 0; 0 means none.
        quotes_per_s: Rate of maker changes, >= 0; one at a random moment of each slot of 1 / rate.
        history_ms: Age up to which trades and book states can be asked.
        candles: Closed bars to remember per period.
        level_ids: Sequence numbers count changes of levels, without holes; otherwise they grow by chance.
    """

    trades_per_s: float = 5.0
    quotes_per_s: float = 20.0
    history_ms: int = 3_600_000
    candles: int = 1_440
    level_ids: bool = False


class Desk:
    """Generates one instrument's events at deterministic times.

    Args:
        instrument: What is traded.
        activity: Rates and memory.
        periods: Candles to keep.
        seed: With the instrument's name, the only source of chance.
        start_ms: Time of the first state.
    """

    def __init__(
        self, instrument: Instrument, activity: Activity, periods: Sequence[Period], seed: int, start_ms: int
    ) -> None:
        self.instrument = instrument
        self._rng = random.Random(f"{seed}:{instrument.name}")
        self._order_flow = OrderFlow(instrument, self._rng)
        self._activity = activity
        self._start_ms = start_ms
        self.book = self._order_flow.book
        self.book_ms = start_ms
        ids_from_ms = start_ms - _IDS_FROM_MS
        self.seq = max(1, ids_from_ms * _LEVEL_IDS_PER_MS if activity.level_ids else ids_from_ms // 2)
        self.next_trade_id = max(1, ids_from_ms // 10)
        self.last_order: TakerOrder | None = None
        self.history: ItemHistory[Trade] = ItemHistory(activity.history_ms)
        self.journal = Journal(self.book, self.seq, start_ms, activity.history_ms)
        self.day = DayStats(start_ms, instrument.start_price)
        self.candles = {
            period.name: CandleSeries(period, start_ms, instrument.start_price, activity.candles) for period in periods
        }
        self._quotes = 0
        self._quote_at = self._next_quote()
        self._trade_at = self._next_trade(float(start_ms))

    @property
    def next_ms(self) -> float:
        """Time of the next order or quote; infinity if there is none."""
        return min(self._quote_at, self._trade_at)

    @property
    def last_price(self) -> int:
        """Price of the last trade in ticks, or the first fair price."""
        return self.last_order.trades[-1].price if self.last_order else self.instrument.start_price

    def run(self) -> list[Event]:
        """Perform the next order or quote; bars that end before it must have been closed."""
        if self._quote_at <= self._trade_at:
            at = self._quote_at
            self._quote_at = self._next_quote()
            return [self._change(int(at), self._order_flow.quote())]
        at = self._trade_at
        self._trade_at = self._next_trade(at)
        return self._match_order(int(at))

    def roll(self, now_ms: int) -> list[CandleClosed]:
        """Close the bars that end at or before now."""
        self.day.roll(now_ms)
        return [
            CandleClosed(self.instrument.name, name, candle)
            for name, series in self.candles.items()
            if series.end_ms <= now_ms
            for candle in series.roll(now_ms)
        ]

    def _match_order(self, now_ms: int) -> list[Event]:
        side, matches, changes = self._order_flow.match_order()
        trades: list[Trade] = []
        for price, size in matches:
            trade = Trade(self.next_trade_id, now_ms, side, price, size)
            self.next_trade_id += 1
            trades.append(trade)
            self.history.append(trade)
            base, quote = self.instrument.amounts(price, size)
            self.day.add(trade, base, quote)
            for series in self.candles.values():
                series.add(trade, base, quote)
        change = self._change(now_ms, changes)
        self.last_order = TakerOrder(self.instrument.name, now_ms, change.seq, tuple(trades))
        return [self.last_order, change]

    def _change(self, now_ms: int, changes: tuple[Change, ...]) -> BookChange:
        self.seq += len(changes) if self._activity.level_ids else self._rng.randint(1, 12)
        self.book_ms = now_ms
        change = BookChange(self.instrument.name, now_ms, self.seq, changes)
        self.journal.append(change)
        return change

    def _next_quote(self) -> float:
        rate = self._activity.quotes_per_s
        if rate <= 0:
            return math.inf
        self._quotes += 1
        return self._start_ms + (self._quotes - 1 + self._rng.random()) * 1_000 / rate

    def _next_trade(self, last: float) -> float:
        rate = self._activity.trades_per_s
        return last + self._rng.expovariate(rate) * 1_000 if rate > 0 else math.inf
