"""Turns the entries of a completeness ledger into intervals on a time line. Pure.

If items are numbered, missing items are tracked by id, because many trades share one time: filling a piece of a gap
removes exactly the items of that piece. Only the result is given in times, and it is cautious: an item that is missing
between two others may have the time of either, so a hole covers both times in full.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from enum import Enum
from heapq import heappop, heappush
from itertools import islice, pairwise

from msgspec import Struct
from msgspec.structs import replace

_MOST_DIGITS = 19
"""Of an id: what is longer is no number of ours."""


_MOST_IN_ONE_PLACE = 30
"""Holes that overlap in time; a collector has some at once at most."""


class State(Enum):
    """What is known about a span of time."""

    COMPLETE = "complete"
    FILLED = "filled"  # complete, because it was fetched afterwards
    LOST = "lost"  # something is missing for good
    OPEN = "open"  # something is missing and being fetched
    UNKNOWN = "unknown"  # no run collected, and what it missed was never fetched


_RANK = {state: rank for rank, state in enumerate(State)}
"""Where two states hold at one time, the later one of the enumeration is reported: the one that promises less."""


class Interval(Struct, frozen=True):
    """The state of the times ``[from_ts, to_ts)``, ns of the exchange.

    ``from_id`` and ``to_id`` are the items at its edges, if they are numbered and known. In a ``complete`` interval
    they are the first and last item inside; in any other they are the neighbours outside. Some items between the
    neighbours may be present.
    """

    from_ts: int
    to_ts: int
    state: State
    from_id: str | None = None
    to_id: str | None = None
    reason: str = ""


class Span(Struct, frozen=True):
    """A piece of the time line: the times ``[start, stop)``, and the ids on its two sides, which lie outside it."""

    state: State
    start: int
    stop: int
    from_id: int | None
    to_id: int | None
    reason: str = ""

    @classmethod
    def between(
        cls, state: State, from_ts: int, to_ts: int, from_id: int | None, to_id: int | None, reason: str = ""
    ) -> "Span":
        """The span between two items (see the module), or between two times if there are no numbers.

        It is never empty: a hole within one single time is reported too.
        """
        start, stop = min(from_ts, to_ts), max(from_ts, to_ts)
        numbered = from_id is not None and to_id is not None
        return cls(state, start, stop + 1 if numbered or start == stop else stop, from_id, to_id, reason)

    @property
    def numbered(self) -> bool:
        """Whether it is bounded by ids."""
        return self.from_id is not None and self.to_id is not None

    @property
    def void(self) -> bool:
        """Whether no number lies between its two ids."""
        return self.from_id is not None and self.to_id is not None and self.to_id - self.from_id <= 1

    def shares_items(self, other: "Span") -> bool:
        """Whether both spans are bounded by ids and have at least one number in common."""
        if self.from_id is None or self.to_id is None or other.from_id is None or other.to_id is None:
            return False
        return max(self.from_id, other.from_id) + 1 < min(self.to_id, other.to_id)

    def _beside(self, piece: "Span") -> "list[Span]":
        """What is left of it in time."""
        rests = []
        if self.start < piece.start:
            rests.append(replace(self, stop=min(self.stop, piece.start), to_id=None))
        if self.stop > piece.stop:
            rests.append(replace(self, start=max(self.start, piece.stop), from_id=None))
        return rests

    def _without_times(self, piece: "Span") -> "list[Span]":
        """What is left of it if only times are known: they do not tell which of its items are there."""
        if self.state is State.LOST and self.numbered and piece.state is State.FILLED:
            return [self]
        rests = self._beside(piece)
        return [*rests[:-1], *(replace(last, from_id=self.from_id, to_id=self.to_id) for last in rests[-1:])]

    def without(self, piece: "Span") -> "Iterator[Span]":
        """What is left of it before and after the given piece."""
        if not piece.numbered:
            yield from self._without_times(piece)
            return
        if self.from_id is None or self.to_id is None or piece.from_id is None or piece.to_id is None:
            yield from self._beside(piece)
            return
        if not self.shares_items(piece):  # whose times may be those of an item further off
            yield self
            return
        stop, to_id = min(self.stop, max(self.start, piece.start) + 1), min(self.to_id, piece.from_id + 1)
        if to_id - self.from_id > 1:
            same = stop == self.stop and to_id == self.to_id
            yield self if same else replace(self, stop=stop, to_id=to_id)
        start, from_id = max(self.start, min(self.stop, piece.stop) - 1), max(self.from_id, piece.to_id - 1)
        if self.to_id - from_id > 1:
            same = start == self.start and from_id == self.from_id
            yield self if same else replace(self, start=start, from_id=from_id)


def number_of(text: str | None) -> int | None:
    """The id as a number, or None if it is not a number."""
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if text is not None and is_number else None


def _place(span: Span) -> tuple[int, int]:
    return span.start, span.stop


class Timeline:
    """Takes the ledger entries of one data type in their order; ``intervals`` gives the result."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._past_runs: set[str] = set()
        self._first_ts: int | None = None
        self._first_id: int | None = None
        self._end = 0
        self._told_until = 0
        """Gaps are told up to here, which may be behind the end by the item at their edge."""
        self._end_id: int | None = None
        self._holes: list[Span] = []  # by place; they share no item, so they are sorted by stop as well
        self._open: list[Span] = []  # those of them that are open and numbered; they share no item: sorted by both ids
        self._merged: list[Span] = []  # holes that were too many in one place to be told apart
        self._filled: list[Span] = []

    def open(self, run_id: str, ts: int, number: int | None, at: int, *, continues: bool) -> None:
        """A run collects from ``ts`` on. The time from earlier data to ``ts`` is unknown, unless the run continues it.

        If ``ts`` is later than ``at``, when this was noted, nothing between the two times is confirmed.
        """
        if self._run is not None and run_id != self._run:
            self._past_runs.add(self._run)
        self._run = run_id
        if self._first_ts is None:
            self._first_ts, self._first_id = self._end, self._end_id = ts, number
            return
        between = Span.between(State.UNKNOWN, self._end, ts, self._end_id, number)
        joins = ts <= self._end
        if self._end_id is not None and number is not None:
            joins = number in (self._end_id, self._end_id + 1) or (joins and number < self._end_id)
            if (
                number < self._end_id
            ):  # it does not compare with what ended the hole before, which may have been garbage
                between = Span.between(State.UNKNOWN, self._end, ts, None, None)
        if not (continues or joins):
            self._put(between)
            self._told_until = max(self._told_until, min(between.stop, at + 1))
        self._reach(min(ts, at), number)

    def complete(self, run_id: str, ts: int, number: int | None) -> None:
        """Everything is there up to ``ts``, as far as this run can tell."""
        if run_id in self._past_runs:
            return  # it woke up late, and has been replaced
        if self._first_ts is None:  # the beginning was trimmed; others of the same time may have been in a gap
            ts = ts if number is None else ts + 1
        if run_id != self._run:  # its opening is not in the ledger: it confirms what follows, not for before
            self.open(run_id, ts, number, ts, continues=False)
        if number is not None and ts >= self._end:  # what ended a hole may have been garbage
            self._end_id = None
        self._reach(ts, number)

    def gap(self, span: Span, at: int) -> None:
        """Note a gap, or that it is closed. All data before it is there: a run notes each gap when it finds it.

        Args:
            span: Where the gap is.
            at: When it was noted (ns). If the exchange's clock is ahead, the span may be later than this.
        """
        self._put(span)
        if self._first_ts is None:
            return  # what confirmed the time around it was trimmed; the gap may still reach behind the beginning
        if span.numbered:
            self._reach(min(span.stop - 1, at), span.to_id)
        else:
            self._reach(min(span.stop, at), None)
        if span.start <= at:
            self._told_until = max(self._told_until, min(span.stop, at + 1))

    def _put(self, span: Span) -> None:
        """Replace what was known about the items of a span."""
        for hole in self._shared(span):  # also at other times: the exchange's clock was wrong when it was seen
            first = bisect_left(self._holes, _place(hole), key=_place)
            at = self._holes.index(hole, first)
            self._replace(at, at + 1, list(hole.without(span)))
        first = last = bisect_left(self._holes, (span.stop, 0), key=_place)
        while first > 0 and self._holes[first - 1].stop > span.start:
            first -= 1
        if last - first > _MOST_IN_ONE_PLACE:
            self._merged.append(_merge(self._holes[first:last]))
            self._replace(first, last, [])
            last = first
        self._replace(first, last, [rest for hole in self._holes[first:last] for rest in hole.without(span)])
        if span.state is State.FILLED:
            self._filled.append(span)
        elif not span.void:
            self._replace(0, 0, [span])

    def _shared(self, span: Span) -> list[Span]:
        """The open holes that share items with a span."""
        if span.from_id is None or span.to_id is None:
            return []
        first = max(bisect_left(self._open, span.from_id, key=_from_id) - 1, 0)
        last = bisect_left(self._open, span.to_id, first, key=_from_id)
        return [hole for hole in self._open[first:last] if hole.shares_items(span)]

    def _replace(self, first: int, last: int, holes: list[Span]) -> None:
        """Replace some holes by others."""
        for hole in filter(_is_open, self._holes[first:last]):
            del self._open[self._open.index(hole, bisect_left(self._open, _from_id(hole), key=_from_id))]
        del self._holes[first:last]
        for hole in holes:
            insort(self._holes, hole, key=_place)
            if _is_open(hole):
                insort(self._open, hole, key=_from_id)

    def _reach(self, ts: int, number: int | None) -> None:
        if number is None:  # numbers from here on need not compare with those before
            self._end_id = None if ts >= self._end else self._end_id
        else:
            self._end_id = number if self._end_id is None else max(self._end_id, number)
        self._end = max(self._end, ts)

    def intervals(self) -> list[Interval]:
        """The time line from the first time about which something is known to the last."""
        if self._first_ts is None:
            return []
        first_ts = self._first_ts
        base = Span(State.COMPLETE, first_ts, self._end, None, None)
        # A filled piece needs no care for the times at its edges: what lies there is complete in any case.
        filled = [replace(span, stop=span.stop - 1) if span.numbered else span for span in self._filled]
        end = max(self._end, self._told_until)
        spans = [
            replace(span, start=max(span.start, first_ts), stop=min(span.stop, end))
            for span in (base, *filled, *self._holes, *self._merged)
        ]
        return self._with_ids(_merged(_told([span for span in spans if span.start < span.stop])))

    def _with_ids(self, spans: list[Span]) -> list[Interval]:
        """Give ids to the complete spans, which have none yet: those of their neighbours or of the ends of the line."""
        told = []
        for index, span in enumerate(spans):
            from_id, to_id = span.from_id, span.to_id
            if span.state is State.COMPLETE:
                from_id = spans[index - 1].to_id if index else self._first_id
                to_id = spans[index + 1].from_id if index + 1 < len(spans) else self._end_id
            told.append(Interval(span.start, span.stop, span.state, _text(from_id), _text(to_id), span.reason))
        return told


