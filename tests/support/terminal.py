"""A pseudo-terminal of some width, and what a command shows in it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_HEIGHT = 200


def shown(command: Sequence[str], width: int, env: dict[str, str]) -> list[str]:
    """The lines that a command writes to a terminal until its end, without colours and blanks at their ends."""
    return lines_of(written(command, width, env))


def lines_of(text: str) -> list[str]:
    """What was written, without colours and blanks at the lines' ends."""
    return [line.rstrip() for line in _CONTROL.sub("", text).splitlines()]


def written(command: Sequence[str], width: int, env: dict[str, str], height: int = _HEIGHT) -> str:
    """All that a command writes to a terminal until its end."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    env = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    with subprocess.Popen(command, env=env, stdin=its, stdout=its, stderr=its):
        os.close(its)
        text = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    return text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # EIO: nobody has the other end open any more
        return b""
