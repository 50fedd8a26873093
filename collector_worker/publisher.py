"""From events to Redis Streams: a bounded buffer, batches in transactions, explicit ids, no loss over a restart.

A batch goes out as one MULTI/EXEC in one write. A server that refuses (loading, out of memory, read-only) refuses the
whole transaction, so no later entry can overtake an earlier one; a batch whose answer was lost is sent again as it
was, and Redis refuses the ids it already has. What does not fit the buffer while Redis is away is counted, and a
``gap`` entry stands in its place.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from random import Random
from typing import Protocol

from msgspec import Struct

from collector_worker.backoff import full_jitter
from collector_worker.streams import Stream
from collector_worker.telemetry import Telemetry
from common.clock import Clock
from common.errors import FleetError, RedisUnreachableError
from common.events import Event
from common.log import get_logger
from common.redis_client import Reply, Scalar, is_stale_id, pack_command

DEFAULT_BUFFER_BYTES = 32 * 1024 * 1024
_ENTRY_OVERHEAD_BYTES = 160
"""What a buffered entry takes beside its packed bytes: the objects around it."""

_LATENCY_SAMPLES = 16
"""Entries of a batch whose latency is recorded: enough for a percentile, and a burst does not pay per entry."""


class Pipe(Protocol):
    """What a publisher needs of a connection to Redis; see ``RedisPipe``."""

    async def connect(self) -> None:
        """Open the connection where it is not open."""
        ...

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands, all of them or none."""
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class StreamTakenError(FleetError):
    """Redis holds ids above ours that we did not write: another writer. A new run reads the tail and goes on there."""


class Pacing(Struct, frozen=True, kw_only=True):
    """How much at a time, and how often.

    Attributes:
        batch_entries: Of one transaction, which so holds Redis up for about a millisecond at most.
        congested_entries: With Redis at work, reading from the exchange pauses above this many waiting entries (and
            TCP holds the sender back), so that a burst is never dropped. With Redis away reading goes on and the
            whole buffer is used.
        relieved_entries: Reading goes on at this many.
    """

    batch_entries: int = 500
    batch_bytes: int = 256 * 1024
    congested_entries: int = 4_000
    relieved_entries: int = 1_000
    retry_first_s: float = 0.1
    retry_cap_s: float = 2.0


class _Entry(Struct, gc=False):
    packed: bytes
    recv_ns: int


