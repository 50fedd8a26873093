"""Checks whether a deployment can be in a folder, and who can read the folder.

Standard library only: set-up uses it before anything is installed.
"""

import stat
from pathlib import Path

from tickfleet._util.unix_socket import SOCKET_PATH_MAX_BYTES

REMEDY = "move the whole folder to a short path without % and quotes, and run make setup there"

_SOCKET = "var/supervisor.sock"

_WHILE_IT_STARTS = len(".4194304")
"""supervisord binds its socket to a name with its process id behind it, and renames that."""

_SIGNS = ("%", '"', "'", " ;", " #", "\t;", "\t#")
"""supervisord puts the folder into its settings before it looks for expansions; the others end a value or a string."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def unfit(root: Path) -> str:
    """Why no fleet can run in this folder; empty if one can."""
    text = str(root)
    sign = next((sign for sign in _SIGNS if sign in text), None)
    if sign is not None or not text.isprintable():
        found = "a control character" if sign is None else repr(sign)
        return f"the folder {text!r} holds {found}, which supervisord's settings cannot hold"
    length = len(str(root / _SOCKET).encode(errors="surrogateescape")) + _WHILE_IT_STARTS
    if length > SOCKET_PATH_MAX_BYTES:
        return (
            f"the folder {text!r} is too deep: the path of a unix socket has at most {SOCKET_PATH_MAX_BYTES} bytes,"
            f" and supervisord's would have {length}"
        )
    return ""


def close_to_others(folder: Path) -> bool:
    """Close a folder of ours to other users; returns whether it was open to them.

    In the foreground, files that supervisord itself writes there get their modes from the caller's umask.

    Raises:
        OSError: The folder does not exist, or is not ours.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & _OTHERS:
        return False
    folder.chmod(mode & ~_OTHERS)
    return True
