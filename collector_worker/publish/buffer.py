"""Entries that wait for Redis: first in bounded memory, then in a bounded file, in one order.

The file always has the beginning of the queue: before it takes the first entry without room in memory, all entries in
memory are copied to it. So a killed run may leave a queue that is too short, but never one with a hole. The ends of the
streams then tell the next run from where to fetch.
"""

from collections import deque
from itertools import islice
from pathlib import Path
from typing import Protocol

from collector_worker.publish.spool import Packed, Spool

DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024
_ENTRY_OVERHEAD_BYTES = 160
"""What an entry in memory takes beside its packed bytes: the objects around it."""

_REFILL_BYTES = 4 * 1024 * 1024


class BackPressure(Protocol):
    """The consumers behind the reader, which may need time."""

    @property
    def paused(self) -> bool:
        """Whether to wait before reading on."""
        ...

    async def resumed(self) -> None:
        """Wait until reading may go on."""
        ...


class Buffer:
    """A queue of packed entries. Once entries are only in the file, later ones also go there until it is empty."""

    def __init__(self, memory_bytes: int = DEFAULT_MEMORY_BYTES, spool: Spool | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._spool = spool
        self._entries: deque[Packed] = deque()
        self._bytes = 0
        self._copied = 0
        self.full = False
        """Whether there is room neither in memory nor in the file."""
        self.ends: dict[bytes, bytes] = {}
        """By stream, the id of the last entry that Redis is known to hold: what is here comes behind it. Kept by the
        publisher."""
        self._note_room()

    def __len__(self) -> int:
        return len(self._entries) + self.spooled

    @property
    def in_memory(self) -> int:
        """Entries in memory."""
        return len(self._entries)

    @property
    def spooled(self) -> int:
        """Entries that are only in the file."""
        return 0 if self._spool is None else self._spool.pending

    @property
    def spool_files(self) -> list[Path]:
        """The files that earlier runs left, the oldest first."""
        return [] if self._spool is None else self._spool.others

    def append(self, entry: Packed) -> bool:
        """Take an entry; False if there is no room."""
        if self._bytes < self._memory_bytes and (self._spool is None or not self._spool.pending):
            self._entries.append(entry)
            self._bytes += len(entry.command) + _ENTRY_OVERHEAD_BYTES
            if self._bytes >= self._memory_bytes:
                self._note_room()
            return True
        spool = self._spool
        taken = spool is not None and (self.spooled or not self._copy(spool)) and spool.append(entry, self.ends)
        self._note_room()
        return bool(taken)

    def head(self, entries: int, size_bytes: int) -> list[Packed]:
        """The oldest entries, left in place: at most ``entries``, about ``size_bytes`` of them."""
        batch: list[Packed] = []
        size = 0
        for entry in islice(self._entries, entries):
            batch.append(entry)
            size += len(entry.command)
            if size >= size_bytes:
                break
        return batch

    def drop_head(self, count: int) -> None:
        """Forget the oldest entries, which are published, and load further ones from the file."""
        popleft = self._entries.popleft
        for _ in range(count):
            self._bytes -= len(popleft().command) + _ENTRY_OVERHEAD_BYTES
        spool = self._spool
        if spool is not None and (self._copied or spool.pending or spool.full):
            self._move_up(spool, count)
        if self.full:
            self._note_room()

    def _move_up(self, spool: Spool, count: int) -> None:
        self._copied = max(0, self._copied - count)
        if not self._entries:
            taken = spool.read_next(_REFILL_BYTES)
            self._entries.extend(taken)
            self._bytes += sum(len(entry.command) + _ENTRY_OVERHEAD_BYTES for entry in taken)
            self._copied = len(self._entries)
        if not self._copied:
            spool.clear()

    def _note_room(self) -> None:
        in_memory = self._bytes < self._memory_bytes and not self.spooled
        self.full = not in_memory and (self._spool is None or self._spool.full)

    def save(self) -> int:
        """At the end of a run: write everything to the file; returns how many entries had no room there."""
        return len(self._entries) if self._spool is None else self._copy(self._spool)

    def close(self) -> None:
        """Close the file; a file with entries stays for the next run."""
        if self._spool is not None:
            self._spool.close()

    def _copy(self, spool: Spool) -> int:
        """Copy entries that are only in memory to the file; returns how many had no room there."""
        if not spool.pending:
            self._copied += spool.copy(list(islice(self._entries, self._copied, None)), self.ends)
        return len(self._entries) - self._copied
