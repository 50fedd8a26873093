"""A clock for tests."""


class ManualClock:
    """Stands still until ``advance``; starts at 2026-01-01 00:00 UTC."""

    def __init__(self, now_ns: int = 1_767_225_600_000_000_000) -> None:
        self._now_ns = now_ns
        self._monotonic_s = 1_000.0

    def now_ns(self) -> int:
        """Wall clock, ns since the epoch."""
        return self._now_ns

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Move both clocks."""
        self._now_ns += round(seconds * 1e9)
        self._monotonic_s += seconds
