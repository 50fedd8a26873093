"""Where streams end in Redis, and what that says of the entries that wait for it. Ids are Redis' own text.

The end is the highest id that a stream ever had: it stays when the entries are trimmed away or deleted, and goes only
with the key (https://redis.io/docs/latest/commands/xinfo-stream/, ``last-generated-id``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.protocol import Reply, is_no_stream, is_wrong_type, pack_command
from tickfleet.redis.refusals import describe

NOWHERE = b"0-0"
"""The end of a stream that never had an entry."""

NO_STREAM = b""
"""In place of the end where the key holds something of another type."""


class StreamTakenError(FleetError):
    """Redis holds ids above ours that we did not write: another writer. A new run reads the tail and goes on there."""


class StreamRolledBackError(FleetError):
    """Redis has lost entries that it had confirmed. A new run reads the tail and fetches what is missing behind it."""


class StreamReturnedError(FleetError):
    """A stream that refused our entries takes them again. A new run reads the tail and fetches what was refused."""


class Reader(Protocol):
    """What is needed of a connection to Redis; see ``RedisPipe``."""

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands; a refusal is a reply."""
        ...


def place(entry_id: bytes) -> tuple[int, int]:
    """An entry id as numbers, which compare as Redis compares ids."""
    ms, _, n = entry_id.partition(b"-")
    return int(ms), int(n)


async def read_ends(pipe: Reader, keys: Sequence[bytes | str]) -> list[bytes | None]:
    """The end of each stream; None where there is no such key, ``NO_STREAM`` where it holds something else.

    Raises:
        RedisUnreachableError: Redis went away, or does not let us read now.
    """
    replies = await pipe.execute([pack_command(("XINFO", "STREAM", key)) for key in keys])
    return [_end(key, reply) for key, reply in zip(keys, replies, strict=True)]


def _end(key: bytes | str, reply: Reply) -> bytes | None:
    if isinstance(reply, list):
        facts = dict(zip(reply[::2], reply[1::2], strict=True))
        return bytes(facts[b"last-generated-id"])
    if is_no_stream(reply):
        return NO_STREAM if is_wrong_type(reply) else None
    name = key.decode() if isinstance(key, bytes) else key
    raise RedisUnreachableError(f"Redis {describe(str(reply), f'xinfo stream {name}')}")


def check_ends(known: Mapping[bytes, bytes], sent: Mapping[bytes, bytes], found: Mapping[bytes, bytes | None]) -> bool:
    """Redis was away: see that it still holds what it had confirmed, and nothing that is not ours.

    A stream that is gone while others are there was deleted by somebody; it begins anew with the next entry. A key that
    holds something else now says nothing.

    Args:
        known: By stream, the last id that Redis has confirmed.
        sent: The last ids of the transaction whose answer was lost: all of it has been carried out or nothing, but for
            what was refused.
        found: Where all these streams end now.

    Returns:
        Whether that transaction has been carried out.

    Raises:
        StreamRolledBackError: Confirmed entries are gone.
        StreamTakenError: There are entries that we did not write.
    """
    had = [key for key, end in known.items() if end != NOWHERE]
    if had and all(end is None for end in found.values()):
        raise StreamRolledBackError("Redis came back without anything that it had confirmed")
    for key, end in known.items():
        now = found[key]
        if not now or now in (end, sent.get(key)):
            continue
        if place(now) < place(end):
            raise StreamRolledBackError("Redis came back without entries that it had confirmed")
        raise StreamTakenError("Redis came back with entries that this collector did not write")
    return any(found[key] == end for key, end in sent.items())


def refusing(
    known: Mapping[bytes, bytes], sent: Mapping[bytes, bytes], found: Mapping[bytes, bytes | None]
) -> set[bytes]:
    """Of a transaction that has been carried out, the streams that refused what was for them.

    Their keys held something else. One that holds its stream again ends as it did before; where there is nothing any
    more, it cannot be told from a stream that took its entries and was deleted then: that one begins anew a little
    later for it, and nothing is missing unseen. Arguments are those of ``check_ends``.
    """
    untouched = (None, NO_STREAM)
    return {
        key for key, end in sent.items() if found[key] != end and found[key] in (*untouched, known.get(key, NOWHERE))
    }


PAGE = 1_000
"""Entries that are read at a time behind the first page of a stream."""

Page = list[tuple[str, dict[str, str]]]
"""Entries of a stream, newest first: the id and the fields."""


async def read_backwards(
    pipe: Reader, first: Mapping[str, int], enough: Callable[[str, Page], bool], page: int = PAGE
) -> set[bytes]:
    """Show what streams hold, newest first, until it is enough of each, or there is no more of it.

    Args:
        pipe: The way to Redis.
        first: By the streams' keys, how many entries to read at first; 1 means that no more are to be read.
        enough: Called with a key and its next entries; whether they are enough.
        page: How many entries to read at a time after that.

    Returns:
        The keys that hold something else.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    refused = set[bytes]()
    unread = [(key, "+", count) for key, count in first.items()]
    while unread:
        commands = [pack_command(("XREVRANGE", key, end, "-", "COUNT", count)) for key, end, count in unread]
        replies = await pipe.execute(commands)
        further = []
        for (key, _, count), reply in zip(unread, replies, strict=True):
            if is_wrong_type(reply):
                refused.add(key.encode())
                continue
            found = _page_of(reply)
            if not enough(key, found) and len(found) == count > 1:
                further.append((key, f"({found[-1][0]}", page))
        unread = further
    return refused


def _page_of(reply: Reply) -> Page:
    """Entries of an XREVRANGE reply, newest first.

    Raises:
        RedisUnreachableError: Redis takes no commands from us now.
    """
    if not isinstance(reply, list):
        raise RedisUnreachableError(f"Redis {describe(str(reply), 'xrevrange')}")
    return list(_entries(reply))


def _entries(reply: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for entry_id, flat in reply:
        texts = [part.decode(errors="replace") for part in flat]
        yield entry_id.decode(), dict(zip(texts[::2], texts[1::2], strict=True))
