"""From events to Redis Streams: a bounded buffer, batches in transactions, explicit ids, no loss over a restart.

A batch goes out as one MULTI/EXEC in one write. A server that refuses (loading, out of memory, read-only) refuses the
whole transaction, so no later entry can overtake an earlier one; a batch whose answer was lost is sent again as it
was, and Redis refuses the ids it already has. Entries wait in bounded memory, then in a bounded file. What fits neither
while Redis is away is counted, and a ``gap`` entry stands in its place.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from collector_worker.backoff import full_jitter
from collector_worker.buffer import Buffer
from collector_worker.spool import Packed
from collector_worker.streams import Stream
from collector_worker.telemetry import Telemetry
from common.clock import Clock
from common.errors import FleetError, RedisUnreachableError
from common.events import Event
from common.log import get_logger
from common.redis_client import Reply, Scalar, is_stale_id, pack_command

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

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands."""
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class StreamTakenError(FleetError):
    """Redis holds ids above ours that we did not write: another writer. A new run reads the tail and goes on there."""


class StreamRolledBackError(FleetError):
    """Redis has lost entries that it had confirmed. A new run reads the tail and fetches what is missing behind it."""


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


class Publisher:
    """The one writer of a collector's keys. ``publish`` and the ``set_…`` only buffer; ``run`` does the sending."""

    def __init__(
        self,
        pipe: Pipe,
        telemetry: Telemetry,
        clock: Clock,
        buffer: Buffer | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self._pipe = pipe
        self._pacing = pacing or Pacing()
        self._telemetry = telemetry
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._buffer = Buffer() if buffer is None else buffer
        self._appended = self._buffer.recover()
        self._ordered: dict[str, tuple[int, bytes]] = {}
        self._done = 0
        self._refused: set[bytes] = set()
        self._urgent: dict[str, list[bytes]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._confirmed: dict[bytes, bytes] = {}
        self._relieved = asyncio.Event()
        self._away = False

    @property
    def congested(self) -> bool:
        """Whether the reader should wait for ``relief`` before it reads on."""
        waiting = self._buffer.in_memory > self._pacing.congested_entries
        return waiting and not self._away and not self._buffer.spooled

    async def relief(self) -> None:
        """Wait until Redis has caught up, or has gone away."""
        self._relieved.clear()
        await self._relieved.wait()

    @property
    def buffered(self) -> int:
        """Entries that Redis has not confirmed yet."""
        return len(self._buffer)

    @property
    def full(self) -> bool:
        """Whether what is published now would be lost."""
        return self._buffer.full

    # --- buffering: called from the frame handler, never waits ---------------------------------------------------

    def publish(self, stream: Stream, event: Event) -> str | None:
        """Buffer one event; returns its entry id, or None where the buffer is full and the event is lost."""
        if self._buffer.full:
            self._telemetry.beat.entries_dropped += 1
            stream.lose(event)
            return None
        gap = stream.take_loss(event, self._clock.now_ns())
        if gap is not None:
            self._telemetry.beat.gaps += 1
            self._append(stream, gap)
        return self._append(stream, event)

    def _append(self, stream: Stream, event: Event) -> str | None:
        before = stream.last_trade_id
        entry_id, packed = stream.pack(event)
        if self.append(packed, event.ts_recv):
            return entry_id
        self._telemetry.beat.entries_dropped += 1
        stream.last_trade_id = before
        stream.lose(event)
        return None

    def append(self, command: bytes, recv_ns: int) -> bool:
        """Buffer a packed XADD of a stream of ours; False where it found no room."""
        if not self._buffer.append(Packed(command, recv_ns)):
            return False
        self._appended += 1
        self._signal()
        return True

    def set_hash(self, key: str, fields: Mapping[str, Scalar]) -> None:
        """Set fields of a hash behind all entries buffered so far; of several for one key only the latest is sent."""
        self._ordered[key] = (self._appended, _hset(key, fields))
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
            StreamRolledBackError: Redis came back without what it had.
            SupersededError: A newer run of this collector has begun.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._buffer or self._ordered or self._urgent:
                await self._send_batch()
            self._idle.set()

    async def publish_left_over(self) -> None:
        """Publish what an earlier run left in the file, before anything else is known of the streams.

        Raises:
            RedisUnreachableError: Redis went away, or takes no writes now.
        """
        while batch := self._buffer.head(self._pacing.batch_entries, self._pacing.batch_bytes):
            replies = await self._pipe.transaction([entry.command for entry in batch])
            self._confirm(batch, replies)  # it may have published some of them itself

    async def drained(self) -> None:
        """Wait until everything buffered is confirmed."""
        await self._idle.wait()

    async def _send_batch(self) -> None:
        batch = self._buffer.head(self._pacing.batch_entries, self._pacing.batch_bytes)
        urgent, self._urgent = self._urgent, {}
        # A hash that names a stream id must not be seen before that entry.
        reached = self._done + len(batch)
        ordered = {key: due for key, due in self._ordered.items() if due[0] <= reached}
        commands = [command for parts in urgent.values() for command in parts]
        first = len(commands)
        commands += [entry.command for entry in batch]
        commands += [packed for _, packed in ordered.values()]
        replies, retried = await self._transact(commands)
        replies = replies[first : first + len(batch)]
        # A transaction is carried out whole or not at all: of ours, sent again, either all ids are there or none.
        stale = any(is_stale_id(reply) for reply in replies)
        if stale and (not retried or any(isinstance(reply, bytes) for reply in replies)):
            raise StreamTakenError("another process writes the streams of this collector")
        self._confirm(batch, replies)
        for key, sent in ordered.items():
            if self._ordered[key] is sent:
                del self._ordered[key]

    async def _transact(self, commands: list[bytes]) -> tuple[list[Reply], bool]:
        """Carry out one transaction, however long Redis is away; also whether it took more than one attempt."""
        delays_s = full_jitter(self._random, self._pacing.retry_first_s, self._pacing.retry_cap_s)
        lost = False
        while True:
            try:
                await self._pipe.connect()
                if lost:
                    await self._check_tails()
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
                    get_logger().info("redis_regained", entries_waiting=len(self._buffer))
                return replies, lost

    async def _check_tails(self) -> None:
        """Redis was away: see that it still holds the last entries that it confirmed."""
        confirmed = list(self._confirmed.items())
        commands = [pack_command(("XREVRANGE", key, "+", "-", "COUNT", 1)) for key, _ in confirmed]
        for (_, known), reply in zip(confirmed, await self._pipe.execute(commands), strict=True):
            if isinstance(reply, list) and (not reply or _order(reply[0][0]) < _order(known)):
                raise StreamRolledBackError("Redis came back without entries that it had confirmed")

    def _confirm(self, batch: list[Packed], replies: list[Reply]) -> None:
        """Take note of the answers; an id that was there already counts as published."""
        beat = self._telemetry.beat
        for entry, reply in zip(batch, replies, strict=True):
            if isinstance(reply, bytes):
                self._confirmed[entry.key] = reply
                beat.entries_published += 1
                self._accepted(entry)
            elif is_stale_id(reply):
                beat.entries_published += 1
            else:
                beat.entries_dropped += 1
                self._refused.add(entry.key)
                self._telemetry.trouble("publish", "Redis refuses entries: a key of ours holds something else")
        self._buffer.drop_head(len(batch))
        self._done += len(batch)
        if self._buffer.in_memory <= self._pacing.relieved_entries:
            self._relieved.set()
        self._record_latency(batch)

    def _accepted(self, entry: Packed) -> None:
        """The trouble with a stream that was refused is over when that stream takes entries again."""
        if self._refused and entry.key in self._refused:
            self._refused.discard(entry.key)
            if not self._refused:
                self._telemetry.settled("publish")

    def discard(self) -> None:
        """Forget what is buffered: a new run will fetch it behind what Redis really has."""
        self._buffer.discard()

    def save(self) -> int:
        """At the exit with Redis away: leave what is buffered to the next run; how many entries found no room."""
        return self._buffer.save()

    def _record_latency(self, batch: list[Packed]) -> None:
        now_ns = self._clock.now_ns()
        for entry in batch[:: len(batch) // _LATENCY_SAMPLES + 1]:
            self._telemetry.latency.record((now_ns - entry.recv_ns) // 1000)


def _order(entry_id: bytes) -> tuple[int, int]:
    ms, _, n = entry_id.partition(b"-")
    return int(ms), int(n)


def _hset(key: str, fields: Mapping[str, Scalar]) -> bytes:
    return pack_command(("HSET", key, *(part for pair in fields.items() for part in pair)))
