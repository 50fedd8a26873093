"""Questions about what a generated market did, answered as plain text values."""

from __future__ import annotations

from tests.simulator.desk import Desk
from tests.simulator.market import Market

Pair = tuple[str, str]


class Ledger:
    """The truth that a collector's output is compared with.

    Every method raises KeyError for an unknown instrument or period.

    Args:
        market: The market; it keeps the history, bounded by its Activity.
    """

    def __init__(self, market: Market) -> None:
        self._market = market

    def trades(self, name: str, after: int | None = None, limit: int | None = None) -> list[dict[str, str]]:
        """Matches, oldest first, as id, px, sz, side (of the taker) and ts (Unix ms).

        Args:
            name: Instrument.
            after: Only ids above this one.
            limit: At most this many; None for all that is remembered.
        """
        desk = self._desk(name)
        text = desk.instrument
        return [
            {
                "id": str(trade.trade_id),
                "px": text.price_text(trade.price),
                "sz": text.size_text(trade.size),
                "side": trade.side.taker,
                "ts": str(trade.ts_ms),
            }
            for trade in desk.history.between(above_id=after)[:limit]
        ]

    def book(self, name: str, seq: int | None = None, depth: int = 400) -> dict[str, list[Pair]] | None:
        """The book as {"bids": ..., "asks": ...} of (price, size), best first.

        Args:
            name: Instrument.
            seq: Sequence number; between two numbers that exist the older state holds. None for now.
            depth: Levels per side.

        Returns: None if the number is older than the history.
        """
        desk = self._desk(name)
        book = desk.book if seq is None else desk.journal.book_at(seq)
        if book is None:
            return None
        text = desk.instrument
        return {
            side: [(text.price_text(level.price), text.size_text(level.size)) for level in ladder.top(depth)]
            for side, ladder in (("bids", book.bids), ("asks", book.asks))
        }

    def candles(self, name: str, period: str) -> list[list[str]]:
        """Closed bars, oldest first: [open ms, open, high, low, close, volume, base amount, quote amount]."""
        desk = self._desk(name)
        text = desk.instrument
        return [
            [
                str(bar.open_ms),
                *(text.price_text(price) for price in (bar.open, bar.high, bar.low, bar.close)),
                text.size_text(bar.volume),
                text.base_text(bar.base),
                text.quote_text(bar.quote),
            ]
            for bar in desk.candles[period].closed
        ]

    def seq(self, name: str) -> int:
        """Sequence number of the book now."""
        return self._desk(name).seq

    def _desk(self, name: str) -> Desk:
        return self._market.desks[name]
