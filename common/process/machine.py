"""An id for this machine, because names are not unique: copies of an image, and containers, share names."""

import hmac
import os
from contextlib import suppress
from pathlib import Path

_FILES = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
"""Copies of an image may share the first, and containers of one machine the second."""

_PROCESSES = "/proc/self/ns/pid"
"""The namespace of process ids, which a container has to itself."""


def machine_id() -> str:
    """A digest shared only by processes that see each other on one machine; it changes when the machine boots.

    The machine id itself must not be shown, only hashed with a key of the program (``man machine-id``). Empty if the
    system gives no id: then only the name is used.
    """
    told = list[str]()
    for path in _FILES:
        with suppress(OSError, ValueError):
            told.append(path.read_text(encoding="ascii").strip())
    with suppress(OSError):
        told.append(os.readlink(_PROCESSES))
    return hmac.digest(b"tickfleet", "\0".join(told).encode(), "sha256").hex()[:16] if told else ""
