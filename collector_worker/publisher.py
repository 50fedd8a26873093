"""From events to Redis Streams: a bounded buffer, batches in transactions, explicit ids, no loss over a restart.

A batch goes out as one MULTI/EXEC in one write. A server that refuses (loading, out of memory, read-only) refuses the
whole transaction, so no later entry can overtake an earlier one; a batch whose answer was lost is sent again as it
was, and Redis refuses the ids it already has. Entries wait in bounded memory, then in a bounded file. What fits neither
while Redis is away is counted, and a ``gap`` entry stands in its place.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from collector_worker.backoff import full_jitter
from collector_worker.buffer import Buffer
from collector_worker.left_over import Joints, LeftOver, opened
from collector_worker.spool import Packed
from collector_worker.stream_ends import StreamTakenError, check_ends, read_ends
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
        self._appended = 0
        self._ordered: dict[str, tuple[int, bytes]] = {}
        self._done = 0
        self._refused: set[bytes] = set()
        self._urgent: dict[str, list[bytes]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
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
        if not self._buffer.full and self._mark_loss(stream, event):
            before = stream.last_trade_id
            entry_id, packed = stream.pack(event)
            if self.append(packed, event.ts_recv):
                return entry_id
            stream.last_trade_id = before
        self._telemetry.beat.entries_dropped += 1
        stream.lose(event)
        return None

    def _mark_loss(self, stream: Stream, following: Event) -> bool:
        """Put the entry that marks a loss in its place; False where it finds no room itself."""
        gap = stream.loss_before(following, self._clock.now_ns())
        if gap is None:
            return True
        _, packed = stream.pack(gap)
        if not self.append(packed, gap.ts_recv):
            return False
        stream.loss_is_marked()
        self._telemetry.beat.gaps += 1
        return True

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
            SpoolLostError: What waited in the file is gone.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._buffer or self._ordered or self._urgent:
                await self._send_batch()
            self._idle.set()

    async def publish_left_over(self, ledger: str, meanwhile: Callable[[], None]) -> None:
        """Publish what earlier runs left in their files, before anything else is known of the streams.

        Args:
            ledger: Key of the ledger that vouches for what is in the streams.
            meanwhile: Called again and again: a GiB takes half a minute.

        Raises:
            RedisUnreachableError: Redis went away, or takes no writes now; the files stay as they are.
            SupersededError: A newer run of this collector has begun.
        """
        for path in self._buffer.left_over:
            with opened(path) as file:
                if file is not None:
                    await self._publish_file(file, ledger.encode(), meanwhile)
                    file.remove()

    async def _publish_file(self, file: LeftOver, ledger: bytes, meanwhile: Callable[[], None]) -> None:
        beat = self._telemetry.beat
        before = beat.entries_published
        ends = await read_ends(self._pipe, list(file.behind))
        joints = Joints(file.behind, dict(zip(file.behind, ends, strict=True)), ledger)
        for records in file.batches(self._pacing.batch_bytes) if joints.unsettled else ():
            for packed in records:
                joints.look(packed)
            meanwhile()
            await self._carry_out([])
        for records in file.batches(self._pacing.batch_bytes):
            commands = [packed.command for packed in records if joints.admits(packed)]
            meanwhile()
            replies = await self._carry_out(commands)
            taken = sum(isinstance(reply, bytes) for reply in replies)
            beat.entries_published += taken
            beat.entries_dropped += len(commands) - taken
        beat.entries_dropped += joints.left_out
        published = beat.entries_published - before
        get_logger().info("left_over_published", published=published, left_out=joints.left_out)

    async def _carry_out(self, commands: list[bytes]) -> list[Reply]:
        """Carry out commands behind what is urgent; their replies."""
        urgent, ahead = self._look_at_urgent()
        if not ahead and not commands:
            return []
        replies = await self._pipe.transaction([*ahead, *commands])
        self._forget_urgent(urgent)
        return replies[len(ahead) :]

    def follow(self, ends: Mapping[bytes, bytes]) -> None:
        """Where the streams end that we are going to write: what is buffered comes behind that."""
        self._buffer.ends.update(ends)

    async def drained(self) -> None:
        """Wait until everything buffered is confirmed."""
        await self._idle.wait()

    async def _send_batch(self) -> None:
        batch = self._buffer.head(self._pacing.batch_entries, self._pacing.batch_bytes)
        urgent, commands = self._look_at_urgent()
        first = len(commands)
        # A hash that names a stream id must not be seen before that entry.
        reached = self._done + len(batch)
        ordered = {key: due for key, due in self._ordered.items() if due[0] <= reached}
        commands += [entry.command for entry in batch]
        commands += [packed for _, packed in ordered.values()]
        self._confirm(batch, await self._transact(commands, batch, first))
        self._forget_urgent(urgent)
        for key, sent in ordered.items():
            if self._ordered[key] is sent:
                del self._ordered[key]

    def _look_at_urgent(self) -> tuple[dict[str, list[bytes]], list[bytes]]:
        """What is to be sent ahead of the entries, by key and in a row."""
        return dict(self._urgent), [command for parts in self._urgent.values() for command in parts]

    def _forget_urgent(self, sent: Mapping[str, list[bytes]]) -> None:
        for key, commands in sent.items():
            if self._urgent[key] is commands:
                del self._urgent[key]

    async def _transact(self, commands: list[bytes], batch: list[Packed], first: int) -> list[Reply]:
        """Carry out one transaction, however long Redis is away; the answers to its entries, from ``first`` on."""
        delays_s = full_jitter(self._random, self._pacing.retry_first_s, self._pacing.retry_cap_s)
        lost = False
        while True:
            try:
                await self._pipe.connect()
                if lost and await self._was_carried_out(batch):
                    replies: list[Reply] = [entry.id for entry in batch]
                else:
                    replies = (await self._pipe.transaction(commands))[first : first + len(batch)]
                    await self._check_ids(batch, replies, retried=lost)
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
                return replies

    async def _was_carried_out(self, batch: list[Packed]) -> bool:
        """Redis was away: see that the streams end as we left them, or with the batch whose answer was lost."""
        known, sent = self._buffer.ends, {entry.key: entry.id for entry in batch}
        streams = list(known | sent)
        found = dict(zip(streams, await read_ends(self._pipe, streams), strict=True))
        try:
            return check_ends(known, sent, found)
        except FleetError:
            await self._pipe.transaction([])  # a newer run explains it, if there is one: that is the error to end with
            raise

    async def _check_ids(self, batch: list[Packed], replies: list[Reply], *, retried: bool) -> None:
        """See that ids which Redis had already are those of this batch: a server that hung has just carried it out.

        A transaction is carried out whole or not at all: of ours, either all ids are there or none.
        """
        stale = {entry.key: entry.id for entry, reply in zip(batch, replies, strict=True) if is_stale_id(reply)}
        if not stale:
            return
        ours = retried and not any(isinstance(reply, bytes) for reply in replies)
        if not ours or await read_ends(self._pipe, list(stale)) != list(stale.values()):
            raise StreamTakenError("another process writes the streams of this collector")

    def _confirm(self, batch: list[Packed], replies: list[Reply]) -> None:
        """Take note of the answers; an id that was there already counts as published."""
        beat = self._telemetry.beat
        for entry, reply in zip(batch, replies, strict=True):
            if isinstance(reply, bytes):
                self._buffer.ends[entry.key] = reply
                beat.entries_published += 1
                self._accepted(entry)
            elif is_stale_id(reply):
                self._buffer.ends[entry.key] = entry.id
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

    def save(self) -> int:
        """At the end of the run: leave what is buffered to the next one; how many entries found no room."""
        return self._buffer.save()

    def _record_latency(self, batch: list[Packed]) -> None:
        now_ns = self._clock.now_ns()
        for entry in batch[:: len(batch) // _LATENCY_SAMPLES + 1]:
            self._telemetry.latency.record((now_ns - entry.recv_ns) // 1000)


def _hset(key: str, fields: Mapping[str, Scalar]) -> bytes:
    return pack_command(("HSET", key, *(part for pair in fields.items() for part in pair)))
