"""Where streams end in Redis, and which sent entries they have. Ids are Redis' own text.

The end is the highest id that a stream ever had. It remains when entries are trimmed or deleted, and is lost only with
the key (https://redis.io/docs/latest/commands/xinfo-stream/, ``last-generated-id``).

A transaction is executed completely or not at all, but each of its XADDs can be refused by itself: if another program
has written an id between ours, some are refused and later ones are taken. So neither the end of a stream nor a refused
id tells about all entries. If there is no answer, each entry is looked up by its id.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from collector_worker.publish.spool import Packed
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.protocol import Refusal, Reply, is_no_stream, is_stale_id, is_wrong_type, pack_command
from tickfleet.redis.refusals import describe

NOWHERE = b"0-0"
"""The end of a stream that never had an entry."""

NO_STREAM = b""
"""In place of the end where the key holds something of another type."""

REFUSED = Refusal("WRONGTYPE")
"""In place of a reply that is not there."""

_AT_ONCE = 500
"""Entries to look up at a time: as many as one transaction holds."""

STALE = Refusal("ERR The ID specified in XADD is equal or smaller than the target stream top item")
"""In place of the reply to an entry that its stream does not hold, though it has gone beyond its id."""


class StreamTakenError(FleetError):
    """Redis has ids above ours from another writer. A new run reads the tail and continues."""


class StreamRolledBackError(FleetError):
    """Redis has lost entries that it had confirmed. A new run reads the tail and fetches what is missing behind it."""


class StreamReturnedError(FleetError):
    """A stream that refused our entries takes them again. A new run reads the tail and fetches what was refused."""


class Reader(Protocol):
    """What is needed from a connection to Redis; see ``RedisPipe``."""

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands; a refusal is a reply."""
        ...


def place(entry_id: bytes) -> tuple[int, int]:
    """An entry id as numbers, which compare as Redis compares ids."""
    ms, _, n = entry_id.partition(b"-")
    return int(ms), int(n)


async def read_ends(pipe: Reader, keys: Sequence[bytes | str]) -> list[bytes | None]:
    """The end of each stream; None if there is no such key, ``NO_STREAM`` where it holds something else.

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


def check_ends(known: Mapping[bytes, bytes], sent: Mapping[bytes, bytes], found: Mapping[bytes, bytes | None]) -> None:
    """Redis was away: check that it still has all confirmed entries, and none that are not ours.

    If one stream is gone and others are there, somebody deleted it; it begins again with the next entry. A key that
    holds something else now is ignored.

    Args:
        known: By stream, the last id that Redis has confirmed.
        sent: The last ids of the transaction whose answer was lost: all of it was executed or nothing, except refused
            entries.
        found: Where all these streams end now.

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


async def settled_replies(pipe: Reader, batch: Sequence[Packed], replies: Sequence[Reply]) -> list[Reply]:
    """The replies, with each refused id checked: a server that hung may have taken the entry before.

    Raises:
        RedisUnreachableError: As ``read_replies``.
    """
    stale = [entry for entry, reply in zip(batch, replies, strict=True) if is_stale_id(reply)]
    found = iter(await read_replies(pipe, stale))
    return [next(found) if is_stale_id(reply) else reply for reply in replies]


async def read_replies(pipe: Reader, batch: Sequence[Packed]) -> list[Reply]:
    """The replies that sent entries must have had, derived from the content of their streams.

    ``REFUSED`` means that a stream never reached an entry: its key held something else, or the entry was not sent.

    Raises:
        RedisUnreachableError: Redis went away, or does not let us read now.
    """
    keys = list(dict.fromkeys(entry.key for entry in batch))
    facts = dict(zip(keys, await pipe.execute([pack_command(("XINFO", "STREAM", key)) for key in keys]), strict=True))
    found: list[bool] = []
    for at in range(0, len(batch), _AT_ONCE):
        part = batch[at : at + _AT_ONCE]
        found_rows = await pipe.execute([pack_command(("XRANGE", entry.key, entry.id, entry.id)) for entry in part])
        found += [_holds(rows, entry) for rows, entry in zip(found_rows, part, strict=True)]
    ours = {(entry.key, entry.id) for entry, is_there in zip(batch, found, strict=True) if is_there}
    bounds = {key: _bounds(key, reply, ours) for key, reply in facts.items()}
    return [
        entry.id if is_there else _reply_to_absent(entry, *bounds[entry.key])
        for entry, is_there in zip(batch, found, strict=True)
    ]


def _holds(rows: Reply, entry: Packed) -> bool:
    """Whether an answer to XRANGE is our entry, and not another program's entry with the same id."""
    if is_wrong_type(rows):
        return False
    if not isinstance(rows, list):
        raise RedisUnreachableError(f"Redis {describe(str(rows), f'xrange {entry.key.decode()}')}")
    return [row[1] for row in rows] == [entry.fields]


def _bounds(key: bytes, reply: Reply, ours: set[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """The end of a stream, and the entry below which retention has removed ours; each empty if there is none."""
    if is_no_stream(reply):
        return b"", b""
    if not isinstance(reply, list):
        raise RedisUnreachableError(f"Redis {describe(str(reply), f'xinfo stream {key.decode()}')}")
    facts: Mapping[bytes, Any] = dict(zip(reply[::2], reply[1::2], strict=True))
    first = facts[b"first-entry"]
    # Where a refused entry went before it, the foreign one that it was refused for is there, and is none of ours.
    begins_with_ours = bool(first) and (key, first[0]) in ours
    return facts[b"last-generated-id"], first[0] if begins_with_ours else b""


def _reply_to_absent(entry: Packed, end: bytes, oldest: bytes) -> Reply:
    if not end or place(entry.id) > place(end):
        return REFUSED
    return entry.id if oldest and place(entry.id) < place(oldest) else STALE


PAGE = 1_000
"""Entries that are read at a time behind the first page of a stream."""

Page = list[tuple[str, dict[str, str]]]
"""Entries of a stream, newest first: the id and the fields."""


async def read_backwards(
    pipe: Reader, first: Mapping[str, int], enough: Callable[[str, Page], bool], page: int = PAGE
) -> set[bytes]:
    """Read streams, newest first, until the caller has enough of each, or there are no more entries.

    Args:
        pipe: The way to Redis.
        first: By stream key, how many entries to read at first; 1: read no more than this.
        enough: Called with a key and its next entries; returns whether they are enough.
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
