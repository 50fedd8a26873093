"""Publishes entries that earlier runs left in their files, if they continue the streams in Redis.

The run with the fencing number reads a file. No other run can publish any more, so the file needs no lock, whether its
run is dead or hangs. Reading a wrong or old file, or reading it twice, does no harm: for each stream, only entries
right behind its end are published. Others would hide a hole that nobody fetches (Redis was restored to an older state),
or be there twice (another run has continued meanwhile). They are left out, and the stream's tail tells what to fetch
instead.
"""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from collector_worker.publish.rejected_streams import carry_out_reports, reports_of_refused, subject
from collector_worker.publish.spool import Packed, read_records, resume_points_of
from collector_worker.publish.stream_tips import NO_STREAM, NOWHERE, Reader, read_ends, read_replies, settled_replies
from collector_worker.publish.transaction import all_ids
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import get_logger
from tickfleet.redis.protocol import Reply

_LAST_PASSED = 2_000
"""Entries of one stream that are looked up: more than one transaction holds."""


class ResumePoints:
    """Decides which records of a file, in their order, must still be published. Pure.

    If ``unsettled``, first pass all records to ``find_end``: only this tells whether the file has the end of a stream.

    Args:
        resume_points: By stream, the id of the entry behind which the file's entries come.
        ends: Where the streams end now; None if there is none: whatever comes first begins it, if no other stream
            tells that Redis holds an older state. Of one whose key holds something else nothing is published.
        ledger: The stream that confirms the entries before it in the file. After one of those entries was left out,
            ledger entries about its stream are left out, too.
    """

    def __init__(self, resume_points: Mapping[bytes, bytes], ends: Mapping[bytes, bytes | None], ledger: bytes) -> None:
        self._ledger = ledger
        self._known = set(resume_points)
        usable = {key: ends.get(key) for key in resume_points if ends.get(key) != NO_STREAM}
        self._joined = {key for key, end in usable.items() if resume_points[key] == (end or NOWHERE)}
        self._gone = {key for key, end in usable.items() if end is None}
        self._sought = {key: end for key, end in usable.items() if key not in self._joined | self._gone}
        self._incomplete: set[bytes] = set()
        self._inside: dict[bytes, bytes] = {}
        self._passed: dict[bytes, deque[Packed]] = {}
        self._foreign: set[bytes] = set()
        self.left_out = 0
        """Records that join nothing."""

    @property
    def unsettled(self) -> bool:
        """Whether the end of a stream may be in the file."""
        return bool(self._sought)

    def find_end(self, packed: Packed) -> None:
        """Check whether a record is the end of its stream."""
        end = self._sought.get(packed.key)
        if end is None:
            return
        self._passed.setdefault(packed.key, deque(maxlen=_LAST_PASSED)).append(packed)
        if end == packed.id:
            self._inside[packed.key] = end
            del self._sought[packed.key]

    def last_published(self) -> list[list[Packed]]:
        """For each stream with its end in the file, the entries up to that end: their answer may not have come."""
        return [list(self._passed[key]) for key in self._inside]

    def end_is_foreign(self, key: bytes) -> None:
        """Note that another program wrote the entry at the stream's end, although its id is also in the file."""
        self._foreign.add(key)

    def admits(self, packed: Packed) -> bool:
        """Whether to publish the record now."""
        key = packed.key
        if key in self._inside:  # it was published before
            if self._inside[key] == packed.id:
                del self._inside[key]
                (self._incomplete if key in self._foreign else self._joined).add(key)
            return False
        joins = key in self._joined or (key in self._gone and not self._sought)
        if joins and (key != self._ledger or self._holds(packed)):
            return True
        self.left_out += 1
        self._incomplete.add(key)
        return False

    def _holds(self, statement: Packed) -> bool:
        """Whether all that a ledger entry confirms is there; if it names no stream, all streams must be whole."""
        about = subject(statement)
        return not self._incomplete if about is None else about in self._known - self._incomplete

    def refused(self, key: bytes) -> None:
        """Redis has refused an entry of that stream: nothing can come behind it."""
        self._joined.discard(key)
        self._gone.discard(key)
        self._incomplete.add(key)


