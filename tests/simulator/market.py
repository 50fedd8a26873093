"""A seeded market of several instruments, driven by an explicit clock. Knows no exchange."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from tests.simulator.candles import SECOND_MS, Period
from tests.simulator.desk import Activity, Desk
from tests.simulator.events import Event
from tests.simulator.instruments import Instrument


class Market:
    """Orders, quotes and bars of all instruments in one order of time.

    The events depend on the seed and the start alone: however the time up to some moment is cut into calls of
    `advance`, the calls together return the same events.

    Args:
        instruments: What is traded; names must differ.
        seed: Source of all chance.
        start_ms: Time of the first state, Unix ms.
        activity: Rates and memory of every instrument.
        periods: Candles to keep.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        seed: int,
        start_ms: int,
        activity: Activity | None = None,
        periods: Sequence[Period] = (),
    ) -> None:
        self.now_ms = start_ms
        self._next_second = start_ms - start_ms % SECOND_MS + SECOND_MS
        activity = activity or Activity()
        self.desks = {
            instrument.name: Desk(instrument, activity, periods, seed, start_ms) for instrument in instruments
        }
        self._due = [(desk.next_ms, rank, desk) for rank, desk in enumerate(self.desks.values())]
        heapq.heapify(self._due)

    def advance(self, now_ms: int) -> list[Event]:
        """Let time pass; returns all events up to and including now, oldest first.

        At equal times the order is: bars that end, then orders and quotes by rank of their instrument. A taker
        order comes before the book change that it causes.
        """
        events: list[Event] = []
        due = self._due
        while True:
            limit = min(self._next_second, now_ms + 1)  # bars end before the orders of the same moment
            while due and due[0][0] < limit:
                _, rank, desk = due[0]
                events += desk.run()
                heapq.heapreplace(due, (desk.next_ms, rank, desk))
            if self._next_second > now_ms:
                break
            for desk in self.desks.values():
                events += desk.roll(self._next_second)
            self._next_second += SECOND_MS
        self.now_ms = max(self.now_ms, now_ms)
        return events
