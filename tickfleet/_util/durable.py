"""Files that survive a power cut: their content, and their names in their folders, are synced to the disk."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until the content of a file or a folder is on the disk.

    Raises:
        OSError: It cannot be.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and its parents, if they do not exist.

    Raises:
        OSError: It cannot be made.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a complete file, on the same disk: at any time the new name has no file or the complete one.

    Raises:
        OSError: It cannot be done.
    """
    sync(temporary)
    make_folder(path.parent)
    temporary.replace(path)
    sync(path.parent)
