"""One side of a book, kept in order. Pure."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal

from tickfleet.contract.codec import are_amounts
from tickfleet.contract.decimals import is_amount
from tickfleet.contract.events import Level


class BadLevelError(ValueError):
    """A price or size is not a plain decimal number of at least 0, such as ``42219.9``."""


class Ladder:
    """The levels of one side.

    Args:
        levels: The first levels.
        highest_first: Whether the highest price is the best one, as for bids.

    Raises:
        BadLevelError: From the constructor and ``apply``; the ladder is undefined afterwards.
    """

    __slots__ = ("_highest_first", "_levels", "_prices")

    def __init__(self, levels: Sequence[Level] = (), *, highest_first: bool) -> None:
        self._highest_first = highest_first
        self._levels: dict[Decimal, Level] = {}
        self._prices: list[Decimal] = []
        self.apply(levels)

    def apply(self, levels: Sequence[Level]) -> None:
        """Set each level to its new size; size 0 removes it."""
        if not are_amounts(levels):
            raise BadLevelError
        for level in levels:
            price = Decimal(level.price)
            if Decimal(level.size):
                if price not in self._levels:
                    insort(self._prices, price)
                self._levels[price] = level
            elif self._levels.pop(price, None) is not None:
                del self._prices[bisect_left(self._prices, price)]

    def __len__(self) -> int:
        return len(self._prices)

    def top(self, depth: int | None = None) -> list[Level]:
        """The best ``depth`` levels (all where None), best first."""
        levels, prices = self._levels, self._prices
        if not self._highest_first:
            return [levels[price] for price in prices[:depth]]
        wanted = prices if depth is None else prices[max(len(prices) - depth, 0) :]
        return [levels[price] for price in reversed(wanted)]

    @property
    def best(self) -> Level | None:
        """The best level; None if there is none."""
        return self._levels[self._prices[-1 if self._highest_first else 0]] if self._prices else None

    @property
    def best_price(self) -> Decimal | None:
        """The price of the best level; None if there is none."""
        return self._prices[-1 if self._highest_first else 0] if self._prices else None


def decimal_of(text: str) -> Decimal:
    """The number in a price or size.

    Raises:
        BadLevelError: It is none.
    """
    if not is_amount(text):
        raise BadLevelError(text)
    return Decimal(text)
