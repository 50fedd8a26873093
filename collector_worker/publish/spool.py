"""Entries without room in memory while Redis is away: a bounded file, read back in the order of writing.

Each run writes its own file, so a run that hung and continues later cannot change its successor's file. The next run
publishes the entries that a run leaves behind; see ``spool_files``. A file exists only while it has entries.

A record is its length, its checksum and its receive time, then the packed command. At a record that is cut off (the
process was killed) or damaged (the machine lost its power), the file ends. The first record says, for each stream,
behind which entry the file's entries come.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from common.process.log import get_logger
from tickfleet.errors import FleetError
from tickfleet.redis.protocol import Replies

_HEAD = struct.Struct("<IIQ")
_MAX_RECORD_BYTES = 64 * 1024 * 1024
_WRITE_BYTES = 1024 * 1024
_BOUND_WORDS = 3
"""``MAXLEN ~ n``."""


class SpoolLostError(FleetError):
    """The disk has failed, or a successor has emptied the file. A new run fetches the missing data."""


class Packed(Struct, frozen=True, gc=False):
    """One packed XADD, as ``Stream.pack`` makes it, and when its event was received (ns).

    Attributes:
        stream: Key of its stream, if the caller gave it.
    """

    command: bytes
    recv_ns: int
    stream: bytes = b""

    @property
    def key(self) -> bytes:
        """The key of its stream; if not given, the second word of the command."""
        return self.stream or self.command.split(b"\r\n", 5)[4]

    @property
    def id(self) -> bytes:
        """Its entry id: the third word, or the sixth if the bound is before it."""
        parts = self.command.split(b"\r\n", 13)
        return parts[12] if parts[6] == b"MAXLEN" else parts[6]

    @property
    def fields(self) -> list[bytes]:
        """Its names and values in turn."""
        (parts,) = Replies().feed(self.command)
        return parts[3 + _BOUND_WORDS * (parts[2] == b"MAXLEN") :] if isinstance(parts, list) else []


def _framed(packed: Packed) -> bytes:
    return _HEAD.pack(len(packed.command), _checksum(packed.command, packed.recv_ns), packed.recv_ns) + packed.command


def _checksum(command: bytes, recv_ns: int) -> int:
    return zlib.crc32(command, recv_ns & 0xFFFF_FFFF ^ recv_ns >> 32)


def read_records(file: int, at: int, size_bytes: int) -> tuple[list[Packed], int]:
    """The records from an offset on, about ``size_bytes`` of them but at least one, and the offset behind them.

    None at the end of the file, or if the file or the disk is damaged.

    Args:
        file: Descriptor of an open file.
        at: Offset of a record.
        size_bytes: How much to read.
    """
    records: list[Packed] = []
    try:
        data = os.pread(file, max(size_bytes, _HEAD.size), at)
        if len(data) >= _HEAD.size:
            first = _HEAD.size + _HEAD.unpack_from(data)[0]
            if len(data) < first <= _MAX_RECORD_BYTES:
                data = os.pread(file, first, at)
    except OSError:
        return records, at
    start = 0
    while (body := start + _HEAD.size) <= len(data):
        length, checksum, recv_ns = _HEAD.unpack_from(data, start)
        command = data[body : body + length]
        if not length or len(command) < length or _checksum(command, recv_ns) != checksum:
            break
        records.append(Packed(command, recv_ns))
        start = body + length
    return records, at + start


def resume_points_of(first: Packed) -> dict[bytes, bytes]:
    """The content of a file's first record: by stream, the id of the entry behind which the file's entries come.

    Raises:
        msgspec.DecodeError: It is not a first record.
    """
    names = msgspec.json.decode(first.command, type=dict[str, str])
    return {key.encode(): end.encode() for key, end in names.items()}


def _first_record(ends: Mapping[bytes, bytes]) -> bytes:
    names = {key.decode(): end.decode() for key, end in ends.items()}
    return _framed(Packed(msgspec.json.encode(names), 0))


class Spool:
    """The file of one run. Writes reach the operating system at once: they survive the process, not the machine.

    Args:
        folder: The folder of the files; made when needed.
        collector: Name of the collector.
        run: Name of this run; the names of later runs sort after it.
        limit_bytes: Limit for all files of the collector together.
    """

    def __init__(self, folder: Path, collector: str, run: str, limit_bytes: int) -> None:
        self._folder = folder
        self._pattern = f"{collector}.*.spool"
        self._path = folder / f"{collector}.{run}.spool"
        self._limit_bytes = limit_bytes
        self._room_bytes = 0
        self._file: int | None = None
        self._read_at = 0
        self._size = 0
        self.full = False
        """Whether the last record found no room."""
        self.pending = 0
        """Records that are to be taken."""

    @property
    def others(self) -> list[Path]:
        """The files of other runs of this collector, the oldest first."""
        return sorted(set(self._folder.glob(self._pattern)) - {self._path})

    def append(self, packed: Packed, ends: Mapping[bytes, bytes]) -> bool:
        """Write one record; False if the file has reached its limit or the disk is full.

        Args:
            packed: What to write.
            ends: By stream, the id of the entry behind which the entries here come; a new file begins with it.
        """
        written = self._write([_framed(packed)], ends)
        self.pending += written
        return bool(written)

    def copy(self, records: Sequence[Packed], ends: Mapping[bytes, bytes]) -> int:
        """Write records that also stay in memory, so ``read_next`` must not return them; returns how many had room.

        All earlier records of the file must have been read.
        """
        written = 0
        for frames in _portions(records):
            here = self._write(frames, ends)
            written += here
            if here < len(frames):
                break
        self._read_at = self._size
        return written

    def _write(self, frames: list[bytes], ends: Mapping[bytes, bytes]) -> int:
        """Write as many frames as there is room for, in order; returns how many. A partial frame is cut off again."""
        if self._file is None and not self.full:
            self._make_file(ends)
        if self._file is None or self.full:
            return 0
        try:
            reached = self._size + os.pwrite(self._file, b"".join(frames), self._size)
        except OSError:
            reached = self._size
        kept = 0
        for frame in frames:
            if self._size + len(frame) > min(reached, self._room_bytes):
                break
            self._size += len(frame)
            kept += 1
        if kept < len(frames):
            self.full = True
            with suppress(OSError):  # what is left over there is no record, and will be overwritten
                os.ftruncate(self._file, self._size)
        return kept

    def _make_file(self, ends: Mapping[bytes, bytes]) -> None:
        """Make the file, if possible."""
        first = _first_record(ends)
        self._read_at = self._size = len(first)
        self._room_bytes = self._limit_bytes - sum(map(_size_of, self.others))
        self.full = True
        if len(first) > self._room_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self.full = os.pwrite(self._file, first, 0) < len(first)
        except OSError as error:
            get_logger().error("spool_unusable", why=error.strerror)
        if self.full:
            self._remove()

    def read_next(self, size_bytes: int) -> list[Packed]:
        """The next records in order, about ``size_bytes`` of them. They stay in the file until ``clear``.

        Raises:
            SpoolLostError: The records are gone.
        """
        if self._file is None or not self.pending:
            return []
        taken, self._read_at = read_records(self._file, self._read_at, size_bytes)
        if not taken:
            raise SpoolLostError("the file of the entries that wait for Redis cannot be read back")
        self.pending -= len(taken)
        return taken

    def clear(self) -> None:
        """All read records are published: empty the file."""
        if not self.pending:
            self._remove()
            self.full = False

    def close(self) -> None:
        """Close the file, which stays for the next run."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _remove(self) -> None:
        if self._file is not None:
            self.close()
            self._path.unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _portions(records: Sequence[Packed]) -> Iterator[list[bytes]]:
    """The frames of records, in portions of the size of one write."""
    frames: list[bytes] = []
    size = 0
    for packed in records:
        frames.append(_framed(packed))
        size += len(frames[-1])
        if size >= _WRITE_BYTES:
            yield frames
            frames, size = [], 0
    if frames:
        yield frames
