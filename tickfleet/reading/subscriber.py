"""Reads streams: typed events of one or many collectors, in order, none twice, nothing missed silently.

    from tickfleet.reading.subscriber import Subscriber

    async for entry in Subscriber("okx:BTC-USDT", "trade"):
        print(entry.id, entry.event)

For speed, and for output that has each entry once, whatever happens to the process::

    async with Subscriber(["okx:*", "binance:BTC-USDT"], ["trade", "ticker"], start=saved or "oldest") as subscriber:
        async for batch in subscriber.batches():
            write(columns(batch.entries, Trade), batch.position.to_json())  # in one transaction, or one file

What may happen, and what a reader then sees:

| case | what happens |
| --- | --- |
| misspelt collector or data type, exchange unknown | ``InvalidConfigurationError`` at once |
| nobody collects it (yet) | it waits; ``absent`` names the stream, and a warning is logged once |
| Redis does not answer at first | ``RedisUnreachableError`` after ``first_wait_s`` |
| Redis goes away later | it tries again for ever and continues at the same place; ``connected`` is false meanwhile |
| retention removed entries that were not read yet | ``Missed`` in their place, with their number if it is known |
| the stream was deleted and begun anew | ``Missed`` with the reason ``restarted``, then what is behind the place |
| Redis came back empty or older: the stream ends before the place | ``Rewound`` |
| after either, trades and bars come again that were read | passed over (``tickfleet.reading.repeats``) |
| the collector lost something, or its feed | ``Gap`` and ``FeedStatus`` in their place, as the collector wrote them |
| a type or a field that this version does not know | passed over; types are counted in ``skipped`` |
| an entry that is malformed | passed over and counted in ``skipped``; the newest are in ``skipped.aside`` |
| a key that holds no stream | a warning; it is looked at again later, the other streams go on |

A slow reader slows nobody: it only reads, and takes a millisecond of Redis' time per read. If retention removes entries
before they were read, the reader reports it. In a Redis Cluster a reader reads one collector, by name: each collector's
streams are on a node of their own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from tickfleet._util.clock import Clock, SystemClock
from tickfleet._util.closing import Closing
from tickfleet.contract.identity import DataType
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.reading.decode import Skipped, entries_of
from tickfleet.reading.entries import Batch, Chunk, Entry, Missed, Rewound, missed, rewound
from tickfleet.reading.position import Mark, Position
from tickfleet.reading.repeats import item_behind, repeats
from tickfleet.reading.selection import StreamName, select
from tickfleet.reading.streams.connect import RetryState, within_reach
from tickfleet.reading.streams.cursor import Rewind
from tickfleet.reading.streams.start import Start, check_start
from tickfleet.reading.streams.stream_reader import RawChunk, StreamReader
from tickfleet.reading.tables.columns import columns
from tickfleet.redis.config import RedisPlace, redis_config

__all__ = [
    "Batch", "Entry", "Lag", "Mark", "Missed", "Position", "Rewound", "Skipped", "Start", "StreamName",
    "Subscriber", "columns",
]  # fmt: skip

FIRST_WAIT_S = 10.0
_TURN_S = 2.0


class Lag(Struct, frozen=True):
    """How far a reader is behind, at the last entry that it returned.

    Attributes:
        entries: How many entries were in the stream behind that entry; None: not known.
        seconds: The age of that entry: now minus its ``ts_event``, by two machines' clocks; None: nothing was returned.
    """

    entries: int | None
    seconds: float | None


class Subscriber(Closing):
    """Reads streams for ever: ``async for entry in subscriber``, or ``async for batch in subscriber.batches()``.

    Run only one loop at a time, and not in two tasks. If you leave a loop, the next loop continues at the same place.
    ``async with`` closes the connection at its end; without it, the end of the loop does.

    Args:
        collectors: ``okx:BTC-USDT``, a pattern such as ``okx:*``, or several of them.
        data_types: ``trade``, ``orderbook``, ``ticker``, ``candles:1m``, ``candles``, ``*``, or several of them.
        start: ``new``, ``oldest``, an entry id, a time (also ``10m``: so long ago) or a saved position
            (``tickfleet.reading.streams.start``).
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
        at_once: How many entries are read at a time, from all streams together, and so the most that are in memory; by
            default 1,000, with books 200. With many streams, at least 20 are read from each.
        first_wait_s: How long Redis may take to answer at first.
        clock: The time.

    Raises:
        InvalidConfigurationError: Something is misspelt.
        RedisUnreachableError: In the loop; see the module.
    """

    def __init__(
        self,
        collectors: str | Iterable[str],
        data_types: str | DataType | Iterable[str | DataType],
        *,
        start: Start = "new",
        redis: RedisPlace = None,
        at_once: int | None = None,
        first_wait_s: float = FIRST_WAIT_S,
        clock: Clock | None = None,
    ) -> None:
        if at_once is not None and at_once < 1:
            raise InvalidConfigurationError("at_once must be at least 1")
        self._clock = clock or SystemClock()
        config = redis_config(redis)
        selection = within_reach(select(collectors, data_types), config)
        self._reader = StreamReader(config, selection, check_start(start, self._clock.now_ns()), self._clock, at_once)
        self._perseverance = RetryState(self._clock, first_wait_s)
        self._batch = Batch((), self._reader.marks)
        self._handed = 0
        self._loops = 0
        self._unread: dict[StreamName, int | None] = {}
        self._newest_ns: dict[StreamName, int] = {}
        self.skipped = Skipped()
        """What was passed over."""

    # --- reading -------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Entry]:
        """Yields entry by entry. ``position`` counts the last yielded entry as done."""
        async with self._loop():
            while True:
                entries = self._batch.entries
                while self._handed < len(entries):
                    self._handed += 1
                    yield entries[self._handed - 1]
                await self._fetch(_TURN_S)

    async def batches(self, *, idle_s: float | None = None) -> AsyncGenerator[Batch, None]:
        """Yields batch by batch, for speed, and for output that is saved together with ``batch.position``.

        Args:
            idle_s: After so many seconds without an entry, yield an empty batch; None: wait for ever.
        """
        async with self._loop():
            self._batch, self._handed = self._batch.rest(self._handed), 0
            while True:
                self._handed = len(self._batch.entries)
                if self._batch.entries:
                    yield self._batch
                await self._fetch(_TURN_S if idle_s is None else idle_s)
                if idle_s is not None and not self._batch.entries:
                    yield self._batch

    @asynccontextmanager
    async def _loop(self) -> AsyncIterator[None]:
        """The context of one loop: closes the connection at its end, unless a newer loop already uses it."""
        self._loops += 1
        mine = self._loops
        try:
            yield
        finally:
            if self._loops == mine:
                await self.close()

    async def _fetch(self, wait_s: float) -> None:
        """Read the next batch; an empty one if nothing came, or Redis is away."""
        try:
            chunks = await self._reader.read(wait_s)
        except RedisUnreachableError as error:
            await asyncio.sleep(min(self._perseverance.pause_s(error), wait_s))
            chunks = []
        else:
            self._perseverance.works()
        self._batch = Batch([self._decoded(chunk) for chunk in chunks], self._reader.marks)
        self._handed = 0
        for chunk in self._batch.chunks:
            if chunk.entries:
                self._newest_ns[chunk.name] = chunk.entries[-1].event.ts_event

    def _decoded(self, chunk: RawChunk) -> Chunk:
        self._unread[chunk.name] = chunk.unread
        entries = entries_of(chunk.name, chunk.raw, self.skipped)
        ids = [entry_id for entry_id, _ in chunk.raw]
        again = repeats(chunk.name, chunk.origin, entries)
        if again:
            entries = [entry for entry in entries if entry.id not in again]
        item = item_behind(chunk.name, chunk.origin, reversed(entries), chunk.after.id)
        after = self._reader.marks[chunk.name] = replace(chunk.after, item=item) if item else chunk.after
        if chunk.rewind is not None:
            entries = [self._rewound(chunk.name, chunk.rewind, chunk.origin)]
        if chunk.loss is not None:
            before_id, now_ns = ids[0] if ids else "", self._clock.now_ns()
            told = missed(chunk.name, chunk.loss.count, chunk.origin.id, before_id, chunk.loss.reason, now_ns)
            entries.insert(0, told)
        return Chunk(chunk.name, ids, entries, chunk.origin, chunk.before, after, again)

    def _rewound(self, name: StreamName, found: Rewind, origin: Mark) -> Entry:
        return rewound(name, found.count, found.end_id, origin.id, self._clock.now_ns())

    # --- where it is -----------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """The position behind the last entry or batch that was returned."""
        return self._batch.position_behind(self._handed)

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was asked last."""
        return self._perseverance.working

    @property
    def reconnects(self) -> int:
        """How often Redis did not answer."""
        return self._perseverance.lost

    @property
    def absent(self) -> frozenset[StreamName]:
        """Streams that were requested by name and do not exist, as far as is known."""
        return frozenset(self._reader.absent)

    def lag(self) -> dict[StreamName, Lag]:
        """How far the reader is behind in each stream that has brought something."""
        now_ns = self._clock.now_ns()
        return {
            name: Lag(unread, (now_ns - self._newest_ns[name]) / 1e9 if name in self._newest_ns else None)
            for name, unread in self._unread.items()
        }

    async def close(self) -> None:
        """Drop the connection."""
        await self._reader.close()
