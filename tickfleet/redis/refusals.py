"""Redis' refusals in our own words; the only place that knows their codes.

A refusal begins with a code (``OOM command not allowed when …``). ``ERR`` is used for all refusals without their own
code, so it says nothing by itself. For these the text is checked; if the text is unknown, the code stays "ERR". The
text is never repeated, as it may hold anything.
"""

from collections.abc import Mapping

NO_WRITES: Mapping[str, str] = {
    "OOM": "its memory is full (maxmemory)",
    "MISCONF": "it cannot write to its disk",
    "READONLY": "it is a replica",
    "NOREPLICAS": "it has fewer replicas than it must have",
}
"""Refusals of a server that answers reads and refuses every write that may need room, and what they mean."""

_NO_LOGIN = "does not accept our user and password"

_BY_CODE: Mapping[str, str] = {
    "LOADING": "is still loading its data",
    "MASTERDOWN": "is a replica without its master",
    "BUSY": "is busy with somebody's script",
    "NOAUTH": "asks for a password",
    "WRONGPASS": _NO_LOGIN,
    "DENIED": "is in protected mode: it lets in nobody from another machine without a password",
    "MOVED": "serves our keys by another node now",
    "ASK": "is moving our keys to another node",
    "TRYAGAIN": "is moving our keys to another node",
    "CLUSTERDOWN": "is a Cluster that is not whole now",
    "WRONGTYPE": "holds something of another type under a key of ours",
    "CROSSSLOT": "is a Cluster, and holds what was asked for on several nodes",
}

_BY_TEXT: Mapping[str, str] = {
    "max number of clients": "has as many connections as it allows (maxclients)",
    "without any password configured": "asks for no password, and we have one for it",
    "no password is set": "asks for no password, and we have one for it",
    "invalid password": _NO_LOGIN,
    "wrong number of arguments for 'auth'": "knows no users, only a password: it is older than Redis 6.2",
    "DB index": "has no database of this number",
    "SELECT is not allowed in cluster mode": "is a Cluster: its address begins with redis+cluster://",
    "cluster support disabled": "is no Cluster: its address begins with redis://",
    "unknown command": "does not know a command that we need: it is older than Redis 6.2, or was told to hide it",
}
"""Of refusals with the code ``ERR``: a part of the text, and what is meant by it."""

NO_RIGHT = "NOPERM"

_NO_ID = ("exhausted the last possible ID", "Invalid stream ID")
"""Of XADD: the last id of the stream is the highest that there can be, or what follows it would be higher."""


def code_of(text: str) -> str:
    """The code of a refusal: its first word if that is a code, else ``ERR``."""
    word = text.partition(" ")[0]
    return word if word.isascii() and word.isalpha() and word.isupper() else "ERR"


def describe(text: str, command: str = "") -> str:
    """The meaning of a refusal, as the text behind "Redis at HOST".

    Args:
        text: The refusal as Redis gave it.
        command: The refused command, e.g. ``xadd KEY``, if it is known.
    """
    code = code_of(text)
    if code in NO_WRITES:
        return takes_no_writes(code)
    if code == NO_RIGHT:
        return f"does not give us a right that we need: {' '.join(filter(None, (NO_RIGHT, command or _named(text))))}"
    if code == "ERR":
        known = next((known for part, known in _BY_TEXT.items() if part.lower() in text.lower()), "")
        if known:
            return known
    return _BY_CODE.get(code, f"refuses what we ask: {' '.join(filter(None, (code, command)))}")


def takes_no_writes(code: str) -> str:
    """The text for a server that answers but takes no writes."""
    return f"takes no writes: {code}"


def because(text: str, command: str) -> str:
    """The end of a message that says that a key cannot be used: `` (NOPERM xrange KEY)``; else empty."""
    code = code_of(text)
    if has_no_id_left(text):
        return " (somebody has written the highest id that there can be: rename the key)"
    return "" if not text or code == "WRONGTYPE" else f" ({code} {command})"


def has_no_id_left(text: str) -> bool:
    """Whether XADD was refused because no id is left above a stream's last one; only a foreign entry causes that."""
    return any(part in text for part in _NO_ID)


def _named(text: str) -> str:
    """The command named in a refusal for a missing right: ``… no permissions to run the 'xinfo|stream' command``."""
    name = text.partition("'")[2].partition("'")[0]
    return name.replace("|", " ") if name.replace("|", "").replace(".", "").isalnum() else ""
