"""A clock for tests."""

from tests.support.waiting import until


class ManualClock:
    """Does not move until ``advance``; starts at 2026-01-01 00:00 UTC."""

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


class WatchedClock(ManualClock):
    """Knows when it has been looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start."""
        self._looks += 1
        return super().monotonic_s()

    async def pass_to_all(self, seconds: float) -> None:
        """Move both clocks and wait until whoever watches them has seen it."""
        self.advance(seconds)
        seen = self._looks
        await until(lambda: self._looks >= seen + 3, "somebody looks at the clock")
