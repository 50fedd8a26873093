"""Entries that found no room in memory while Redis is away: a bounded file, read back in the order of writing.

A record is its length and receive time, then the packed command. A file that a killed process left behind is read by
the next run; a record that was cut off at the end is not one. Entries carry explicit ids, so reading some of them twice
cannot publish them twice.
"""

import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

_HEAD = struct.Struct("<IQ")
MAX_RECORD_BYTES = 64 * 1024 * 1024
_COPY_BYTES = 1024 * 1024


class Packed(Struct, frozen=True, gc=False):
    """One packed XADD and when its event was received (ns)."""

    command: bytes
    recv_ns: int

    @property
    def key(self) -> bytes:
        """The stream that it goes to: the second word of the command, in Redis' protocol."""
        return self.command.split(b"\r\n", 5)[4]


class Spool:
    """One collector's file. Writes reach the operating system at once: they survive the process, not the machine."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(path, "a+b", buffering=0, opener=_private)  # noqa: SIM115 - closed by close()
        self._read_at = 0
        self._size = 0
        self.full = False
        """Whether the last record found no room."""
        self.pending = 0
        """Records that have not been taken."""
        self._recover()

    def _recover(self) -> None:
        """Count what an earlier run left, and cut off a record that it did not finish."""
        end = self._file.seek(0, os.SEEK_END)
        at = 0
        while at + _HEAD.size <= end:
            self._file.seek(at)
            length, _ = _HEAD.unpack(self._file.read(_HEAD.size))
            if length > MAX_RECORD_BYTES or at + _HEAD.size + length > end:
                break
            at += _HEAD.size + length
            self.pending += 1
        self._file.truncate(at)
        self._size = at

    def append(self, packed: Packed) -> bool:
        """Keep one command; False where the file has reached its limit or the disk is full."""
        record = _HEAD.pack(len(packed.command), packed.recv_ns) + packed.command
        if self._size + len(record) > self._limit_bytes:
            self.full = True
            return False
        try:
            written = self._file.write(record)
        except OSError:
            written = -1
        if written != len(record):
            self._file.truncate(self._size)
            self.full = True
            return False
        self._size += len(record)
        self.pending += 1
        return True

    def take(self, max_bytes: int) -> list[Packed]:
        """The next records in order, about ``max_bytes`` of them. They stay in the file until ``clear``."""
        taken: list[Packed] = []
        size = 0
        while self.pending and size < max_bytes:
            self._file.seek(self._read_at)
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size:  # another run of this collector has emptied the file
                self.pending = 0
                break
            length, recv_ns = _HEAD.unpack(head)
            taken.append(Packed(self._file.read(length), recv_ns))
            size += _HEAD.size + length
            self._read_at += _HEAD.size + length
            self.pending -= 1
        return taken

    def clear(self) -> None:
        """All that was taken is published: empty the file."""
        if self._size and not self.pending:
            self._file.truncate(0)
            self._read_at = self._size = 0
            self.full = False

    def put_back(self, earlier: Iterable[Packed]) -> None:
        """Put ``earlier`` records in front of those that have not been taken: what a run leaves to the next one.

        The file is replaced as a whole, so that nothing is lost where the process is killed meanwhile. Where the disk
        is full it stays as it was.
        """
        ahead = list(earlier)
        temporary = self._path.with_suffix(".tmp")
        try:
            with open(temporary, "wb", opener=_private) as target:
                for packed in ahead:
                    target.write(_HEAD.pack(len(packed.command), packed.recv_ns) + packed.command)
                self._file.seek(self._read_at)
                shutil.copyfileobj(self._file, target, _COPY_BYTES)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        self._file.close()
        temporary.replace(self._path)
        self._file = open(self._path, "a+b", buffering=0, opener=_private)  # noqa: SIM115 - closed by close()
        self._read_at, self._size = 0, self._file.seek(0, os.SEEK_END)
        self.pending += len(ahead)

    def close(self) -> None:
        """Close the file; one that holds nothing is removed."""
        self._file.close()
        if not self._size:
            self._path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
