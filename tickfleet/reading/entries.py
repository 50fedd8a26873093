"""What a reader returns: single entries, or batches with the position behind them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct

from tickfleet.contract.events import Event
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.reading.position import Mark, Position
from tickfleet.reading.repeats import item_behind
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.connect import LOGGER

MissedReason = Literal["trimmed", "restarted", "left_behind"]


class Missed(Struct, frozen=True, kw_only=True, tag="missed", tag_field="type"):
    """Marks entries that this reader will never see, at their place. The reader makes it; it is not in the stream.

    Attributes:
        ts_event, ts_recv: When it was noticed, the reader's own clock (ns since the epoch).
        count: How many entries; None: not known, and maybe none (``tickfleet.reading.streams.cursor``).
        after_id: The last entry before them that was read.
        before_id: The first entry behind them.
        reason: ``trimmed``: retention has removed them; ``restarted``: the stream was deleted and started again (trades
            and closed bars that were read do not come again: ``tickfleet.reading.repeats``); ``left_behind``: retention
            has removed them while they were pending for a dead consumer (``tickfleet.reading.groups``); the ids are
            then those of the first and the last removed entry.
    """

    ts_event: int
    ts_recv: int
    count: int | None
    after_id: str
    before_id: str
    reason: MissedReason


class Rewound(Struct, frozen=True, kw_only=True, tag="rewound", tag_field="type"):
    """The stream ends before the reader's place: Redis came back empty or with older data. The reader makes it.

    The collector fetches what it can of the lost entries and publishes them again, mostly under the same ids. The
    reader skips entries with ids up to ``read_to``, and items whose numbers prove that they were read before
    (``tickfleet.reading.repeats``), so each comes only once. What the collector cannot fetch is no longer in the
    stream.

    Attributes:
        ts_event, ts_recv: When it was noticed, the reader's own clock (ns since the epoch).
        count: How many entries the stream has lost; None: not known.
        after_id: The last entry that is there; ``0-0`` if there is none.
        read_to: The entry that was read last.
    """

    ts_event: int
    ts_recv: int
    count: int | None
    after_id: str
    read_to: str


Told = Missed | Rewound
"""What no collector has written: the reader says it."""


class Unreadable(Struct, frozen=True, tag="unreadable", tag_field="type"):
    """An entry of an unknown type, or a malformed one; only ``Chunk.whole`` returns it."""


class Entry(Struct, frozen=True, gc=False):
    """One entry of a stream with its ``id``. ``Missed`` and ``Rewound`` have the id of the entry before them."""

    stream: StreamName
    id: str
    event: Event | Told

    @property
    def collector(self) -> CollectorId:
        """Whose stream it is in."""
        return self.stream.collector

    @property
    def data_type(self) -> DataType:
        """The data type of its stream; ``gap`` and ``feed_status`` are in the stream that they are about."""
        return self.stream.data_type

    @property
    def interval(self) -> str:
        """Of candles, e.g. ``1m``; else empty."""
        return self.stream.interval


def missed(
    name: StreamName, count: int | None, after_id: str, before_id: str, reason: MissedReason, now_ns: int
) -> Entry:
    """Make and log the entry that reports missed entries."""
    event = Missed(ts_event=now_ns, ts_recv=now_ns, count=count, after_id=after_id, before_id=before_id, reason=reason)
    LOGGER.warning("%s: missed %s entries (%s)", name, "some" if count is None else count, reason)
    return Entry(name, after_id, event)


def rewound(name: StreamName, count: int | None, after_id: str, read_to: str, now_ns: int) -> Entry:
    """Make and log the entry that reports that a stream ends before the reader's place."""
    event = Rewound(ts_event=now_ns, ts_recv=now_ns, count=count, after_id=after_id, read_to=read_to)
    LOGGER.warning("%s: ends at %s, before %s, which was read: Redis came back older", name, after_id, read_to)
    return Entry(name, after_id, event)


