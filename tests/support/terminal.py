"""A pseudo-terminal of some width, and what a command shows in it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_HEIGHT = 200


def shown(command: Sequence[str], width: int, env: dict[str, str]) -> list[str]:
    """The lines that a command writes to a terminal until its end, without colours and blanks at their ends."""
    return lines_of(written(command, width, env))


def lines_of(text: str) -> list[str]:
    """What was written, without colours and blanks at the lines' ends."""
    return [line.rstrip() for line in _CONTROL.sub("", text).splitlines()]


def written(
    command: Sequence[str],
    width: int,
    env: dict[str, str],
    height: int = _HEIGHT,
    enough: Callable[[str], bool] = lambda _: False,
) -> str:
    """All that a command writes to a terminal until its end; it is ordered to end as soon as that is ``enough``."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    env = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    text, told = b"", False
    with subprocess.Popen(command, env=env, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        for part in iter(lambda: _read(ours), b""):
            text += part
            if not told and enough(text.decode(errors="replace")):
                process.terminate()
                told = True
    os.close(ours)
    return text.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # EIO: nobody has the other end open any more
        return b""
