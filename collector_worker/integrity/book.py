"""Price levels of one book in order, for the sanity checks, the checksum and the ``:book`` hash."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from math import inf

from tickfleet.contract.codec import are_amounts
from tickfleet.contract.events import Level

MAX_LEVELS = 50_000
"""On a side: more than any book of an exchange is deep, and what bounds our memory to some 30 MiB."""


class BookLevelError(ValueError):
    """A price or size is not a plain decimal number of at least 0, such as ``42219.9``."""

    reason = "bad_level"


class TooManyLevelsError(BookLevelError):
    """A side has more than ``MAX_LEVELS``."""

    reason = "too_many_levels"


class _Side:
    """One side: the levels by price, and the prices in ascending order.

    Prices are compared as floats, exact to 15 digits, which is more than any price has. The texts are kept unchanged.
    """

    __slots__ = ("levels", "prices")

    def __init__(self) -> None:
        self.levels: dict[float, Level] = {}
        self.prices: list[float] = []

    def set(self, level: Level) -> None:
        price, size = float(level.price), float(level.size)
        if size == 0.0:
            if self.levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]
            return
        if price not in self.levels:
            if len(self.prices) >= MAX_LEVELS:
                raise TooManyLevelsError
            insort(self.prices, price)
        self.levels[price] = level


class Book:
    """Bids and asks of one instrument."""

    def __init__(self) -> None:
        self._bids = _Side()
        self._asks = _Side()
        self._known_bid: float | None = None
        self._known_ask: float | None = None
        self._cut_at = 0
        self._began_with = 0, 0

    def replace(self, bids: Sequence[Level], asks: Sequence[Level], cut_at: int = 0) -> None:
        """Forget everything and take these levels.

        Args:
            bids: Levels in any order.
            asks: Likewise.
            cut_at: The snapshot was cut at so many levels per side. A side with so many has more levels, known only
                when they change; a side with fewer may have more, too. 0: there are no more.

        Raises:
            BookLevelError: A level is no number, or there are too many; the book is then undefined until it is replaced
                again.
        """
        self._bids, self._asks = _Side(), _Side()
        self._known_bid = self._known_ask = None
        self.apply(bids, asks)
        self._cut_at, self._began_with = cut_at, (len(self._bids.prices), len(self._asks.prices))
        if cut_at:
            self._known_bid = self._bids.prices[0] if self._bids.prices else inf
            self._known_ask = self._asks.prices[-1] if self._asks.prices else -inf

    def believe(self) -> None:
        """Note that sides that began with fewer levels than the cut have no further levels."""
        bids, asks = self._began_with
        self._known_bid = self._known_bid if bids >= self._cut_at else None
        self._known_ask = self._known_ask if asks >= self._cut_at else None

    def has_prices_of(self, other: "Book") -> bool:
        """Whether both books have levels at the same prices."""
        mine, others = (self._bids.prices, self._asks.prices), (other._bids.prices, other._asks.prices)
        return mine == others

    @property
    def sizes(self) -> tuple[int, int]:
        """How many bids there are, and how many asks."""
        return len(self._bids.prices), len(self._asks.prices)

    def apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Set each level to its new size; size 0 removes it.

        Raises:
            BookLevelError: As ``replace``.
        """
        if not (are_amounts(bids) and are_amounts(asks)):
            raise BookLevelError
        for level in bids:
            self._bids.set(level)
        for level in asks:
            self._asks.set(level)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at least as high as the best ask, which never happens in a working market."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    @property
    def known_depth(self) -> int | None:
        """How many levels, counted from the best, are certain on the side with fewer; None if all are.

        Up to the worst price of a cut snapshot every level is known. Beyond it, resting orders that never change are
        not (Binance sheet, section 5.3). A side that began empty does not count while it is empty.
        """
        depths = []
        if self._known_bid is not None and (self._bids.prices or self._known_bid < inf):
            depths.append(len(self._bids.prices) - bisect_left(self._bids.prices, self._known_bid))
        if self._known_ask is not None and (self._asks.prices or self._known_ask > -inf):
            depths.append(bisect_right(self._asks.prices, self._known_ask))
        return min(depths, default=None)

    def bids(self, depth: int | None = None) -> list[Level]:
        """The best ``depth`` bids (None: all), highest price first."""
        prices, levels = self._bids.prices, self._bids.levels
        wanted = prices if depth is None else prices[max(len(prices) - depth, 0) :]
        return [levels[price] for price in reversed(wanted)]

    def asks(self, depth: int | None = None) -> list[Level]:
        """The best ``depth`` asks (None: all), lowest price first."""
        levels = self._asks.levels
        return [levels[price] for price in self._asks.prices[:depth]]