class Chunk(Struct, frozen=True):
    """What was read of one stream in one go.

    Attributes:
        name: The stream.
        ids: The ids of all entries that were read, in order, including those that are not returned.
        entries: What is handed out.
        origin: Where the reader stood.
        before: The same place, after missed entries before the first entry were reported.
        after: Behind the last entry.
        repeats: Those of ``ids`` whose items were returned before, under other ids; they are not returned again.
    """

    name: StreamName
    ids: Sequence[str]
    entries: Sequence[Entry]
    origin: Mark
    before: Mark
    after: Mark
    repeats: Collection[str] = frozenset()

    def whole(self) -> list[Entry]:
        """The returned entries, and ``Unreadable`` at the place of each entry that cannot be read."""
        told = [entry for entry in self.entries if isinstance(entry.event, Told)]
        if len(told) + len(self.ids) == len(self.entries):
            return [*self.entries]
        known = {entry.id: entry for entry in self.entries if not isinstance(entry.event, Told)}
        unreadable: Any = Unreadable()  # no type of event for every reader to think of
        ids = (entry_id for entry_id in self.ids if entry_id not in self.repeats)
        return [*told, *(known.get(entry_id) or Entry(self.name, entry_id, unreadable) for entry_id in ids)]

    def mark_behind(self, handed: int) -> Mark:
        """The mark after only the first ``handed`` entries (fewer than all) were returned."""
        if handed == 0:
            return self.origin
        last = self.entries[handed - 1]
        if isinstance(last.event, Told):
            return self.before
        added = None if self.before.added is None else self.before.added + self._passed(last)
        newest_first = (self.entries[index] for index in range(handed - 1, -1, -1))
        return Mark(last.id, added, item=item_behind(self.name, self.before, newest_first, last.id))

    def rest(self, handed: int) -> "Chunk":
        """What is left after the first ``handed`` entries (at least one, fewer than all) were returned."""
        mark, last = self.mark_behind(handed), self.entries[handed - 1]
        return Chunk(
            self.name, self.ids[self._passed(last) :], self.entries[handed:], mark, mark, self.after, self.repeats
        )

    def _passed(self, last: Entry) -> int:
        """How many of ``ids`` are done once ``last`` is done."""
        return 0 if isinstance(last.event, Told) else self.ids.index(last.id) + 1


class Batch:
    """Entries of one or more streams, grouped by stream and in order. An empty batch: nothing has come.

    Args:
        chunks: What was read of each stream.
        start_marks: The reader's places in all streams before the batch; the chunks continue from there.
    """

    def __init__(self, chunks: Sequence[Chunk] = (), start_marks: Mapping[StreamName, Mark] | None = None) -> None:
        self.chunks = chunks
        self.entries: list[Entry] = [entry for chunk in chunks for entry in chunk.entries]
        self._start_marks = {**(start_marks or {})}

    @property
    def position(self) -> Position:
        """The position behind the batch: save it together with your output."""
        return self.position_behind(len(self.entries))

    def position_behind(self, handed: int) -> Position:
        """The position behind the first ``handed`` entries."""
        ends = [*accumulate(len(chunk.entries) for chunk in self.chunks)]
        after = {**self._start_marks}
        for chunk, end in zip(self.chunks, ends, strict=True):
            begun = handed - (end - len(chunk.entries))
            after[chunk.name] = chunk.after if end <= handed else chunk.mark_behind(max(begun, 0))
        return Position(after)

    def rest(self, handed: int) -> "Batch":
        """The rest of the batch after its first ``handed`` entries."""
        left: list[Chunk] = []
        for chunk in self.chunks:
            if handed <= 0:
                left.append(chunk)
            elif handed < len(chunk.entries):
                left.append(chunk.rest(handed))
            handed -= len(chunk.entries)
        return Batch(left, self.position_behind(len(self.entries)).marks)


class Work(Struct, frozen=True):
    """Entries that a member of a group must process and then confirm (``tickfleet.reading.groups``).

    Attributes:
        entries: In order; ``Missed`` where some are gone for good.
        ids: The ids to confirm, by stream; they include entries that are not our events.
        tries: How often they have been delivered, including this time.
    """

    entries: Sequence[Entry]
    ids: Mapping[StreamName, Sequence[str]]
    tries: int = 1
