"""Pauses between attempts: exponential with a cap, jittered where a whole fleet would else come back in step."""

from collections.abc import Iterator
from math import inf
from random import Random


def full_jitter(random: Random, first_s: float, cap_s: float) -> Iterator[float]:
    """Endless pauses in seconds: the n-th is uniform between 0 and ``min(cap_s, first_s * 2**n)``."""
    ceiling_s = min(cap_s, first_s)
    while True:
        yield random.uniform(0.0, ceiling_s)
        ceiling_s = min(cap_s, ceiling_s * 2)


class GrowingPause:
    """Pauses of one collector: each twice as long as the one before, up to ``cap_s``.

    Where nothing was attempted for ``cap_s`` beyond the last pause, the next one is ``first_s`` again. Times are those
    of a monotonic clock, in seconds.
    """

    def __init__(self, first_s: float, cap_s: float) -> None:
        self.first_s = first_s
        self._cap_s = cap_s
        self._next_s = first_s
        self._over_s = inf

    def reset(self) -> None:
        """The next pause is the first one."""
        self._next_s = self.first_s

    def after_attempt(self, now_s: float) -> float:
        """An attempt is made now: how long to wait before the next one."""
        if now_s - self._over_s > self._cap_s:
            self.reset()
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self._cap_s)
        self._over_s = now_s + pause_s
        return pause_s
