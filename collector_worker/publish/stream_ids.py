"""Entry ids: explicit, strictly rising, computed once per entry, so that a retried publish cannot duplicate entries.

An id is ``<ms>-<n>``. ``ms`` is the event's time. If it is lower than in the previous id, the previous ``ms`` is used;
if the exchange's clock is more than a minute from ours, our time is used. For trades with numeric ids, ``n`` is the
trade id.
"""

from collector_worker.exchanges.trusted_time import trusted_ns
from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS

NS_PER_MS = 1_000_000


class StreamIds:
    """Makes the ids of one stream; starts behind the stream's last id."""

    __slots__ = ("last_ms", "last_n")

    def __init__(self, last_ms: int = 0, last_n: int = 0) -> None:
        self.last_ms = last_ms
        self.last_n = last_n

    @property
    def last(self) -> bytes:
        """The id of the last entry, as Redis writes it; ``0-0`` before the first."""
        return f"{self.last_ms}-{self.last_n}".encode()

    def next(self, event_ns: int, recv_ns: int) -> str:
        """The id of an unnumbered entry: ``n`` counts the entries of one millisecond."""
        ms = trusted_ns(event_ns, recv_ns) // NS_PER_MS
        if ms > self.last_ms:
            self.last_ms, self.last_n = ms, 0
        else:
            self.last_n += 1
        return f"{self.last_ms}-{self.last_n}"

    def next_numbered(self, number: int, event_ns: int, recv_ns: int) -> str:
        """The id of a trade; numbers rise until the exchange begins a new numbering."""
        trusted = (
            -MAX_CLOCK_DIFFERENCE_NS <= event_ns - recv_ns <= MAX_CLOCK_DIFFERENCE_NS
        )  # no call: each trade is here
        ms = (event_ns if trusted else recv_ns) // NS_PER_MS
        if ms > self.last_ms:
            self.last_ms = ms
        elif number <= self.last_n:  # behind an entry of another numbering or making: a new millisecond is free
            self.last_ms += 1
        self.last_n = number
        return f"{self.last_ms}-{number}"

    def next_marker(self, now_ns: int) -> str:
        """The id of a ``gap`` or ``feed_status`` among trades: a later millisecond, so that any number can follow."""
        self.last_ms = max(self.last_ms + 1, now_ns // NS_PER_MS)
        self.last_n = 0
        return f"{self.last_ms}-0"
