"""Puts numbered items in order and finds missing ones. Pure: the time is an argument, requests are results.

Trades have consecutive ids; candle bars have consecutive opening times. So each number comes once and in order. An item
above a hole waits until the hole is filled from elsewhere, or until it is clear that it never will be. Then the hole is
reported and the rest continues.

  last      highest number passed on or given up
  held      items above a hole, by number
  hole      last + 1 .. the first held number - 1, while something is held
  probe     a look for items above ``last`` although nothing above them has arrived: after a connection was made again

A held item that has waited long enough is not trusted if other facts speak against it. If items below it continued to
arrive and the next one does not follow it, it is dropped, and nothing is reported as lost. If the exchange's answers
never had it and nothing is above it, it is set aside. Another item above it then confirms both; if instead items below
it continue to arrive, it is forgotten.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

FIRST_RETRY_S = 0.5
RETRY_CAP_S = 5.0
PATIENCE_TRIES = 5
"""An answer that leaves a number out may come from a cache that is behind; this many in a row are believed."""

ASIDE_RETRY_S = 30.0
"""How often the exchange is asked again about what was set aside."""

SPARE_ARRIVALS = 100
"""Arrivals may be remembered of so many items that are not held any more, beside as many as are held."""

OVERTAKEN_BY = 3
"""An item that is held alone while so many arrive below it is no part of the sequence."""

PROBES_S = (0.0, 3.0, 15.0)
"""When to look after a connection was made: the exchange's REST may be behind its socket."""


class WaitLimits(Struct, frozen=True, kw_only=True):
    """Limits of waiting.

    Attributes:
        max_wait_s: No item waits longer than this, however many holes are below it.
        grace_s: Time for late items to arrive by themselves before they are fetched. It is less than ``max_wait_s``;
            otherwise they would be given up before a fetch.
        max_held: Items held at most; more end the wait at once.
    """

    max_wait_s: float
    grace_s: float
    max_held: int = 100_000


class Lost(Struct, frozen=True):
    """The numbers between ``after`` and ``before``, both exclusive, will never come."""

    after: int
    before: int


class _Held(Struct, Generic[T]):
    first: int
    last: int
    item: T
    advances: bool
    arrived_s: float
    waits: bool = True
    is_believed: bool = False


def _first(held: _Held[T]) -> int:
    return held.first


