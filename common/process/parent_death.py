"""Ends a process with its parent: if it outlived supervisord, a new supervisord would start a second copy."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(sig: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send us ``sig`` when our parent ends. Survives ``exec``; on Linux only.

    A parent with process id 1 proves nothing: in a container supervisord often has this id.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(sig))


def under_supervisord() -> bool:
    """Whether supervisord started us; a worker started by hand should survive its shell."""
    return os.environ.get("SUPERVISOR_ENABLED") == "1"
