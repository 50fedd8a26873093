"""All trades of one instrument, oldest first, bounded by age."""

from __future__ import annotations

from bisect import bisect_left
from typing import Generic, TypeVar

from tests.simulator.events import Trade

_TRIM_EVERY = 1_000
"""Trades forgotten at once: a list is cheap to cut seldom."""

_T = TypeVar("_T", bound=Trade)


class ItemHistory(Generic[_T]):
    """Remembers trades with consecutive ids.

    Args:
        history_ms: Trades older than this are forgotten, some later than others.
    """

    def __init__(self, history_ms: int) -> None:
        self._history_ms = history_ms
        self._trades: list[_T] = []

    def __len__(self) -> int:
        return len(self._trades)

    def append(self, trade: _T) -> None:
        """Remember a trade; its id must be one above the last."""
        trades = self._trades
        trades.append(trade)
        if len(trades) > _TRIM_EVERY and trades[_TRIM_EVERY].ts_ms < trade.ts_ms - self._history_ms:
            del trades[:_TRIM_EVERY]

    def between(self, above_id: int | None = None, below_id: int | None = None) -> list[_T]:
        """Trades with ``above_id < id < below_id``, oldest first; None means no bound."""
        if not self._trades:
            return []
        first = self._trades[0].trade_id
        start = 0 if above_id is None else max(0, above_id + 1 - first)
        stop = len(self._trades) if below_id is None else max(0, below_id - first)
        return self._trades[start:stop]

    def before(self, ts_ms: int) -> list[_T]:
        """Trades earlier than a moment, oldest first."""
        return self._trades[: bisect_left(self._trades, ts_ms, key=lambda trade: trade.ts_ms)]
