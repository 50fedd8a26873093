"""An order book as two sorted ladders. Pure; a level of size 0 does not exist."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from tests.simulator.events import Change, Level, Side


class Ladder:
    """One side of a book, best price first.

    Args:
        side: BID sorts the highest price first, ASK the lowest.
    """

    __slots__ = ("_keys", "_levels", "side", "sign")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.sign = -1 if side is Side.BID else 1  # a smaller key is always the better price
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, price: int) -> bool:
        return price in self._levels

    def put(self, price: int, size: int, orders: int) -> None:
        """Set one level; size 0 removes it, removing what is not there does nothing."""
        if size:
            if price not in self._levels:
                insort(self._keys, self.sign * price)
            self._levels[price] = Level(price, size, orders)
        elif price in self._levels:
            del self._levels[price]
            del self._keys[bisect_left(self._keys, self.sign * price)]

    def get(self, price: int) -> Level:
        """The level at a price; of size 0 if there is none."""
        return self._levels.get(price) or Level(price, 0, 0)

    def at(self, index: int) -> Level:
        """The level at a rank: 0 is the best, -1 the worst. Raises IndexError outside the ladder."""
        return self._levels[self.sign * self._keys[index]]

    def best(self) -> Level | None:
        """The best level, None on an empty side."""
        return self.at(0) if self._keys else None

    def top(self, count: int) -> list[Level]:
        """The best levels, at most `count` of them."""
        sign, levels = self.sign, self._levels
        return [levels[sign * key] for key in self._keys[:count]]


class Book:
    """Bids and asks of one instrument."""

    __slots__ = ("asks", "bids")

    def __init__(self, levels: Iterable[Change] = ()) -> None:
        self.bids = Ladder(Side.BID)
        self.asks = Ladder(Side.ASK)
        self.apply(levels)

    def side(self, side: Side) -> Ladder:
        """The ladder of one side."""
        return self.asks if side else self.bids

    def apply(self, changes: Iterable[Change]) -> None:
        """Set all levels of a change."""
        for side, price, size, orders in changes:
            self.side(side).put(price, size, orders)

    def levels(self) -> list[Change]:
        """The whole book as changes to an empty one."""
        return [Change(ladder.side, *level) for ladder in (self.bids, self.asks) for level in ladder.top(len(ladder))]
