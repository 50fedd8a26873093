"""Free ports and waiting for conditions."""

import socket
import time
from collections.abc import Callable
from random import SystemRandom
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.02
SLOW_POLL_S = 0.2
"""For what costs the other side more than a glance."""

_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives away by itself: nobody gets one by chance between our look and its use."""

_RANDOM = SystemRandom()  # not the seeded one: two test runs side by side must not draw the same


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = _RANDOM.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], T], timeout_s: float, what: str, poll_s: float = _POLL_S) -> T:
    """Wait for a condition of another process to hold, and return its (true) value.

    Raises:
        AssertionError: It did not hold in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(poll_s)
    return value


def wait_until_passes(check: Callable[[], None], timeout_s: float) -> None:
    """Wait until a check of what becomes true in the end passes; it looks anew each time.

    Raises:
        AssertionError: It did not in time; that of the last look, which shows what was wrong.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > deadline_s:
                raise
        else:
            return
        time.sleep(SLOW_POLL_S)
