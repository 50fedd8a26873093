"""Price levels of one book, kept in order: what the sanity checks, the checksum and the ``:book`` hash need."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from math import inf

from common.events import Level


class BadLevelError(ValueError):
    """A price or size is not a plain decimal number of at least 0, such as ``42219.9``."""


class _Side:
    """One side: the levels by price, and the prices in ascending order.

    Prices are compared as floats: exact to 15 digits, more than any price has; the texts are kept as they came.
    """

    __slots__ = ("levels", "prices")

    def __init__(self) -> None:
        self.levels: dict[float, Level] = {}
        self.prices: list[float] = []

    def set(self, level: Level) -> None:
        price, size = _number(level.price), _number(level.size)
        if size == 0.0:
            if self.levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]
            return
        if price not in self.levels:
            insort(self.prices, price)
        self.levels[price] = level


class Book:
    """Bids and asks of one instrument."""

    def __init__(self) -> None:
        self._bids = _Side()
        self._asks = _Side()

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Forget everything and take these levels.

        Raises:
            BadLevelError: A level is no number; the book is then undefined until it is replaced again.
        """
        self._bids, self._asks = _Side(), _Side()
        self.apply(bids, asks)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Set each level to its new size; size 0 removes it.

        Raises:
            BadLevelError: As ``replace``.
        """
        for level in bids:
            self._bids.set(level)
        for level in asks:
            self._asks.set(level)

    @property
    def crossed(self) -> bool:
        """Whether somebody bids as much as somebody else asks, which a working market never shows."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def bids(self, depth: int | None = None) -> list[Level]:
        """The best ``depth`` bids (all where None), highest price first."""
        prices, levels = self._bids.prices, self._bids.levels
        wanted = prices if depth is None else prices[max(len(prices) - depth, 0) :]
        return [levels[price] for price in reversed(wanted)]

    def asks(self, depth: int | None = None) -> list[Level]:
        """The best ``depth`` asks (all where None), lowest price first."""
        levels = self._asks.levels
        return [levels[price] for price in self._asks.prices[:depth]]


def _number(text: str) -> float:
    """Stricter than ``float``, which also reads ``1_0``, spaces, exponents and the digits of other scripts."""
    if not (text.isascii() and text.replace(".", "", 1).isdecimal()):
        raise BadLevelError(text)
    number = float(text)
    if number == inf:
        raise BadLevelError(text)
    return number
