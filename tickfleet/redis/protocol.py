"""Redis' protocol: commands to bytes, bytes to replies. Does no I/O; the only owner of ``hiredis``."""

from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from tickfleet.errors import FleetError
from tickfleet.redis.refusals import code_of


class Refusal(Exception):  # noqa: N818 - an answer, which is raised nowhere
    """An error reply; the text is the server's, with the error code first: ``WRONGTYPE Operation against a key …``.

    Attributes:
        command: The refused command, in the form of ``name_command``; empty if the caller has not noted it.
    """

    command = ""

    @property
    def code(self) -> str:
        """The first word; ``ERR`` if the server has no better one."""
        return code_of(str(self))


class NotRedisError(FleetError):
    """The other side does not speak Redis' protocol."""


Reply = bytes | int | list[Any] | str | None | Exception
Scalar = str | int | float | bytes

pack_command: Callable[[tuple[Scalar, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: 1-tuple
"""One command in Redis' protocol, packed in C."""


_KEY_AT = {"EVAL": 3, "XREADGROUP": 0, "XREAD": 0}
"""Where the key of a command is that is neither its second word nor behind a subcommand; 0: behind STREAMS."""

_OF_STREAMS = frozenset(name for name, at in _KEY_AT.items() if not at)
_WITH_SUBCOMMAND = frozenset({"XINFO", "XGROUP", "MEMORY", "CONFIG", "CLIENT", "ACL", "CLUSTER"})
_SECRET = frozenset({"AUTH", "HELLO"})


def name_command(packed: bytes) -> str:
    """The name of a packed command for messages, with its first key, ``xinfo stream md:v1:{okx:BTC-USDT}:trade``."""
    (parts,) = Replies(text=True).feed(packed)
    return name_words(parts) if isinstance(parts, list) else ""


def name_words(parts: Sequence[object]) -> str:
    """As ``name_command``, for a command as words."""
    if not parts:
        return ""
    name = str(parts[0]).upper()
    subcommand = parts[1:2] if name in _WITH_SUBCOMMAND else []
    key_at = _KEY_AT.get(name, 1 + len(subcommand)) or ([*parts, "STREAMS"].index("STREAMS") + 1)
    key = parts[key_at : key_at + 1] if name not in _SECRET else []
    others = (len(parts) - key_at) // 2 - 1 if name in _OF_STREAMS else 0  # behind the keys stand as many ids
    more = [f"(or {others} more)"] if others > 0 else []
    return " ".join([*(str(word).lower() for word in (name, *subcommand)), *map(str, key), *more])


class Replies:
    """Takes bytes as they come and returns complete replies, in order; parsed in C.

    Args:
        text: Strings are ``str``; bytes that are not UTF-8 are replaced by a mark, so that a foreign value in one of
            our keys is damaged text and does not break its reply. If false, strings are ``bytes``.
    """

    def __init__(self, *, text: bool = False) -> None:
        encoding = {"encoding": "utf-8", "errors": "replace"} if text else {}
        self._none = object()
        self._reader = hiredis.Reader(
            protocolError=NotRedisError, replyError=Refusal, notEnoughData=self._none, **encoding
        )

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete with these bytes.

        Raises:
            NotRedisError: They are not Redis' protocol.
        """
        self._reader.feed(data)
        gets, none = self._reader.gets, self._none
        replies: list[Reply] = []
        while (reply := gets()) is not none:
            replies.append(reply)
        return replies


def is_stale_id(reply: Reply) -> bool:
    """Whether XADD was refused because the stream already has this id or a higher one."""
    return isinstance(reply, Refusal) and "equal or smaller" in str(reply)


def is_wrong_type(reply: Reply) -> bool:
    """Whether a command was refused because the key holds something of another type."""
    return isinstance(reply, Refusal) and reply.code == "WRONGTYPE"


def is_no_stream(reply: Reply) -> bool:
    """Whether XINFO or XGROUP was refused because there is no such key, or it holds something of another type."""
    no_key = ("no such key", "requires the key to exist")
    return is_wrong_type(reply) or (isinstance(reply, Refusal) and any(text in str(reply) for text in no_key))


def is_no_group(reply: Reply) -> bool:
    """Whether a command of a consumer group was refused because there is no such group, or its stream is gone."""
    return isinstance(reply, Refusal) and reply.code in ("NOGROUP", "UNBLOCKED")


def is_group_there(reply: Reply) -> bool:
    """Whether XGROUP CREATE was refused because the group exists already."""
    return isinstance(reply, Refusal) and reply.code == "BUSYGROUP"
