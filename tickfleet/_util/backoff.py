"""Pauses between attempts: exponential with a cap, with jitter so that a whole fleet does not come back in step."""

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
    """Pauses of one collector: each pause is twice as long as the last one, up to ``cap_s``.

    If there was no attempt for ``cap_s`` after the last pause, the next pause is ``first_s`` again. Times come from a
    monotonic clock, in seconds.
    """

    def __init__(self, first_s: float, cap_s: float) -> None:
        self.first_s = first_s
        self._cap_s = cap_s
        self._next_s = first_s
        self._over_s = inf

    def reset(self) -> None:
        """Start again with the first pause."""
        self._next_s = self.first_s

    def after_attempt(self, now_s: float) -> float:
        """Note an attempt now; returns how long to wait before the next one."""
        if now_s - self._over_s > self._cap_s:
            self.reset()
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self._cap_s)
        self._over_s = now_s + pause_s
        return pause_s
