"""The two clocks: wall time in nanoseconds for what is written down, monotonic seconds for what is waited for."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; tests pass one that they move."""

    def now_ns(self) -> int:
        """Wall clock, ns since the Unix epoch, UTC. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start. Never jumps."""
        ...


class SystemClock:
    """The machine's clocks. The functions themselves, not methods that call them: each frame asks twice."""

    now_ns = staticmethod(time.time_ns)
    """Wall clock, ns since the Unix epoch, UTC."""

    monotonic_s = staticmethod(time.monotonic)
    """Seconds from an arbitrary start."""
