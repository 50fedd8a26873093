"""Pauses between attempts: exponential with a cap and full jitter, so that a fleet does not come back in step."""

from collections.abc import Iterator
from random import Random


def full_jitter(random: Random, first_s: float, cap_s: float) -> Iterator[float]:
    """Endless pauses in seconds: the n-th is uniform between 0 and ``min(cap_s, first_s * 2**n)``."""
    ceiling_s = min(cap_s, first_s)
    while True:
        yield random.uniform(0.0, ceiling_s)
        ceiling_s = min(cap_s, ceiling_s * 2)
