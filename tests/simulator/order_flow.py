"""Invented order flow for one instrument: makers who requote around a wandering price, takers who hit them."""

from __future__ import annotations

import random
from itertools import pairwise

from tests.simulator.book import Book, Ladder
from tests.simulator.events import Change, Side
from tests.simulator.instruments import Instrument

_LEVEL_WORTH = 4_000
"""Typical worth of one level in quote currency; only sets the scale of sizes."""
_MAX_TOUCH_GAP = 3
"""Ticks the best price may stand away from fair before a maker steps in."""
_MAX_HOLE = 4
"""Widest gap in ticks that makers leave between the levels near the touch: a sweep must not fall far."""
_TENDED_RANKS = 10
"""How far from the touch holes are looked for: what lies deeper was tended when it was near."""
_CHURN_RANK = 15
"""Mean rank of a requoted level: activity is near the touch, as on a real book."""


class OrderFlow:
    """Changes a book at random, but reproducibly.

    Invariant: every bid is at or below `fair`, every ask above it, so the book is never crossed.

    Args:
        instrument: Units and scale.
        rng: Only source of chance; the same state gives the same flow.
    """

    def __init__(self, instrument: Instrument, rng: random.Random) -> None:
        self.book = Book()
        self._instrument = instrument
        self._rng = rng
        self._fair = instrument.start_price
        self._step = max(1, instrument.start_price // 200_000)
        one_lot = instrument.amounts(instrument.start_price, 10**instrument.size_places)[1]
        worth = one_lot / 10**instrument.quote_places
        self._typical = max(1, round(_LEVEL_WORTH / worth * 10**instrument.size_places))
        self._touched: dict[tuple[Side, int], Change] = {}
        self._tend()
        self._touched.clear()

    def quote(self) -> tuple[Change, ...]:
        """Makers move: fair price drifts, some levels are resized, cancelled or added."""
        self._drift()
        for _ in range(self._rng.randint(1, 4)):
            self._churn(Side(self._rng.getrandbits(1)))
        return self._finish()

    def match_order(self) -> tuple[Side, list[tuple[int, int]], tuple[Change, ...]]:
        """One taker order: its side, its matches as (price, size) and what became of the book."""
        side = Side(self._rng.getrandbits(1))
        ladder = self.book.side(Side(1 - side))
        matches: list[tuple[int, int]] = []
        for _ in range(self._rng.choices((1, 2, 3), (75, 18, 7))[0]):
            level = ladder.best()
            if level is None:
                break
            whole = level.size == 1 or self._rng.random() < 0.4
            taken = level.size if whole else self._rng.randint(1, level.size - 1)
            makers = min(level.orders, taken, self._rng.choices((1, 2, 3, 5), (70, 15, 10, 5))[0])
            matches += [(level.price, part) for part in self._split(taken, makers)]
            left = max(1, level.orders - makers)
            self._put(ladder.side, level.price, level.size - taken, 0 if whole else left)
            if not whole:
                break
        return side, matches, self._finish()

    def _finish(self) -> tuple[Change, ...]:
        self._tend()
        changes = tuple(self._touched.values())
        self._touched.clear()
        return changes

    def _put(self, side: Side, price: int, size: int, orders: int) -> None:
        self.book.side(side).put(price, size, orders)
        self._touched[side, price] = Change(side, price, size, orders)

    def _place(self, side: Side, price: int) -> None:
        size = self._instrument.min_size + int(self._rng.expovariate(1.0) * self._typical)
        self._put(side, price, size, self._rng.randint(1, 12))

    def _split(self, total: int, parts: int) -> list[int]:
        cuts = sorted(self._rng.sample(range(1, total), parts - 1)) if parts > 1 else []
        return [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]

    def _drift(self) -> None:
        start = self._instrument.start_price
        pull = (start - self._fair) / (start * 0.1)  # keeps a long run within some percent of its start
        up = self._rng.random() < 0.5 + max(-0.4, min(0.4, pull * 0.1))
        self._fair += (1 if up else -1) * self._rng.randint(0, self._step)
        for ladder, crossed in ((self.book.asks, 1), (self.book.bids, -1)):
            limit = self._fair if crossed > 0 else self._fair + 1
            while (best := ladder.best()) is not None and best.price * crossed <= limit * crossed:
                self._put(ladder.side, best.price, 0, 0)

    def _churn(self, side: Side) -> None:
        ladder = self.book.side(side)
        rank = min(int(self._rng.expovariate(1 / _CHURN_RANK)), len(ladder) - 1)
        level, dice = ladder.at(rank), self._rng.random()
        if dice < 0.15:
            self._put(side, level.price, 0, 0)
        elif dice < 0.65:
            self._place(side, level.price)
        else:
            price = level.price - ladder.sign  # one tick better
            if (price > self._fair) == (side is Side.ASK) and price not in ladder:
                self._place(side, price)

    def _tend(self) -> None:
        """Keep the touch near fair and the depth near its aim, so that any mix of rates stays healthy."""
        for ladder in (self.book.bids, self.book.asks):
            nearest = self._fair + (ladder.side is Side.ASK)
            best = ladder.best()
            if best is None or abs(best.price - nearest) > _MAX_TOUCH_GAP:
                self._place(ladder.side, nearest + ladder.sign * self._rng.randint(0, _MAX_TOUCH_GAP))
            self._fill_holes(ladder)
            depth = self._instrument.depth
            while len(ladder) < depth:
                price = ladder.at(-1).price + ladder.sign * self._rng.randint(1, 3)
                if price <= 0:
                    break
                self._place(ladder.side, price)
            while len(ladder) > depth + depth // 10:
                self._put(ladder.side, ladder.at(-1).price, 0, 0)

    def _fill_holes(self, ladder: Ladder) -> None:
        top = ladder.top(_TENDED_RANKS)
        for near, far in pairwise(top):
            if abs(far.price - near.price) > _MAX_HOLE:
                self._place(ladder.side, near.price + ladder.sign * self._rng.randint(1, _MAX_HOLE))
