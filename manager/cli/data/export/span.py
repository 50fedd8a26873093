"""Which entries of a stream belong to a range of time. Pure.

The range applies to ``ts_event``, the exchange's time, as in ``manager-cli coverage``. The stream's ids are close to
it, but not the same: they never fall, and come from the collector's clock if the exchange's is more than a minute off
(``publish/stream_ids.py``). So the stream is read from a little before the range to a little after it.

A gap covers the time between the data on its two sides. It belongs to the range if this time touches the range, or if
the gap's own time lies in it. So a gap at the border of two ranges belongs to both. The same holds for missed and
unreadable entries.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from tickfleet.contract.events import FeedStatus, Gap
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.reading.entries import Entry, Missed, Rewound, Unreadable
from tickfleet.reading.position import id_order

_NS_PER_MS = 1_000_000
MARGIN_MS = 5 * 60_000
"""How far an entry's time may be from its id's time: five times what the collector allows."""


class ExportSpan(Struct, frozen=True):
    """``[from_ns, to_ns)``; ``interval`` is that of candles, else empty."""

    from_ns: int
    to_ns: int
    interval: str = ""

    def holds(self, at_ns: int) -> bool:
        """Whether a time lies in it."""
        return self.from_ns <= at_ns < self.to_ns

    @property
    def first_ms(self) -> int:
        """No entry with a lower id belongs to it."""
        return max(self.from_ns // _NS_PER_MS - MARGIN_MS, 0)

    @property
    def last_ms(self) -> int:
        """No data with a higher id belongs to it. A bar carries its open time, but is written until it closes."""
        return self.to_ns // _NS_PER_MS + MARGIN_MS + self._bar_ms

    def is_odd(self, at_ns: int, entry_id: str) -> bool:
        """Whether the id of an entry lies in the range, but its own time is far from the id."""
        id_ns, margin_ns = id_order(entry_id)[0] * _NS_PER_MS, (MARGIN_MS + self._bar_ms) * _NS_PER_MS
        return self.holds(id_ns) and abs(at_ns - id_ns) > margin_ns

    @property
    def _bar_ms(self) -> int:
        return INTERVAL_S.get(self.interval, 0) * 1_000

    def share(self, entry_id: str, first_id: str, last_id: str) -> float:
        """The share, 0 to 1, of the reading that is done at an entry; at most ``first_id`` to ``last_id`` is read."""
        start_ms = max(self.first_ms, id_order(first_id)[0])
        end_ms = min(self.last_ms, id_order(last_id)[0])
        return (
            min(max((id_order(entry_id)[0] - start_ms) / (end_ms - start_ms), 0.0), 1.0) if end_ms > start_ms else 1.0
        )


class Sieve:
    """Passes on the entries of a range, in order; call ``rest`` at the end.

    Attributes:
        done: No later entry can belong to the range.
        odd: Data entries whose ids lie in the range but whose times are far from their ids: they are not passed on.
    """

    def __init__(self, span: ExportSpan) -> None:
        self.done, self.odd = False, 0
        self._span = span
        self._before_ns: int | None = None
        self._waiting: list[Entry] = []

    def select(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The next entries of the stream, as far as they belong to the range."""
        for entry in entries:
            if self.done:
                return
            if isinstance(entry.event, (Gap, FeedStatus, Missed, Rewound, Unreadable)):
                self._waiting.append(entry)
                continue
            yield from self._between(entry.event.ts_event)
            self._before_ns = entry.event.ts_event
            if self._span.holds(entry.event.ts_event):
                yield entry
            else:
                self.odd += self._span.is_odd(entry.event.ts_event, entry.id)
            self.done = id_order(entry.id)[0] > self._span.last_ms

    def rest(self) -> Iterator[Entry]:
        """What is behind the last data."""
        return iter(()) if self.done else self._between(None)

    def _between(self, after_ns: int | None) -> Iterator[Entry]:
        """The entries between two data entries; None means the beginning or the end of the stream."""
        begins = self._before_ns is None or self._before_ns < self._span.to_ns
        touches = begins and (after_ns is None or after_ns >= self._span.from_ns)
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            if isinstance(entry.event, FeedStatus):
                belongs = self._span.holds(entry.event.ts_event)
            else:
                belongs = touches or (isinstance(entry.event, Gap) and self._span.holds(entry.event.ts_event))
            if belongs:
                yield entry
