"""Aggregate trades: the matches of one taker order at one price as one row (sheet, section 4.1)."""

from __future__ import annotations

from itertools import groupby

from tests.simulator.events import TakerOrder, Trade
from tests.simulator.item_history import ItemHistory


class Aggregate(Trade, frozen=True, gc=False):
    """One row; `trade_id` is its own id, consecutive per symbol.

    Attributes:
        first_id: Id of the first match inside.
        last_id: Id of the last; the next row begins after it.
    """

    first_id: int
    last_id: int


class Aggregates:
    """Numbers and remembers the rows of one symbol.

    Args:
        next_id: Id of the first row.
        history_ms: Rows older than this may be forgotten.
    """

    def __init__(self, next_id: int, history_ms: int) -> None:
        self._next_id = next_id
        self.history: ItemHistory[Aggregate] = ItemHistory(history_ms)

    def add(self, order: TakerOrder) -> list[Aggregate]:
        """Take the next taker order; returns its rows, which are remembered."""
        rows = []
        for price, group in groupby(order.trades, key=lambda trade: trade.price):
            matches = list(group)
            first, last, size = matches[0], matches[-1], sum(match.size for match in matches)
            row = Aggregate(self._next_id, first.ts_ms, first.side, price, size, first.trade_id, last.trade_id)
            self._next_id += 1
            self.history.append(row)
            rows.append(row)
        return rows
