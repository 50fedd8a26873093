"""Copies what a stream holds of a range of time into a file, batch by batch."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from common.redis.redis_py import shown_address
from manager.cli.data.export.span import ExportSpan, Sieve
from manager.cli.data.export.tally import ExportFacts, Tally, TradeNumbers
from manager.cli.data.kept import ROWS, KeptData, Rows, kept_data, read_on, removed
from tickfleet._util.clock import Clock, SystemClock
from tickfleet.contract.coverage import clip
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.reading.coverage_reader import CoverageReader, CoverageView
from tickfleet.reading.entries import Entry
from tickfleet.reading.position import BEGINNING, Mark, Position, id_order
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams import cursor
from tickfleet.reading.streams.commands import accepted, facts_of, xinfo
from tickfleet.reading.streams.new_streams import NO_STREAM
from tickfleet.reading.subscriber import Subscriber
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import Reply, is_wrong_type, pack_command

PATIENCE_S = 10.0
"""If no expected entry comes for this time, the entries are gone, or Redis is."""

_TURN_S = 1.0
_NS_PER_MS = 1_000_000


class TableFile(Protocol):
    """Where entries are written."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Add entries, in order."""


class Copied(Struct, frozen=True):
    """What was written, and what else is known."""

    tally: Tally
    facts: ExportFacts


class Copier:
    """Writes every entry of a range that a stream holds now, once, in its order.

    Args:
        redis: Where it is.
        name: The stream.
        span: The range.
        file: Gets the entries.
        progress: Gets the share that is done, 0 to 1.
        clock: The time, for the patience.
    """

    def __init__(
        self,
        redis: RedisConfig,
        name: StreamName,
        span: ExportSpan,
        file: TableFile,
        progress: Callable[[float], None],
        clock: Clock | None = None,
    ) -> None:
        self._redis, self._name, self._span = redis, name, span
        self._file, self._progress = file, progress
        self._clock = clock or SystemClock()
        self._tally, self._numbers = Tally(), TradeNumbers(span)
        self._odd = 0

    async def copy(self) -> Copied:
        """Do it.

        Raises:
            FleetError: There is no such stream, or its key holds something else.
            RedisUnreachableError: Redis does not answer.
            ValueError: From the file: something cannot be written so.
        """
        span, (facts, kept) = self._span, await _facts(self._redis, self._name)
        there = facts.first_id is not None and id_order(facts.last_id)[0] >= span.first_ms
        ended = await self._read(facts) if there else False
        coverage = await _ledger(self._redis, self._name)
        from_ns = span.from_ns or self._tally.first_ns
        lacks = coverage.lacks(from_ns, span.to_ns)
        in_part = lacks and not coverage.lacks(from_ns, min(coverage.up_to, span.to_ns))
        gone = removed(clip(coverage.known, from_ns, span.to_ns), kept)
        up_to, holes = coverage.up_to if in_part else 0, self._numbers.holes
        known = ExportFacts(_trimmed_to(facts, span), ended, lacks, up_to, self._odd, gone, holes)
        return Copied(self._tally, known)

    async def _read(self, facts: cursor.StreamFacts) -> bool:
        """Whether the stream ended before the end that it had at first."""
        sieve, first_id, last = Sieve(self._span), facts.first_id or BEGINNING, id_order(facts.last_id)
        # A mark that knows what was removed already learns exactly what is removed from now on.
        start = Mark(BEGINNING, facts.removed)
        if id_order(first_id)[0] < self._span.first_ms:
            start = Mark(f"{self._span.first_ms - 1}-{2**64 - 1}")
        reached, heard_s = (0, 0), self._clock.monotonic_s()
        async with self._subscriber(Position({self._name: start})) as subscriber:
            async for batch in subscriber.batches(idle_s=_TURN_S):
                for chunk in batch.chunks:
                    entries = chunk.whole()
                    self._numbers.add(entries)
                    self._write([*sieve.select(entries)])
                    self._progress(self._span.share(chunk.after.id, first_id, facts.last_id))
                    reached, heard_s = id_order(chunk.after.id), self._clock.monotonic_s()
                if sieve.done or reached >= last:
                    break
                if self._clock.monotonic_s() - heard_s > PATIENCE_S:
                    if not subscriber.connected:
                        raise RedisUnreachableError(f"Redis at {shown_address(self._redis)} went away")
                    break
        self._write([*sieve.rest()])
        self._odd = sieve.odd
        return not sieve.done and reached < last

    def _subscriber(self, start: Position) -> Subscriber:
        interval = f":{self._name.interval}" if self._name.interval else ""
        data = self._name.data_type.value + interval
        return Subscriber(
            str(self._name.collector), data, start=start, redis=self._redis, first_wait_s=PATIENCE_S, clock=self._clock
        )

    def _write(self, entries: Sequence[Entry]) -> None:
        self._file.write(entries)
        self._tally.add(entries)


async def _facts(redis: RedisConfig, name: StreamName) -> tuple[cursor.StreamFacts, KeptData]:
    """The stream as it is, and what it keeps."""
    pipe = RedisPipe(redis, text=True)
    try:
        await pipe.connect()
        reply, found = await pipe.execute([xinfo(name.key), _first_rows(name)])
        facts = facts_of(reply)
        rows = _rows(found) if facts is not None else []
        while (after := read_on(rows)) is not None:
            [found] = await pipe.execute([_first_rows(name, f"({after}")])
            rows = _rows(found)
    finally:
        await pipe.close()
    if is_wrong_type(reply):
        raise FleetError(f"{name.key} {NO_STREAM}")
    if facts is None:
        raise FleetError(f"{name.collector} has no stream of this type yet ({name.key})")
    info = accepted(reply)
    return facts, kept_data(dict(zip(info[::2], info[1::2], strict=True)), rows, redis.maxlen.of(name.data_type))


def _first_rows(name: StreamName, start: str = "-") -> bytes:
    return pack_command(("XRANGE", name.key, start, "+", "COUNT", ROWS))


def _rows(reply: Reply) -> Rows:
    return [(entry_id, dict(zip(flat[::2], flat[1::2], strict=True))) for entry_id, flat in accepted(reply)]


def _trimmed_to(facts: cursor.StreamFacts, span: ExportSpan) -> int | None:
    """The time of the oldest entry, if earlier entries existed that may have belonged to the range."""
    if facts.removed == 0 or not span.from_ns:  # all that there is was asked for
        return None
    oldest_ns = id_order(facts.first_id or facts.last_id)[0] * _NS_PER_MS
    return oldest_ns if oldest_ns >= span.from_ns else None


async def _ledger(redis: RedisConfig, name: StreamName) -> CoverageView:
    """What the completeness ledger says."""
    try:
        async with asyncio.timeout(PATIENCE_S), CoverageReader(redis) as coverage:
            return await coverage.look(name)
    except TimeoutError as error:
        raise RedisUnreachableError(f"Redis at {shown_address(redis)} went away") from error
