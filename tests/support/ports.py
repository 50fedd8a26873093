"""Free ports and waiting for conditions."""

import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.02
_PATIENCE = 5
SLOW_POLL_S = 0.2
"""For what costs the other side more than a glance."""

_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives away by itself: nobody gets one by chance between our look and its use."""

_RANDOM = SystemRandom()  # not the seeded one: two test runs side by side must not draw the same


_PLACES = os.open(f"{tempfile.gettempdir()}/tickfleet-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
"""A file of one byte a port: the process that has locked a byte has that port until it ends."""

_ours: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that no other call in any test run of this user gets as long as we live.

    So it stays ours between this look and its use, and while the server behind it is stopped for a while.
    """
    while True:
        port = _RANDOM.choice(_PORTS)
        if port not in _ours and _lock(port) and _is_free(port):
            _ours.add(port)
            return port


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_PLACES, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Patience:
    """A deadline that does not count the time in which something on this machine waited for a processor or a disk.

    On a machine with nothing else to do it is the time by the clock; on a busy one at most `_PATIENCE` times as long.

    Args:
        limit_s: How long something may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._began_s, self._stalled_s = time.monotonic(), stalled_s()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        passed_s = time.monotonic() - self._began_s
        stalled = min(stalled_s() - self._stalled_s, passed_s * (1 - 1 / _PATIENCE))
        return passed_s - stalled > self.limit_s


def stalled_s() -> float:
    """For how long, since the machine was started, something has waited for a processor or a disk; 0: nobody knows."""
    total_us = 0
    for resource in ("cpu", "io"):
        try:
            text = Path(f"/proc/pressure/{resource}").read_text(encoding="ascii")
        except OSError:  # no Linux, or a kernel that does not tell
            continue
        total_us += int(text.split("\n", 1)[0].rpartition("total=")[2])
    return total_us / 1e6


def wait_until(condition: Callable[[], T], timeout_s: float | Patience, what: str, poll_s: float = _POLL_S) -> T:
    """Wait for a condition of another process to hold, and return its (true) value.

    Args:
        condition: Is asked again and again.
        timeout_s: How long at most, by ``Patience``; one that has begun already is shared with other waits.
        what: For the message.
        poll_s: Between two looks.

    Raises:
        AssertionError: It did not hold in time.
    """
    patience = timeout_s if isinstance(timeout_s, Patience) else Patience(timeout_s)
    while not (value := condition()):
        if patience.is_over:
            raise AssertionError(f"not within {patience.limit_s} s: {what}")
        time.sleep(poll_s)
    return value


def wait_until_passes(check: Callable[[], None], timeout_s: float) -> None:
    """Wait until a check of what becomes true in the end passes; it looks anew each time.

    Raises:
        AssertionError: It did not in time; that of the last look, which shows what was wrong.
    """
    patience = Patience(timeout_s)
    while True:
        try:
            check()
        except AssertionError:
            if patience.is_over:
                raise
        else:
            return
        time.sleep(SLOW_POLL_S)
