"""The usual trade from its frame to Redis in one go, compiled from ``native.pyx``."""

from collections.abc import Callable

from collector_worker.exchanges.contract import TradeShape
from collector_worker.publisher import Pacing
from common.redis_pipe import Loan

class Entry:
    """One packed XADD on its way: what ``spool.Packed`` is, and its id."""

    command: bytes
    key: bytes
    entry_id: bytes
    recv_ns: int

class Outbox:
    """Entries on their way to Redis while it answers as expected, to the byte.

    What is usual is sent at once; what comes before the answer waits and goes out together, as the publisher has it.
    The first answer that is not the expected one, and the end of the connection, close it: then ``on_trouble`` is
    called and ``close`` gives everything back.

    Args:
        pacing: How much at a time.
        on_trouble: It is closed.
        on_congested: More waits than Redis takes: reading should pause.
        on_relieved: It may go on.
    """

    open: bool
    """Whether it takes entries."""
    sends: bool
    """Whether it has begun to send them."""
    congested: bool
    """Whether it has told that too much waits."""
    asked_ns: int
    """When the transaction under way was sent (``CLOCK_MONOTONIC``)."""
    sampled_ns: int
    """When the entry was received whose latency was measured last; one a second is."""
    published: int
    """Entries that Redis has confirmed."""
    ends: dict[bytes, bytes]
    """By stream, the id of the last of them."""
    latencies_us: list[int]
    """Of some batches whose answer was waited for, from the receipt of the first entry to the answer."""

    def __init__(
        self,
        pacing: Pacing,
        on_trouble: Callable[[], None],
        on_congested: Callable[[], None],
        on_relieved: Callable[[], None],
    ) -> None: ...
    def begin(self, loan: Loan, sampled_ns: int) -> None:
        """Send, from now on, what is taken; until then it waits.

        Args:
            loan: The connection.
            sampled_ns: When the entry was received whose latency was measured last.
        """

    def __len__(self) -> int:
        """Entries that are not confirmed."""

    def push(self, command: bytes, recv_ns: int, key: bytes, entry_id: bytes) -> None:
        """Take an entry of any stream. Only while ``open``."""

    def on_answer(self, data: bytes) -> None:
        """Take what the event loop has read of the answer."""

    def close(self) -> tuple[list[Entry], list[Entry], bytes, bool]:
        """Give back what is under way, what waits, what was said of the answer, and whether the event loop reads."""

class Lane:
    """The trades of one stream.

    Args:
        shape: How their frames are spelt.
        key: Of the stream.
        beginning: Of its XADD, up to the length of the id.
        bounded: The same with the stream's bound.
        bound_every: Of so many entries one carries the bound.

    Raises:
        ValueError: There are too many pieces, or the key is too long.
    """

    last_id: int
    last_ms: int
    last_n: int
    last_ts: int
    recv_ns: int
    """When the last trade was received."""
    seen_ns: int
    """The same by ``CLOCK_MONOTONIC``."""

    def __init__(self, shape: TradeShape, key: bytes, beginning: bytes, bounded: bytes, bound_every: int) -> None: ...
    def begin(self, outbox: Outbox, entrance: Entrance, last_id: int, last_ms: int, last_n: int, last_ts: int) -> None:
        """Take trades from now on, behind the last one: its number, the parts of its entry's id, and its time (ns)."""

    def end(self) -> None:
        """Take no more."""

    def take_tally(self) -> tuple[int, list[int]]:
        """How many trades were taken since the last call, and of some how long ago they were made (us)."""

class Entrance:
    """Where the frames of one connection come in.

    Args:
        lane: The trades.
        otherwise: Takes all frames that are not for the lane.
    """

    open: bool
    """Whether trades from here are taken now."""

    def __init__(self, lane: Lane, otherwise: Callable[[bytes], None]) -> None: ...
    def on_frame(self, frame: bytes) -> None:
        """Take a frame: the lane, or ``otherwise``."""

    def take(self, frame: bytes) -> bool:
        """Whether the lane has taken it."""
