"""Which of supervisord's logs are not where they belong: somebody has removed or moved files that it has open.

It writes on to those until it is told to open its logs anew, and nobody can read what it writes.
"""

import os
from pathlib import Path

OWN = "supervisord.log"
"""supervisord's own, which it always has open."""

_DELETED = " (deleted)"
"""How Linux marks the path of an open file that is gone (proc_pid_fd(5))."""


def misplaced(pid: int, folder: Path) -> list[str]:
    """Names of such logs, in order; only supervisord's own where the system does not show the files of its process.

    Args:
        pid: supervisord's process.
        folder: That of the logs, as the system spells it: without links in its path.
    """
    found = {path.name for path in _open_and_gone(pid) if path.parent == folder}
    if not (folder / OWN).exists():
        found.add(OWN)
    return sorted(found)


def _open_and_gone(pid: int) -> list[Path]:
    places = []
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    places.append(os.readlink(entry))
                except FileNotFoundError:  # closed since
                    continue
    except OSError:
        return []
    return [Path(place.removesuffix(_DELETED)) for place in places if place.endswith(_DELETED)]
