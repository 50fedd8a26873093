"""The budgets of an IP address: request weight and connection attempts (sheet, sections 2 and 3)."""

from __future__ import annotations

from collections import deque

from tests.simulator.candles import MINUTE_MS

WEIGHT_PER_MINUTE = 6_000
CONNECTIONS_PER_5_MIN = 300
_FIVE_MINUTES_MS = 5 * MINUTE_MS


class Weights:
    """Counts the weight of requests in each minute of the clock. All clients count as one address.

    Args:
        limit: Weight per minute.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Weight used in the minute of the last request, which counts even if it was refused."""
        self._minute_ms = 0

    def spend(self, weight: int, now_ms: int) -> int | None:
        """Count a request; returns the seconds to wait if the limit is passed, else None."""
        minute_ms = now_ms - now_ms % MINUTE_MS
        if minute_ms != self._minute_ms:
            self._minute_ms, self.used = minute_ms, 0
        self.used += weight
        if self.used <= self.limit:
            return None
        return -(-(minute_ms + MINUTE_MS - now_ms) // 1_000)


class Attempts:
    """Counts connection attempts. All clients count as one address.

    Args:
        limit: Attempts within any five minutes; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._times: deque[int] = deque()

    def allow(self, now_ms: int) -> int | None:
        """Count an attempt; returns the seconds to wait if it is one too many, else None."""
        if self._limit is None:
            return None
        while self._times and self._times[0] <= now_ms - _FIVE_MINUTES_MS:
            self._times.popleft()
        if len(self._times) < self._limit:
            self._times.append(now_ms)
            return None
        return -(-(self._times[0] + _FIVE_MINUTES_MS - now_ms) // 1_000)