class GapSequencer(Generic[T]):
    """One sequence of numbered items."""

    def __init__(self, last: int | None, patience: WaitLimits) -> None:
        self.last = last
        self.dropped = 0
        self._patience = patience
        self._held: list[_Held[T]] = []
        self._arrivals: deque[_Held[T]] = deque()  # what is held in the order of its arrival; the first one waits
        self._ask_at_s: float | None = None
        self._retry_s = FIRST_RETRY_S
        self._fruitless = 0
        self._probes_s: list[float] = []
        self.implausible = 0
        """Items that were dropped because nothing but themselves spoke for them."""
        self._passed_below_s: deque[float] = deque([-inf] * OVERTAKEN_BY, maxlen=OVERTAKEN_BY)
        """When items last arrived and were passed on below what is held."""
        self._denials = 0
        """Answers since something is held that end below it."""
        self._aside: tuple[_Held[T], int] | None = None
        """What was set aside, and ``last`` at that time."""

    @property
    def waiting(self) -> bool:
        """Whether items wait behind a hole."""
        return bool(self._held)

    @property
    def aside(self) -> T | None:
        """The item that was set aside, if any."""
        return None if self._aside is None else self._aside[0].item

    @property
    def hole(self) -> tuple[int, int, T] | None:
        """The missing numbers, both bounds exclusive, and the item behind them; None if nothing is held."""
        if not self._held or self.last is None:
            return None
        return self.last, self._held[0].first, self._held[0].item

    @property
    def is_fast(self) -> bool:
        """Whether an item only has to be the next one to pass."""
        return not self._held and self.last is not None

    def takes(self, number: int) -> bool:
        """Whether an item with one number is simply the next one and nothing waits: ``offer`` would pass it on."""
        if self._held or self.last is None or number != self.last + 1:
            return False
        self.last = number
        return True

    def offer(self, item: T, first: int, last: int, now_s: float, *, advances: bool = True) -> list[T | Lost]:
        """Take an item that has arrived; returns what may be passed on now, in order.

        Args:
            item: Covers the numbers ``first`` to ``last``, both inclusive.
            first: Lowest number.
            last: Highest number.
            now_s: Monotonic time.
            advances: False for an item that may come again (a running bar): it needs everything below it, but does not
                complete its own number.
        """
        if self.last is None:
            self.last = first - 1
        if last <= self.last:
            self.dropped += 1
            return []
        if first <= self.last:
            # Part of an aggregate has been passed on already: the rest must be fetched one by one.
            self._request(now_s)
            return []
        if not self._held and first == self.last + 1:
            if advances:
                self.last = last
            return [item]
        below = first == self.last + 1
        ready = self._hold(_Held(first, last, item, advances, now_s), now_s)
        if below and self._held:
            self._passed_below_s.append(now_s)
        return ready

    def _hold(self, held: _Held[T], now_s: float) -> list[T | Lost]:
        if not self._held:
            self._ask_at_s = now_s + self._patience.grace_s
            self._retry_s, self._fruitless, self._denials = FIRST_RETRY_S, 0, 0
        self._look_aside()
        if self._aside is not None:
            self._hold_again(self._aside[0], held, now_s)
        place = bisect_right(self._held, held.first, key=_first)  # behind those of the same number
        before = self._held[place - 1] if place else None
        if held.advances and before is not None and before.first == held.first and before.advances:
            self.dropped += 1
            return []
        self._held.insert(place, held)
        self._arrivals.append(held)
        ready = self._release(now_s)
        if len(self._held) > self._patience.max_held:
            ready += self._give_up(now_s)
        return ready

    def fill(self, items: Iterable[tuple[int, T]], now_s: float, *, more: bool) -> list[T | Lost]:
        """Take fetched items; returns what may be passed on now, in order.

        Args:
            items: Number and item, ascending.
            now_s: Monotonic time.
            more: Whether the answer was full, so that further items may follow.
        """
        ready: list[T | Lost] = []
        beyond: int | None = None
        for number, item in items:
            if self.last is None or number <= self.last:
                continue
            if number > self.last + 1:
                beyond = number
                break
            self.last = number
            ready.append(item)
        self._denials += self._held != [] and not more and beyond is None
        if ready:
            self._retry_s, self._fruitless = FIRST_RETRY_S, 0
            self._ask_at_s = None
            ready += self._release(now_s)
            if self._held or more:
                self._ask_at_s = now_s
            return ready
        self._fruitless += 1
        if beyond is not None and self._fruitless >= PATIENCE_TRIES and self._held:
            return self._skip_to(min(beyond, self._held[0].first), now_s)
        self.failed(now_s)
        return []

    def failed(self, now_s: float) -> None:
        """An attempt to fetch brought nothing: try again later."""
        if self._held:
            self._ask_at_s = now_s + self._retry_s
            self._retry_s = min(self._retry_s * 2, RETRY_CAP_S)
        else:
            self._ask_at_s = None if self._aside is None else now_s + ASIDE_RETRY_S

    def probe(self, now_s: float) -> None:
        """A reconnect happened: check soon whether something above ``last`` was missed."""
        self._probes_s = [now_s + after_s for after_s in PROBES_S]

    def request(self, now_s: float) -> int | None:
        """The number from which to fetch now, or None if there is nothing to fetch yet."""
        if self.last is None:
            return None
        if self._ask_at_s is not None and now_s >= self._ask_at_s:
            self._ask_at_s = None  # until the answer, or its failure, sets it again
            return self.last + 1
        if self._probes_s and now_s >= self._probes_s[0]:
            self._probes_s = [at_s for at_s in self._probes_s if at_s > now_s]
            return self.last + 1
        return None

    def ask(self, now_s: float) -> None:
        """There may be items above ``last``: check soon."""
        if self._ask_at_s is None:
            self._ask_at_s = now_s + self._patience.grace_s

    def next_at_s(self) -> float | None:
        """The next moment at which ``request`` or ``due`` may have something, or None."""
        if self.last is None:
            return None  # there is nothing to look behind yet
        moments = [*self._probes_s[:1]]
        if self._ask_at_s is not None:
            moments.append(self._ask_at_s)
        if self._arrivals:
            moments.append(self._arrivals[0].arrived_s + self._patience.max_wait_s)
        return min(moments, default=None)

    def due(self, now_s: float) -> list[T | Lost]:
        """What may be passed on because of the time: holes below items that have waited long enough are given up."""
        ready: list[T | Lost] = []
        self._look_aside()
        while self._arrivals and now_s >= self._arrivals[0].arrived_s + self._patience.max_wait_s:
            oldest = self._arrivals[0]
            is_highest = self._held[-1].first <= oldest.last
            overtaken = self._passed_below_s[0] > oldest.arrived_s + self._patience.grace_s
            if overtaken and not self._is_followed(oldest):
                self.implausible += self._let_go(oldest)
            elif is_highest and self._denials >= PATIENCE_TRIES and not oldest.is_believed and self._aside is None:
                self._aside = self._last_word(oldest), self.last or 0
                self._let_go(oldest)
                self._ask_at_s = self._ask_at_s or now_s + ASIDE_RETRY_S
            else:
                ready += self._give_up(now_s)
        return ready

    def _is_followed(self, held: _Held[T]) -> bool:
        """Whether the item that follows is held."""
        place = bisect_right(self._held, held.last, key=_first)
        return place < len(self._held) and self._held[place].first == held.last + 1

    def _last_word(self, held: _Held[T]) -> _Held[T]:
        """The best of the held items with the same number: a closed bar rather than a running one."""
        return next((each for each in self._held[self._places(held.first)] if each.advances), held)

    def _places(self, number: int) -> slice:
        """Where the items of a number are held."""
        return slice(bisect_left(self._held, number, key=_first), bisect_right(self._held, number, key=_first))

    def _let_go(self, held: _Held[T]) -> int:
        """Remove a held item and all with the same number; returns how many were removed."""
        places = self._places(held.first)
        for each in self._held[places]:
            each.waits = False
        count = places.stop - places.start
        del self._held[places]
        self._forget_arrivals()
        if not self._held:
            self._ask_at_s = None
        return int(count)

    def _look_aside(self) -> None:
        """Forget the item set aside if it has come after all, or was overtaken."""
        if self._aside is None or self.last is None:
            return
        aside, last_then = self._aside
        if self.last >= aside.first:
            self._aside = None
        elif self.last - last_then >= OVERTAKEN_BY:
            self._aside = None
            self.implausible += 1

    def _hold_again(self, aside: _Held[T], following: _Held[T], now_s: float) -> None:
        """Hold the item set aside again, now that another item is above it."""
        if aside.last < following.first:
            self._aside = None
            again = _Held(aside.first, aside.last, aside.item, aside.advances, now_s, is_believed=True)
            following.is_believed = True
            self._held.insert(bisect_right(self._held, again.first, key=_first), again)
            self._arrivals.append(again)

    def begin_anew(self, first: int, now_s: float) -> list[T | Lost]:
        """Continue the numbers with ``first``, whatever came before: items behind holes are passed on."""
        ready: list[T | Lost] = []
        while self._held:
            ready += self._give_up(now_s)
        self.last = first - 1
        self._ask_at_s = self._aside = None
        return ready

    def _request(self, now_s: float) -> None:
        if self._ask_at_s is None:
            self._ask_at_s = now_s

    def _give_up(self, now_s: float) -> list[T | Lost]:
        return self._skip_to(self._held[0].first, now_s)

    def _skip_to(self, number: int, now_s: float) -> list[T | Lost]:
        """Report everything below ``number`` as lost."""
        if self.last is None:
            return []
        lost = Lost(self.last, number)
        if self._aside is not None:  # what is given up overtakes nothing
            self._aside = self._aside[0], self._aside[1] + number - 1 - self.last
        self.last = number - 1
        self._fruitless = 0
        self._ask_at_s = now_s
        return [lost, *self._release(now_s)]

    def _release(self, now_s: float) -> list[T | Lost]:
        """Pass on held items that are no longer behind a hole."""
        ready: list[T | Lost] = []
        done = 0
        wished = False
        for held in self._held:
            if self.last is None or held.first > self.last + 1:
                break
            done += 1
            held.waits = False
            if held.last <= self.last:
                self.dropped += 1
            elif held.first <= self.last:
                wished = True  # part of an aggregate was passed on already: the rest is fetched one by one
            else:
                ready.append(held.item)
                if held.advances:
                    self.last = held.last
        del self._held[:done]
        self._forget_arrivals()
        if wished:
            self._ask_at_s = now_s
        elif done and not self._held:
            self._ask_at_s = None
        return ready

    def _forget_arrivals(self) -> None:
        while self._arrivals and not self._arrivals[0].waits:
            self._arrivals.popleft()
        if len(self._arrivals) > 2 * len(self._held) + SPARE_ARRIVALS:  # the first one waits while others pass
            self._arrivals = deque(each for each in self._arrivals if each.waits)