class SpoolFile:
    """An open file of an earlier run."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        first, self._first_at = read_records(file, 0, 1)
        self.resume_points: dict[bytes, bytes] = {}
        """By stream, the id of the entry behind which its entries come; empty if the file is none of ours."""
        try:
            self.resume_points = resume_points_of(first[0]) if first else {}
        except msgspec.DecodeError:
            get_logger().error("left_over_unreadable", file=path.name)

    def batches(self, size_bytes: int) -> Iterator[list[Packed]]:
        """All records in order, about ``size_bytes`` at a time."""
        records, at = read_records(self._file, self._first_at, size_bytes)
        while records and self.resume_points:
            yield records
            records, at = read_records(self._file, at, size_bytes)
        unread = os.fstat(self._file).st_size - at
        if unread:
            get_logger().error("left_over_damaged", file=self._path.name, unread_bytes=unread)

    def remove(self) -> None:
        """Remove the file: all is published, or useless. It also frees the disk space if a hanging run has it open."""
        os.ftruncate(self._file, 0)
        self._path.unlink(missing_ok=True)


class SpoolReplay:
    """Publishes what earlier runs left in their files.

    Args:
        pipe: The connection to read the streams.
        telemetry: Counts what was published and what was not.
        carry_out: Executes commands, all or none; returns their replies.
        batch_bytes: About how much at a time.
    """

    def __init__(
        self,
        pipe: Reader,
        telemetry: Telemetry,
        carry_out: Callable[[list[bytes]], Awaitable[list[Reply]]],
        batch_bytes: int,
    ) -> None:
        self._pipe = pipe
        self._beat = telemetry.beat
        self._carry_out = carry_out
        self._batch_bytes = batch_bytes

    async def publish(self, paths: Iterable[Path], ledger: bytes, meanwhile: Callable[[], None]) -> None:
        """Publish and remove the files, one after the other, before anything else is read from the streams.

        Args:
            paths: The files.
            ledger: Key of the ledger that confirms what is in the streams.
            meanwhile: Called repeatedly, because a GiB takes half a minute.

        Raises:
            RedisUnreachableError: Redis went away, or takes no writes now; the files stay as they are.
            SupersededError: A newer run of this collector has begun.
        """
        for path in paths:
            with opened(path) as file:
                if file is not None:
                    await self._publish_file(file, ledger, meanwhile)
                    file.remove()

    async def _publish_file(self, file: SpoolFile, ledger: bytes, meanwhile: Callable[[], None]) -> None:
        beat = self._beat
        before = beat.entries_published
        ends = await read_ends(self._pipe, list(file.resume_points))
        resume_points = ResumePoints(file.resume_points, dict(zip(file.resume_points, ends, strict=True)), ledger)
        for records in file.batches(self._batch_bytes) if resume_points.unsettled else ():
            for packed in records:
                resume_points.find_end(packed)
            meanwhile()
            await self._carry_out([])
        reports: list[bytes] = []
        for entries in resume_points.last_published():
            replies = await read_replies(self._pipe, entries)
            if not isinstance(replies[-1], bytes):
                resume_points.end_is_foreign(entries[-1].key)
            reports += self._reports(entries, replies)
        for records in file.batches(self._batch_bytes):
            meanwhile()
            for part in parted(records, ledger):
                reports += await self._publish_part(part, resume_points)
        await carry_out_reports(self._carry_out, reports)  # last, as no entry of the file has an id behind theirs
        beat.entries_dropped += resume_points.left_out
        published = beat.entries_published - before
        get_logger().info("left_over_published", published=published, left_out=resume_points.left_out)

    async def _publish_part(self, part: list[Packed], resume_points: ResumePoints) -> list[bytes]:
        """Publish admitted entries; returns the commands that report entries refused between taken ones."""
        admitted = [packed for packed in part if resume_points.admits(packed)]
        answered = await self._carry_out([packed.command for packed in admitted])
        replies = answered if all_ids(answered) else await settled_replies(self._pipe, admitted, answered)
        refused = [packed for packed, reply in zip(admitted, replies, strict=True) if not isinstance(reply, bytes)]
        for packed in refused:
            resume_points.refused(packed.key)
        self._beat.entries_published += len(admitted) - len(refused)
        self._beat.entries_dropped += len(refused)
        return self._reports(admitted, replies)

    def _reports(self, entries: Sequence[Packed], replies: Sequence[Reply]) -> list[bytes]:
        return reports_of_refused(entries, replies, self._beat.run_id)


def parted(records: Iterable[Packed], ledger: bytes) -> Iterator[list[Packed]]:
    """The records in portions, so that ledger entries are sent after the entries that they confirm."""
    part: list[Packed] = []
    for packed in records:
        if part and packed.key == ledger != part[-1].key:
            yield part
            part = []
        part.append(packed)
    yield part


@contextmanager
def opened(path: Path) -> Iterator[SpoolFile | None]:
    """A file for the length of a block; None if it is gone or cannot be read."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        get_logger().warning("left_over_unreadable", file=path.name, why=error.strerror)
        yield None
        return
    try:
        yield SpoolFile(path, file)
    finally:
        os.close(file)
