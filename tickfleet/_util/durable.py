"""Files that are there after a power cut: what they hold, and their names in their folders, are brought to the disk."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until what a file or a folder holds is on the disk.

    Raises:
        OSError: It cannot be.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are not there.

    Raises:
        OSError: It cannot be made.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a whole file its name, on the same disk: at any time there is nothing, or all of it, under that name.

    Raises:
        OSError: It cannot be done.
    """
    sync(temporary)
    make_folder(path.parent)
    temporary.replace(path)
    sync(path.parent)
