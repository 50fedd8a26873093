"""The ``:coverage`` stream: ledger entries with their own ids, through the same buffer as the data.

Entries without room in the buffer wait here and are written in order once there is room. So the ledger never confirms
data as complete before it has reported the losses in it. Waiting entries that say the same are folded into one.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from collector_worker.publish.publisher import Publisher
from collector_worker.publish.stream_ids import StreamIds
from collector_worker.publish.stream_tips import NO_STREAM, NOWHERE, Page, Reader, place, read_backwards, read_ends
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, encode, read_entry
from tickfleet.contract.coverage_fold import Span, number_of
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError
from tickfleet.redis.protocol import pack_command

LOOK_BACK = 2_000
"""Entries of earlier runs that are read at a time. Of trades, book, ticker and bars of a minute, which move all the
time, that is more than an hour and a half: longer than a hole can last."""

MOST_WAITING = 1_000
"""With both memory and file full there is little to tell of: what comes is refused before it gets as far."""

Subject = tuple[DataType, str]

FOLDED = "ledger_full"
"""Reason of a span that counts as lost because there was no room to tell in detail what is lost of it."""


class CoverageStream:
    """Appends entries of the ledger."""

    def __init__(self, key: str, publisher: Publisher) -> None:
        self._key = key
        self._publisher = publisher
        self._waiting: deque[LedgerEntry] = deque()
        self.ids = StreamIds()
        self.history: list[LedgerEntry] = []
        """The newest entries of earlier runs, oldest first; after ``restore``."""

    async def restore(self, pipe: Reader, now_ns: int, wanted: Collection[Subject] = ()) -> set[bytes]:
        """Continue behind the last entry, and read back until there is an entry about everything wanted.

        Args:
            pipe: The way to Redis.
            now_ns: Our clock.
            wanted: Data whose progress must be known. For daily bars the last entry is a day old. For data that never
                came there is no entry, and the whole ledger is read: half a second.

        Returns:
            The ledger's key, if it holds something else; then the ledger counts as empty.

        Raises:
            RedisUnreachableError: Redis went away, or does not let us read now.
        """
        (end,) = await read_ends(pipe, [self._key])
        self.ids.last_ms, self.ids.last_n = place(end or NOWHERE)
        self.history, read = [], 0

        def says_enough(_key: str, page: Page) -> bool:
            nonlocal read
            read += len(page)
            self.history[:0] = _entries(page, now_ns)
            return read >= keys.COVERAGE_MAXLEN or not silent(self.history, wanted)

        refused = await read_backwards(pipe, {self._key: LOOK_BACK}, says_enough, LOOK_BACK)
        return refused | ({self._key.encode()} if end == NO_STREAM else set())

    def append(self, entry: LedgerEntry) -> None:
        """Write one entry, now or once there is room."""
        self._waiting.append(entry)
        self.settle()
        if self._waiting:
            self._waiting = deque(folded(self._waiting))

    def settle(self) -> None:
        """Write the waiting entries, as far as there is room now."""
        while self._waiting and self._write(self._waiting[0]):
            self._waiting.popleft()

    def _write(self, entry: LedgerEntry) -> bool:
        entry_id = self.ids.next(entry.at, entry.at)
        command = ("XADD", self._key, "MAXLEN", "~", keys.COVERAGE_MAXLEN, entry_id, *encode(entry))
        return self._publisher.append(pack_command(command), entry.at)


def _entries(page: Sequence[tuple[str, Mapping[str, str]]], now_ns: int) -> list[LedgerEntry]:
    """The entries of a newest-first page, oldest first."""
    entries = []
    for _, fields in reversed(page):
        with suppress(UndecodableFrameError):  # somebody else's, or of a version to come
            entries.append(read_entry(fields, now_ns))
    return entries


def silent(history: Iterable[LedgerEntry], wanted: Collection[Subject]) -> set[Subject]:
    """The wanted data whose progress the entries do not tell."""
    return {*wanted} - {_subject(entry) for entry in history if entry.kind in (LedgerKind.OPENED, LedgerKind.COMPLETE)}


def _subject(entry: LedgerEntry) -> Subject:
    return entry.data_type, entry.interval


def folded(entries: Sequence[LedgerEntry], most: int = MOST_WAITING) -> list[LedgerEntry]:
    """The same in fewer entries: entries of one data type that follow each other and say the same become one.

    The result has at most ``most`` entries: beyond that, each data type keeps one entry, which says that all of it is
    lost. The result never promises more than the original entries.
    """
    told: list[LedgerEntry] = []
    newest: dict[Subject, int] = {}
    for entry in entries:
        subject = _subject(entry)
        before = newest.get(subject)
        joined = None if before is None else _joined(told[before], entry)
        if joined is not None and before is not None:
            told[before] = joined
        else:
            newest[subject] = len(told)
            told.append(entry)
    return told if len(told) <= most else _all_lost(told)


def _joined(earlier: LedgerEntry, later: LedgerEntry) -> LedgerEntry | None:
    """One entry in place of two that follow each other; None if no single entry says the same."""
    if earlier.kind is not later.kind or earlier.run_id != later.run_id:
        return None
    if later.kind is LedgerKind.COMPLETE:
        return later
    if later.kind is not LedgerKind.GAP_LOST or earlier.reason != later.reason:
        return None
    one, other = _span(earlier), _span(later)
    hull = replace(later, from_ts=min(one.start, other.start), to_ts=max(earlier.to_ts or 0, later.to_ts or 0))
    ids = [number for number in (one.from_id, one.to_id, other.from_id, other.to_id) if number is not None]
    if len(ids) == 4:
        touch = max(ids[0], ids[2]) < min(ids[1], ids[3])
        hull = replace(hull, from_id=str(min(ids)), to_id=str(max(ids)))
    else:
        whole = _span(hull).stop >= max(one.stop, other.stop)  # not so where the later one has no length
        touch = whole and not ids and max(one.start, other.start) <= min(one.stop, other.stop)
    return hull if touch else None


def _span(entry: LedgerEntry) -> Span:
    from_id, to_id = number_of(entry.from_id), number_of(entry.to_id)
    return Span.between(State.LOST, entry.from_ts or 0, entry.to_ts or 0, from_id, to_id)


def _all_lost(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """An entry that a run has begun, and one for all its other entries per data type."""
    told = [entry for entry in entries if entry.kind is LedgerKind.OPENED]
    by_subject: dict[Subject, list[LedgerEntry]] = {}
    for entry in entries:
        if entry.kind is not LedgerKind.OPENED:
            by_subject.setdefault(_subject(entry), []).append(entry)
    for same in by_subject.values():
        times = [ts for entry in same for ts in (entry.from_ts, entry.to_ts) if ts is not None]
        bounds = {"from_ts": min(times), "to_ts": max(times) + 1, "from_id": None, "to_id": None}
        told.append(replace(same[-1], kind=LedgerKind.GAP_LOST, reason=FOLDED, **bounds))
    return told
