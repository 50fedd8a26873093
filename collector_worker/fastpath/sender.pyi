"""Transactions to Redis while it answers as expected; compiled from ``sender.pyx``."""

from collections.abc import Callable

from collector_worker.publish.publisher import Pacing
from tickfleet.redis.client import Handover

class QueuedEntry:
    """One packed XADD on its way: what ``spool.Packed`` is, and its id."""

    command: bytes
    key: bytes
    entry_id: bytes
    recv_ns: int

class Sender:
    """Entries on their way to Redis while it answers as expected, to the byte.

    What is usual is sent at once; what comes before the answer waits and goes out together, as the publisher has it.
    The first answer that is not the expected one, and the end of the connection, close it: then ``on_trouble`` is
    called and ``close`` gives everything back.

    Args:
        pacing: How much at a time.
        on_trouble: It is closed.
        on_paused: More waits than Redis takes: reading should pause.
        on_resume: It may go on.
    """

    open: bool
    """Whether it takes entries."""
    sends: bool
    """Whether it has begun to send them."""
    asked_ns: int
    """When the transaction under way was sent (``CLOCK_MONOTONIC``)."""
    sampled_ns: int
    """When the entry was received whose latency was measured last; one a second is."""
    published: int
    """Entries that Redis has confirmed."""
    ends: dict[bytes, bytes]
    """By stream, the id of the last of them."""
    latencies_us: list[int]
    """Of the last batches whose answer was waited for, from the receipt of some of their entries to the answer."""

    def __init__(
        self,
        pacing: Pacing,
        on_trouble: Callable[[], None],
        on_paused: Callable[[], None],
        on_resume: Callable[[], None],
    ) -> None: ...
    def begin(self, handover: Handover, sampled_ns: int) -> None:
        """Send, from now on, what is taken; until then it waits.

        Args:
            handover: The connection.
            sampled_ns: When the entry was received whose latency was measured last.
        """

    def __len__(self) -> int:
        """Entries that are not confirmed."""

    def push(self, command: bytes, recv_ns: int, key: bytes, entry_id: bytes) -> None:
        """Take an entry of any stream. Only while ``open``."""

    def on_answer(self, data: bytes) -> None:
        """Take what the event loop has read of the answer."""

    def close(self) -> tuple[list[QueuedEntry], list[QueuedEntry], bytes, bool]:
        """Give back what is under way, what waits, what was said of the answer, and whether the event loop reads."""
