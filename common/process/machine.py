"""Which machine this is, where its name does not tell: copies of an image, and containers, share names."""

import hmac
import os
from contextlib import suppress
from pathlib import Path

_FILES = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
"""Copies of an image may share the first, and containers of one machine the second."""

_PROCESSES = "/proc/self/ns/pid"
"""The namespace of process ids, which a container has to itself."""


def machine_id() -> str:
    """A digest that all processes which see each other on a machine share until it boots, and no others.

    The id of a machine must not be shown as it is, only hashed with a key of the program (``man machine-id``).
    Empty where the system tells nothing: then the name has to do.
    """
    told = list[str]()
    for path in _FILES:
        with suppress(OSError, ValueError):
            told.append(path.read_text(encoding="ascii").strip())
    with suppress(OSError):
        told.append(os.readlink(_PROCESSES))
    return hmac.digest(b"tickfleet", "\0".join(told).encode(), "sha256").hex()[:16] if told else ""
