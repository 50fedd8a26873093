"""The part of a book that an exchange shows: the best N levels of each side, kept by differences."""

from __future__ import annotations

from collections.abc import Iterable

from tests.simulator.book import Book, Ladder
from tests.simulator.events import Change, Side


class Window:
    """The best `depth` levels of each side of a book, as of the last refresh.

    Args:
        book: The whole book; it is read, never changed.
        depth: Levels per side.
    """

    def __init__(self, book: Book, depth: int) -> None:
        self._whole = book
        self._depth = depth
        self.shown = Book(Change(side, *level) for side in Side for level in book.side(side).top(depth))

    def refresh(self, touched: Iterable[tuple[Side, int]]) -> list[Change]:
        """Follow the book; the work grows with the number of changes, not with the depth.

        Args:
            touched: (side, price) of every level that changed since the last call, in any order.

        Returns:
            The levels whose shown state changed; those that left the window have size 0, whether or not they
            still rest in the whole book (sheet 5, rule 4: the exchange deletes what leaves the window).
        """
        changes: list[Change] = []
        for side, price in touched:
            whole, shown = self._whole.side(side), self.shown.side(side)
            level = whole.get(price)
            if self._outside(whole, price):
                level = level._replace(size=0, orders=0)
            if level != shown.get(price):
                shown.put(*level)
                changes.append(Change(side, *level))
        for side in Side:
            changes += self._leave(side)
            changes += self._enter(side)
        return changes

    def _outside(self, whole: Ladder, price: int) -> bool:
        if len(whole) <= self._depth:
            return False
        return whole.sign * price > whole.sign * whole.at(self._depth - 1).price

    def _leave(self, side: Side) -> Iterable[Change]:
        """Untouched levels that better ones pushed out; they are the worst of those shown."""
        whole, shown = self._whole.side(side), self.shown.side(side)
        while len(shown) and self._outside(whole, price := shown.at(-1).price):
            shown.put(price, 0, 0)
            yield Change(side, price, 0, 0)

    def _enter(self, side: Side) -> Iterable[Change]:
        """Untouched levels that moved up into the window; they are the worst ranks of it."""
        whole, shown = self._whole.side(side), self.shown.side(side)
        rank = min(self._depth, len(whole))
        while len(shown) < min(self._depth, len(whole)):
            rank -= 1
            level = whole.at(rank)
            if level.price not in shown:
                shown.put(*level)
                yield Change(side, *level)
