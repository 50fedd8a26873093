"""The two small files by which manager and watcher know of each other. They need no Redis: its absence is no hang."""

import os
from pathlib import Path
from typing import NamedTuple

_LONGEST = 200


def alive_file(var: Path) -> Path:
    """The manager's loop touches it in each round; its time of change is the sign of life, whatever the clock says."""
    return var / "run" / "manager.alive"


def revival_file(var: Path) -> Path:
    """Left by the watcher for the next manager, which puts it into the journal."""
    return var / "run" / "manager.revival"


def touch(path: Path) -> None:
    """Give the sign of life.

    Raises:
        OSError: It cannot be written.
    """
    try:
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)


def read(path: Path) -> int:
    """The last sign of life: a number that another sign changes; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Revival(NamedTuple):
    """What the watcher did: which process it killed, and for how long that process had given no sign."""

    pid: int
    silent_s: int


def leave(path: Path, revival: Revival) -> None:
    """Leave a note for the next manager.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(f"{revival.pid} {revival.silent_s}\n", encoding="ascii")


def pop_revival(path: Path) -> Revival | None:
    """The note, which is gone then; None where there is none that can be read."""
    try:
        with open(path, encoding="ascii") as file:
            fields = file.read(_LONGEST).split()
        path.unlink()
        return Revival(*map(int, fields))
    except (OSError, ValueError, TypeError):
        return None
