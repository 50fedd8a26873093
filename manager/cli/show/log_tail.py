"""The end of a log file, and what is added to it: through supervisord's rotation, which renames the file away."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_BLOCK = 64 * 1024
LOOK_EVERY_S = 0.25
"""There is no portable way to be notified of a growing file, so we look at it regularly."""


def last_lines(path: Path, count: int) -> tuple[bytes, int]:
    """The last ``count`` lines of a file, and where it ended.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position, tail = end, b""
        while position > 0 and tail.count(b"\n") <= count:
            start = max(0, position - _BLOCK)
            file.seek(start)
            tail = file.read(position - start) + tail
            position = start
    lines = io.BytesIO(tail).readlines()
    return b"".join(lines[-count:]) if count else b"", end


def follow(path: Path, position: int, wait: Callable[[float], None]) -> Iterator[bytes]:
    """What is added after ``position``, for ever. A file that is renamed or cut off is read on from its new start."""
    file = path.open("rb")
    try:
        file.seek(position)
        while True:
            chunk = file.read(_BLOCK)
            if chunk:
                yield chunk
                continue
            found = _stat(path)
            own = os.fstat(file.fileno())
            if found is not None and (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
                yield file.read()  # written between our last read and the renaming
                file.close()
                file = path.open("rb")
            elif own.st_size < file.tell():
                file.seek(0)
            else:
                wait(LOOK_EVERY_S)
    finally:
        file.close()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # between the renaming and the new file
        return None
