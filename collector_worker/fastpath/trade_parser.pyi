"""The usual trade from its frame into the outbox; compiled from ``parser.pyx``."""

from collections.abc import Callable

from collector_worker.exchanges.adapter import TradeShape
from collector_worker.fastpath.sender import Sender

class TradeParser:
    """The trades of one stream.

    Args:
        shape: How their frames are spelt.
        key: Of the stream.
        beginning: Of its XADD, up to the length of the id.
        bounded: The same with the stream's bound.
        bound_every: Of so many entries one carries the bound.
        lag_every: Of so many trades of one it is noted how old it was.

    Raises:
        ValueError: There are too many pieces, or the key is too long.
    """

    last_id: int
    last_ms: int
    last_n: int
    last_ts: int
    recv_ns: int
    """When the last trade was received."""

    def __init__(
        self, shape: TradeShape, key: bytes, beginning: bytes, bounded: bytes, bound_every: int, lag_every: int
    ) -> None: ...
    def begin(
        self, sender: Sender, frame_entry: FrameEntry, last_id: int, last_ms: int, last_n: int, last_ts: int
    ) -> None:
        """Take trades from now on, behind the last one: its number, the parts of its entry's id, and its time (ns)."""

    def end(self) -> None:
        """Take no more."""

    def take_tally(self) -> tuple[int, list[int]]:
        """How many trades were taken since the last call, and of some how long ago they were made (us)."""

class FrameEntry:
    """Where the frames of one connection come in.

    Args:
        parser: The trades.
        otherwise: Takes all frames that are not for the trade parser.
    """

    open: bool
    """Whether trades from here are taken now."""
    seen_ns: int
    """When the trade parser took the last one (``CLOCK_MONOTONIC``); 0 before that."""

    def __init__(self, parser: TradeParser, otherwise: Callable[[bytes], None]) -> None: ...
    def on_frame(self, frame: bytes) -> None:
        """Take a frame: the trade parser, or ``otherwise``."""

    def take(self, frame: bytes) -> bool:
        """Whether the trade parser has taken it."""
