"""Which of supervisord's logs are not in their place: somebody removed or moved files that supervisord has open.

supervisord continues to write to these files until it is ordered to reopen its logs, and nobody can read the text.
"""

import os
import re
from pathlib import Path

OWN = "supervisord.log"
"""supervisord's own, which it always has open."""

_DELETED = " (deleted)"
"""How Linux marks the path of an open file that is gone (proc_pid_fd(5))."""

_RENAMED = re.compile(r"(?P<name>.+\.log)[\W_].*")
"""``manager.log.old``, ``manager.log-20261130.gz``; supervisord itself has no log open that it has put by."""


def misplaced(pid: int, folder: Path) -> list[str]:
    """Names of such logs, in order; only supervisord's own where the system does not show the files of its process.

    A log that was moved into another folder is not found, as its settings may place it there. supervisord's own log is
    found.

    Args:
        pid: supervisord's process.
        folder: That of the logs, as the system spells it: without links in its path.
    """
    found = {name for path in _open_files(pid) if path.parent == folder and (name := _name_before(path.name))}
    if not (folder / OWN).exists():
        found.add(OWN)
    return sorted(found)


def _name_before(name: str) -> str:
    """What a log was called that was removed or renamed; empty for one that is where it belongs."""
    found = _RENAMED.fullmatch(name.removesuffix(_DELETED))
    if found:
        return found["name"]
    return name.removesuffix(_DELETED) if name.endswith(_DELETED) else ""


def _open_files(pid: int) -> list[Path]:
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
    return [Path(place) for place in places]