class _Active:
    """The spans of one state that cover a moving point: each is added once and removed once."""

    def __init__(self) -> None:
        self._first: list[tuple[int, int, Span]] = []
        self._lowest: list[tuple[int, int, Span]] = []
        self._highest: list[tuple[int, int, Span]] = []

    def add(self, number: int, span: Span) -> None:
        """Add a span that begins here."""
        heappush(self._first, (number, number, span))
        if span.from_id is not None:
            heappush(self._lowest, (span.from_id, number, span))
        if span.to_id is not None:
            heappush(self._highest, (-span.to_id, number, span))

    def at(self, start: int, stop: int) -> Span | None:
        """The state between two edges; None if no span covers it."""
        first, lowest, highest = (_head(heap, start) for heap in (self._first, self._lowest, self._highest))
        if first is None:
            return None
        from_id, to_id = lowest.from_id if lowest else None, highest.to_id if highest else None
        return Span(first.state, start, stop, from_id, to_id, first.reason)


def _head(heap: list[tuple[int, int, Span]], start: int) -> Span | None:
    """The head of a heap, after the ended spans are removed."""
    while heap and heap[0][2].stop <= start:
        heappop(heap)
    return heap[0][2] if heap else None


def _told(spans: list[Span]) -> Iterator[Span]:
    """The spans, cut at each other's edges; where spans overlap, only the one that promises least."""
    spans = sorted(spans, key=lambda span: span.start)
    edges = sorted({edge for span in spans for edge in (span.start, span.stop)})
    active = {state: _Active() for state in reversed(State)}
    taken = 0
    for start, stop in pairwise(edges):
        while taken < len(spans) and spans[taken].start <= start:
            active[spans[taken].state].add(taken, spans[taken])
            taken += 1
        yield from islice((here for one in active.values() if (here := one.at(start, stop))), 1)


def _merged(spans: Iterator[Span]) -> list[Span]:
    """Joins neighbours that have the same state and reason."""
    merged: list[Span] = []
    for span in spans:
        if merged and (merged[-1].state, merged[-1].reason) == (span.state, span.reason):
            merged[-1] = replace(merged[-1], stop=span.stop, to_id=span.to_id)
        else:
            merged.append(span)
    return merged


def _is_open(span: Span) -> bool:
    return span.state is State.OPEN and span.numbered


def _from_id(span: Span) -> int:
    return span.from_id or 0


def _merge(holes: list[Span]) -> Span:
    """Merges many holes into one, which promises no more than any of them; no later entry removes it."""
    state = max((hole.state for hole in holes), key=_RANK.__getitem__)
    start, stop = min(hole.start for hole in holes), max(hole.stop for hole in holes)
    return Span(state, start, stop, None, None, "too_many_gaps")


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
