"""What waits for Redis: bounded memory first, then a bounded file, in one order."""

from collections import deque
from itertools import islice

from collector_worker.spool import Packed, Spool

DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024
_ENTRY_OVERHEAD_BYTES = 160
"""What an entry in memory takes beside its packed bytes: the objects around it."""

_REFILL_BYTES = 4 * 1024 * 1024


class Buffer:
    """A queue of packed entries. Once some are in the file, later ones follow them there until it is empty."""

    def __init__(self, memory_bytes: int = DEFAULT_MEMORY_BYTES, spool: Spool | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._spool = spool
        self._entries: deque[Packed] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries) + self.spooled

    @property
    def in_memory(self) -> int:
        """Entries in memory."""
        return len(self._entries)

    @property
    def spooled(self) -> int:
        """Entries in the file."""
        return 0 if self._spool is None else self._spool.pending

    @property
    def full(self) -> bool:
        """Whether there is room neither in memory nor in the file."""
        if self._bytes < self._memory_bytes and not self.spooled:
            return False
        return self._spool is None or self._spool.full

    def append(self, entry: Packed) -> bool:
        """Take an entry; False where there is no room."""
        if self._bytes < self._memory_bytes and not self.spooled:
            self._take(entry)
            return True
        return self._spool is not None and self._spool.append(entry)

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
        """Forget the oldest entries, which are published; the file moves up."""
        for _ in range(count):
            self._bytes -= len(self._entries.popleft().command) + _ENTRY_OVERHEAD_BYTES
        if not self._entries and self._spool is not None and self._spool.pending:
            for entry in self._spool.take(_REFILL_BYTES):
                self._take(entry)
        if not self._entries and self._spool is not None:
            self._spool.clear()

    def recover(self) -> int:
        """Take up what an earlier run left in the file; how many entries that is."""
        found = self.spooled
        if found:
            self.drop_head(0)
        return found

    def save(self) -> int:
        """At the end of a run with Redis away: write everything to the file; how many entries found no room there."""
        if self._spool is None:
            return len(self._entries)
        wanted = len(self)
        self._spool.put_back(self._entries)
        self._entries.clear()
        self._bytes = 0
        return wanted - self._spool.pending

    def discard(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0
        while self._spool is not None and self._spool.pending:
            self._spool.take(_REFILL_BYTES)
        if self._spool is not None:
            self._spool.clear()

    def close(self) -> None:
        """Close the file."""
        if self._spool is not None:
            self._spool.close()

    def _take(self, entry: Packed) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.command) + _ENTRY_OVERHEAD_BYTES