class Publisher:
    """The one writer of a collector's keys. ``publish`` and the ``set_…`` only buffer; ``run`` does the sending."""

    def __init__(
        self,
        pipe: Pipe,
        telemetry: Telemetry,
        clock: Clock,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
        pacing: Pacing | None = None,
    ) -> None:
        self._pipe = pipe
        self._pacing = pacing or Pacing()
        self._telemetry = telemetry
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._limit_bytes = buffer_bytes
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._ordered: dict[str, bytes] = {}
        self._urgent: dict[str, list[bytes]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._relieved = asyncio.Event()
        self._away = False

    @property
    def congested(self) -> bool:
        """Whether the reader should wait for ``relief`` before it reads on."""
        return len(self._entries) > self._pacing.congested_entries and not self._away

    async def relief(self) -> None:
        """Wait until Redis has caught up, or has gone away."""
        self._relieved.clear()
        await self._relieved.wait()

    @property
    def buffered(self) -> int:
        """Entries that Redis has not confirmed yet."""
        return len(self._entries)

    # --- buffering: called from the frame handler, never waits ---------------------------------------------------

    def publish(self, stream: Stream, event: Event) -> str | None:
        """Buffer one event; returns its entry id, or None where the buffer is full and the event is lost."""
        if self._bytes >= self._limit_bytes:
            self._telemetry.beat.entries_dropped += 1
            stream.lose(event)
            return None
        gap = stream.take_loss(event, self._clock.now_ns())
        if gap is not None:
            self._telemetry.beat.gaps += 1
            self._append(stream, gap)
        return self._append(stream, event)

    def _append(self, stream: Stream, event: Event) -> str:
        entry_id, packed = stream.pack(event)
        self._entries.append(_Entry(packed, event.ts_recv))
        self._bytes += len(packed) + _ENTRY_OVERHEAD_BYTES
        self._signal()
        return entry_id

    def set_hash(self, key: str, fields: Mapping[str, Scalar]) -> None:
        """Set fields of a hash behind all entries buffered so far; of several for one key only the latest is sent."""
        self._ordered[key] = _hset(key, fields)
        self._signal()

    def set_expiring_hash(self, key: str, fields: Mapping[str, Scalar], ttl_s: int, *, fresh: bool = False) -> None:
        """Set fields of a hash that expires, ahead of the entries; ``fresh`` first removes what was there."""
        remove = pack_command(("DEL", key))
        fresh = fresh or remove in self._urgent.get(key, ())  # the one that is replaced has not been sent
        self._urgent[key] = [*([remove] if fresh else []), _hset(key, fields), pack_command(("EXPIRE", key, ttl_s))]
        self._signal()

    def _signal(self) -> None:
        self._wake.set()
        self._idle.clear()

    # --- sending -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is buffered until cancelled; a Redis that is away is tried again with a growing pause.

        Raises:
            StreamTakenError: Somebody else writes these streams.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._entries or self._ordered or self._urgent:
                await self._send_batch()
            self._idle.set()

    async def drained(self) -> None:
        """Wait until everything buffered is confirmed."""
        await self._idle.wait()

    async def _send_batch(self) -> None:
        batch = self._next_batch()
        urgent, self._urgent = self._urgent, {}
        # A hash that names a stream id must not be seen before that entry.
        ordered = dict(self._ordered) if len(batch) == len(self._entries) else {}
        commands = [command for parts in urgent.values() for command in parts]
        first = len(commands)
        commands += [entry.packed for entry in batch]
        commands += ordered.values()
        replies, retried = await self._transact(commands)
        self._confirm(batch, replies[first : first + len(batch)], retried=retried)
        for key, sent in ordered.items():
            if self._ordered[key] is sent:
                del self._ordered[key]

    def _next_batch(self) -> list[_Entry]:
        batch: list[_Entry] = []
        size = 0
        for entry in islice(self._entries, self._pacing.batch_entries):
            batch.append(entry)
            size += len(entry.packed)
            if size >= self._pacing.batch_bytes:
                break
        return batch

    async def _transact(self, commands: list[bytes]) -> tuple[list[Reply], bool]:
        """Carry out one transaction, however long Redis is away; also whether it took more than one attempt."""
        delays_s = full_jitter(self._random, self._pacing.retry_first_s, self._pacing.retry_cap_s)
        lost = False
        while True:
            try:
                await self._pipe.connect()
                replies = await self._pipe.transaction(commands)
            except RedisUnreachableError as error:
                await self._pipe.close()
                if not lost:
                    get_logger().warning("redis_lost", why=str(error), exc_info=True)
                lost = self._away = True
                self._relieved.set()
                self._telemetry.trouble("redis", str(error))
                await asyncio.sleep(next(delays_s))
            else:
                self._away = False
                if lost:
                    self._telemetry.beat.redis_reconnects += 1
                    self._telemetry.settled("redis")
                    get_logger().info("redis_regained", entries_waiting=len(self._entries))
                return replies, lost

    def _confirm(self, batch: list[_Entry], replies: list[Reply], *, retried: bool) -> None:
        beat = self._telemetry.beat
        stale = [is_stale_id(reply) for reply in replies]
        # A transaction is carried out whole or not at all: of ours, sent again, either all ids are there or none.
        if any(stale) and (not retried or any(isinstance(reply, bytes) for reply in replies)):
            raise StreamTakenError("another process writes the streams of this collector")
        for entry, reply, was_there in zip(batch, replies, stale, strict=True):
            self._entries.popleft()
            self._bytes -= len(entry.packed) + _ENTRY_OVERHEAD_BYTES
            if isinstance(reply, bytes):
                beat.entries_published += 1
            elif was_there:
                beat.entries_published += 1  # the first attempt went through, only its answer was lost
            else:
                beat.entries_dropped += 1
                self._telemetry.trouble("publish", "Redis refuses entries: a key of ours holds something else")
        if len(self._entries) <= self._pacing.relieved_entries:
            self._relieved.set()
        self._record_latency(batch)

    def _record_latency(self, batch: list[_Entry]) -> None:
        now_ns = self._clock.now_ns()
        for entry in batch[:: len(batch) // _LATENCY_SAMPLES + 1]:
            self._telemetry.latency.record((now_ns - entry.recv_ns) // 1000)


def _hset(key: str, fields: Mapping[str, Scalar]) -> bytes:
    return pack_command(("HSET", key, *(part for pair in fields.items() for part in pair)))
