"""Every state a book has had, so that the book at any sequence number can be asked. Bounded by age."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field

from tests.simulator.book import Book
from tests.simulator.events import BookChange, Change, Side

_SEGMENT_STEPS = 1_000
"""Changes between two full copies: bounds the work of one question and the grain of forgetting."""


@dataclass(slots=True)
class _Segment:
    """A full book and the changes after it.

    Attributes:
        seq: Sequence number of `start`.
        start: The whole book at `seq`, as changes to an empty one.
        rows: Flat rows (seq, side, price, size, orders): a quarter of the memory of objects.
        steps: Number of changes in `rows`.
        last_ms: Time of the last change.
    """

    seq: int
    start: list[Change]
    last_ms: int
    rows: array[int] = field(default_factory=lambda: array("q"))
    steps: int = 0


class Journal:
    """The history of one book.

    Args:
        book: The live book; copied now and then.
        seq: Its sequence number now.
        now_ms: Its time now.
        history_ms: States older than this may be forgotten.
    """

    def __init__(self, book: Book, seq: int, now_ms: int, history_ms: int) -> None:
        self._book = book
        self._history_ms = history_ms
        self._segments = deque([_Segment(seq, book.levels(), now_ms)])

    def append(self, change: BookChange) -> None:
        """Remember a change that the live book has already taken."""
        segment = self._segments[-1]
        for side, price, size, orders in change.changes:
            segment.rows.extend((change.seq, side, price, size, orders))
        segment.steps += 1
        segment.last_ms = change.ts_ms
        if segment.steps >= _SEGMENT_STEPS:
            self._segments.append(_Segment(change.seq, self._book.levels(), change.ts_ms))
            if self._segments[0].last_ms < change.ts_ms - self._history_ms:
                self._segments.popleft()

    def book_at(self, seq: int) -> Book | None:
        """The whole book at a sequence number, or at the last one before it; None if it is too old."""
        for segment in reversed(self._segments):
            if segment.seq <= seq:
                return _replayed(segment, seq)
        return None


def _replayed(segment: _Segment, seq: int) -> Book:
    book = Book(segment.start)
    rows = segment.rows
    for at in range(0, len(rows), 5):
        if rows[at] > seq:
            break
        book.side(Side(rows[at + 1])).put(rows[at + 2], rows[at + 3], rows[at + 4])
    return book
