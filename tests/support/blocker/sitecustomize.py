"""Lets the event loop of a program be blocked from outside: by SIGUSR1, until SIGUSR2.

Python runs this at the start of a program on whose ``PYTHONPATH`` this folder is. The process itself lives on: its
sockets are open, it is scheduled; but no callback runs, as with a call that should have been awaited.
"""

import signal
import time
from types import FrameType

_LONGEST_S = 60.0
_PAUSE_S = 0.02
_blocked = [False]


def _block(_number: int, _frame: FrameType | None) -> None:
    """Handlers run in the main thread, between two steps of whatever runs there: the loop waits."""
    _blocked[0] = True
    deadline_s = time.monotonic() + _LONGEST_S
    while _blocked[0] and time.monotonic() < deadline_s:
        time.sleep(_PAUSE_S)


def _release(_number: int, _frame: FrameType | None) -> None:
    _blocked[0] = False


signal.signal(signal.SIGUSR1, _block)
signal.signal(signal.SIGUSR2, _release)
