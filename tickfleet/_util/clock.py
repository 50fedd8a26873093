"""The two clocks: wall time in nanoseconds for time stamps, monotonic seconds for waits."""

import time
from typing import Protocol


class Clock(Protocol):
    """The source of time; tests pass a clock that they move themselves."""

    def now_ns(self) -> int:
        """Wall clock, ns since the Unix epoch, UTC. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start. Never jumps."""
        ...


class SystemClock:
    """The machine's clocks: the plain functions, without a method around them, as each frame reads the time twice."""

    now_ns = staticmethod(time.time_ns)
    """Wall clock, ns since the Unix epoch, UTC."""

    monotonic_s = staticmethod(time.monotonic)
    """Seconds from an arbitrary start."""
