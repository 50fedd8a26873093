"""Redis commands that several kinds of readers send, and the meaning of their answers."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.cursor import StreamFacts, read_facts
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import Refusal, Reply, is_no_stream, pack_command
from tickfleet.redis.refusals import describe

_SCAN_COUNT = 1_000
_ONE_CHARACTER = re.compile(r"\?|\[[^\]]*\]")


def accepted(reply: Reply) -> Any:
    """The answer, if it is not a refusal.

    Raises:
        RedisUnreachableError: It is a refusal: Redis does not let us do what a reader does.
    """
    if isinstance(reply, Refusal):
        raise RedisUnreachableError(f"Redis {describe(str(reply), reply.command)}") from reply
    return reply


def hash_of(reply: Reply) -> dict[str, str]:
    """The fields of a hash; none if the key does not exist. Errors as in ``accepted``."""
    said = accepted(reply)
    return dict(zip(said[::2], said[1::2], strict=True))


def xinfo(key: str) -> bytes:
    """Look at a stream."""
    return pack_command(("XINFO", "STREAM", key))


def facts_of(reply: Reply) -> StreamFacts | None:
    """The answer to ``xinfo``; None if there is no stream.

    Raises:
        RedisUnreachableError: As ``accepted``.
    """
    return None if is_no_stream(reply) else read_facts(accepted(reply))


def by_key(reply: Reply) -> dict[str, list[Any]]:
    """The answer to XREAD or XREADGROUP: raw entries by the key of their stream.

    Raises:
        RedisUnreachableError: As ``accepted``.
    """
    return dict(accepted(reply) or ())


async def find(pipe: RedisPipe, patterns: Iterable[str]) -> set[StreamName]:
    """The data streams that exist and match some patterns.

    Raises:
        RedisUnreachableError: Redis does not answer, or refuses.
    """
    found: set[StreamName] = set()
    for pattern in patterns:
        place = "0"
        while True:
            command = pack_command(("SCAN", place, "MATCH", _wider(pattern), "COUNT", _SCAN_COUNT))
            place, keys = cast("tuple[str, Sequence[str]]", accepted(*await pipe.execute([command])))
            found |= {name for key in keys if _fits(key, pattern) and (name := StreamName.of_key(key))}
            if place == "0":
                break
    return found


def _wider(pattern: str) -> str:
    """A wider pattern: in Redis ``?`` and ``[…]`` match one byte, but a letter of another script has several."""
    return _ONE_CHARACTER.sub("*", pattern)


def _fits(key: str, pattern: str) -> bool:
    return fnmatchcase(key, pattern.replace("[^", "[!"))
