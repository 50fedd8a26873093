"""Reads streams: the next entries of each, never one twice, and which were removed before they could be read.

After each XREAD it sends XINFO for the streams that had entries. XINFO comes later, so it can prove only that nothing
was removed. If it does not prove this, the entries are dropped and read again, together with XINFO in one transaction.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tickfleet._util.clock import Clock
from tickfleet.contract.identity import DataType
from tickfleet.reading.position import Mark, Position, id_order
from tickfleet.reading.selection import Selection, StreamName
from tickfleet.reading.streams import cursor
from tickfleet.reading.streams.commands import accepted, by_key, facts_of, xinfo
from tickfleet.reading.streams.cursor import Loss, Rewind, StreamFacts
from tickfleet.reading.streams.new_streams import DISCOVER_EVERY_S, NO_STREAM, NOT_THERE, NewStreams
from tickfleet.reading.streams.start import Start, first_mark
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import is_wrong_type, pack_command

LONGEST_WAIT_S = 2.0
"""Of one XREAD: well below the time after which a Redis that does not answer counts as lost."""

_ENTRIES_AT_ONCE = 1_000
_BOOKS_AT_ONCE = 200
"""A snapshot of a book has some 30 KB."""

_LEAST_OF_A_STREAM = 20


class RawChunk(Struct, frozen=True):
    """What was read of one stream.

    Attributes:
        raw: Entries as Redis returns them: id, and names and values in turn.
        origin: Where the reader stood.
        before: The same, with what was lost before the first entry counted in.
        after: Behind the last entry.
        loss: Entries removed before the first entry.
        unread: How many entries there are behind the last one; None: not known.
        rewind: Entries that the stream has lost at its end; then ``raw`` is empty.
    """

    name: StreamName
    raw: Sequence[Any]
    origin: Mark
    before: Mark
    after: Mark
    loss: Loss | None = None
    unread: int | None = None
    rewind: Rewind | None = None


class StreamReader:
    """Keeps a place in each stream and reads on from there; opens its connection when needed.

    Args:
        config: Where Redis is.
        selection: Which streams.
        start: Where to begin in each.
        clock: The time.
        at_once: How many entries to read at a time, from all streams together; None: depends on their size.
    """

    def __init__(
        self, config: RedisConfig, selection: Selection, start: Start, clock: Clock, at_once: int | None = None
    ) -> None:
        self.marks: dict[StreamName, Mark] = {**start.marks} if isinstance(start, Position) else {}
        """Where the reader is in each stream that it has taken up, or that the saved position knows."""
        self.absent: set[StreamName] = set(selection.names)
        """Streams that were asked for by name and are not there, as far as we know."""
        self._pipe = RedisPipe(config, text=True)
        self._discovery = NewStreams(selection, start, clock)
        self._at_once = at_once
        self._keys: dict[str, StreamName] = {}
        self._rewound: dict[StreamName, tuple[str, str]] = {}  # told, with the reader's place and the end of the stream
        self._to_tell: list[RawChunk] = []

    async def close(self) -> None:
        """Drop the connection; the next ``read`` opens another and continues from the same places."""
        await self._pipe.close()

    async def read(self, wait_s: float) -> list[RawChunk]:
        """The next entries of all streams that have new ones; waits about ``wait_s`` for the first entry.

        Cancel safety: a cancelled call has read nothing; the connection is closed.

        Raises:
            RedisUnreachableError: Nothing was read; close, and try again.
        """
        try:
            if not self._pipe.connected:
                await self._pipe.connect()
                await self._look_back()
            await self._take_up()
            if self._to_tell:
                told, self._to_tell = self._to_tell, []
                return told
            if not self._keys:
                await asyncio.sleep(min(wait_s, DISCOVER_EVERY_S))
                return []
            chunks = await self._read(min(wait_s, LONGEST_WAIT_S))
        except BaseException:
            await self._pipe.close()
            raise
        for chunk in chunks:
            self.marks[chunk.name] = chunk.after
            self.absent.discard(chunk.name)
        return chunks

    async def _look_back(self) -> None:
        """After Redis was away: check that each stream still has the entries that were read."""
        names = [*self._keys.values()]
        replies = await self._pipe.execute([xinfo(name.key) for name in names]) if names else []
        for name, reply in zip(names, replies, strict=True):
            if not is_wrong_type(reply):
                self._check_end(name, self.marks[name], facts_of(reply))

    def _check_end(self, name: StreamName, mark: Mark, facts: StreamFacts | None) -> None:
        """Report, once, each stream that ends before the reader's place."""
        found = cursor.rewind(mark, facts)
        if found is None:
            return
        place, end = self._rewound.get(name, ("", ""))
        if mark.added is None and mark.id == place and id_order(end) <= id_order(found.end_id):
            return
        self._rewound[name] = mark.id, found.end_id
        after = self.marks[name] = Mark(mark.id, item=mark.item)  # nobody knows how many will come before its place
        self._to_tell.append(RawChunk(name, (), mark, after, after, rewind=found))

    async def _read(self, wait_s: float) -> list[RawChunk]:
        block_ms = max(int(wait_s * 1_000), 1)  # 0 would be for ever
        (reply,) = await self._pipe.execute([self._xread(list(self._keys), "BLOCK", block_ms)])
        if is_wrong_type(reply):
            await self._put_aside()
            return []
        found = by_key(reply)
        if not found:
            return []
        facts = [facts_of(reply) for reply in await self._pipe.execute([xinfo(key) for key in found])]
        return [await self._chunk(key, raw, seen) for (key, raw), seen in zip(found.items(), facts, strict=True)]

    async def _chunk(self, key: str, raw: Sequence[Any], facts: StreamFacts | None) -> RawChunk:
        name, lost = self._keys[key], None
        origin = before = self.marks[name]
        if facts is not None and not cursor.is_whole(origin, len(raw), facts):
            raw, facts = await self._read_exactly(key)
            if facts is not None:
                lost, before = cursor.loss(origin, facts), cursor.passed_loss(origin, facts)
        after = cursor.advanced(before, len(raw), raw[-1][0], facts) if raw else before
        return RawChunk(name, raw, origin, before, after, lost, cursor.unread(after, facts) if facts else None)

    async def _read_exactly(self, key: str) -> tuple[Sequence[Any], StreamFacts | None]:
        """The next entries of one stream, and the stream as it was at that very moment."""
        said, reply = await self._pipe.transaction([xinfo(key), self._xread([key])])
        return by_key(reply).get(key, ()), facts_of(said)

    def _xread(self, keys: list[str], *block: str | int) -> bytes:
        books = any(self._keys[key].data_type is DataType.ORDERBOOK for key in keys)
        at_once = self._at_once or (_BOOKS_AT_ONCE if books else _ENTRIES_AT_ONCE)
        count = max(at_once // len(keys), min(at_once, _LEAST_OF_A_STREAM))
        ids = (self.marks[self._keys[key]].id for key in keys)
        return pack_command(("XREAD", "COUNT", count, *block, "STREAMS", *keys, *ids))

    # --- which streams there are ---------------------------------------------------------------------------------

    async def _take_up(self) -> None:
        """Begin with the waiting streams, except those whose keys hold something else."""
        if not self._discovery.due:
            return
        names = await self._discovery.waiting(self._pipe)
        replies = await self._pipe.execute([xinfo(name.key) for name in names]) if names else []
        for name, reply in zip(names, replies, strict=True):
            if is_wrong_type(reply):
                self._discovery.warn(name, NO_STREAM)
                continue
            facts = facts_of(reply)
            if facts is not None:
                self.absent.discard(name)
            elif name in self.absent:
                self._discovery.warn(name, NOT_THERE)
            start = self._discovery.start_of(name)
            self.marks[name] = first_mark(name, start, facts)
            if isinstance(start, Position) and (known := start.marks.get(name)):
                self._check_end(name, known, facts)
            self._keys[name.key] = name
            self._discovery.note_taken(name)
        self._discovery.looked()

    async def _put_aside(self) -> None:
        """Some key no longer holds a stream, and Redis does not say which: find it, and continue with the others."""
        keys = list(self._keys)
        replies = await self._pipe.execute([pack_command(("XLEN", key)) for key in keys])
        for key, reply in zip(keys, replies, strict=True):
            if is_wrong_type(reply):
                name = self._keys.pop(key)
                self._discovery.warn(name, NO_STREAM)
                self._discovery.give_back(name, Position({name: self.marks[name]}))
            else:
                accepted(reply)
