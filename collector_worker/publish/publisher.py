"""From events to Redis Streams: a bounded buffer, batches in transactions, explicit ids, no loss over a restart.

If nothing is under way, an entry is sent at once, from the frame handler that brought it. Entries that come before the
answer wait and are sent together, as one MULTI/EXEC in one write. A server that refuses (loading, out of memory,
read-only) refuses the whole transaction, so no later entry can overtake an earlier one. A batch whose answer was lost
is sent again unchanged, and Redis refuses the ids that it already has. Entries wait in bounded memory, then in a
bounded file. Entries that fit into neither while Redis is away are counted, and a ``gap`` entry takes their place.

The module is long because sending and handover (see ``fast_path``) share the same few facts: what is under way, how
much waits, and whether the answer is awaited.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from collector_worker.publish.buffer import Buffer
from collector_worker.publish.kept_keys import KeptKeys
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.rejected_streams import RejectedStreams
from collector_worker.publish.retry import Outcome, Pipe, Retry
from collector_worker.publish.spool import Packed, SpoolLostError
from collector_worker.publish.transaction import Barriers, Transaction, all_ids, drop_sent, hset, transaction_of
from collector_worker.telemetry.telemetry import Telemetry
from tickfleet._util.clock import Clock
from tickfleet.contract.events import Event
from tickfleet.redis.protocol import Reply, Scalar, pack_command

if TYPE_CHECKING:
    from collector_worker.fastpath.sender import Sender

_LATENCY_SAMPLES = 16
"""Entries of a batch whose latency is recorded: enough for a percentile, and a burst does not pay per entry."""

_NS_PER_S = 1_000_000_000
_SAMPLE_EVERY_NS = _NS_PER_S
"""So often an answer is waited for at once although nothing needs it: the latency is to be known at all times."""


class Pacing(Struct, frozen=True, kw_only=True):
    """Sizes of transactions, and limits of waiting entries.

    Attributes:
        batch_entries: Largest number of entries per transaction, so that one transaction blocks Redis for about a
            millisecond at most.
        paused_entries: If Redis works and more entries than this wait, reading from the exchange pauses (and TCP slows
            the sender), so that a burst is never dropped. If Redis is away, reading continues and the whole buffer is
            used.
        resume_entries: Reading continues at this many.
    """

    batch_entries: int = 500
    batch_bytes: int = 256 * 1024
    paused_entries: int = 4_000
    resume_entries: int = 1_000
    retry_first_s: float = 0.1
    retry_cap_s: float = 2.0


class Publisher:
    """The only writer of a collector's keys. ``publish`` and the ``set_…`` methods only buffer; ``run`` sends."""

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
        self._buffer = Buffer() if buffer is None else buffer
        self._appended = 0
        self._ordered: dict[str, tuple[int, bytes]] = {}
        self._done = 0
        self._barriers = Barriers()
        self._refusals = RejectedStreams(self._buffer.ends, telemetry)
        self._kept: KeptKeys | None = None
        self._urgent: dict[str, list[bytes]] = {}
        self._retry = Retry(
            *(pipe, telemetry, self._buffer, self._on_away, self._pacing.retry_first_s, self._pacing.retry_cap_s)
        )
        self._busy = True
        """Whether something is under way, or nothing may be sent: before ``run`` has begun and after it."""
        self._deferred = False
        """Whether the answer to what is under way is not looked for yet."""
        self._found = False
        """While an answer is taken that has been there for some time: how long says nothing of Redis."""
        self._sampled_ns = 0
        """When the entry was received whose latency was recorded last."""
        self._runs = False
        self._sender: Sender | None = None
        """While the sending is handed over: where entries go meanwhile."""
        self._in_trouble: tuple[Transaction, Outcome] | None = None
        self._failure: Exception | None = None
        self._trouble = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.paused = False
        """Whether the reader should wait for ``resumed`` before it reads on."""
        self._resume = asyncio.Event()
        self._away = False

    async def resumed(self) -> None:
        """Wait until Redis has caught up, or has gone away."""
        self._resume.clear()
        if self.paused:
            await self._resume.wait()

    @property
    def buffered(self) -> int:
        """Entries that Redis has not confirmed yet."""
        return len(self._buffer) + (0 if self._sender is None else len(self._sender))

    @property
    def full(self) -> bool:
        """Whether an entry published now would be lost."""
        return self._buffer.full

    # --- buffering: called from the frame handler, never waits ---------------------------------------------------

    def publish(self, stream: Stream, event: Event) -> str | None:
        """Buffer one event; returns its entry id, or None if the buffer is full and the event is lost.

        An event that its stream would refuse is left out but still gets an id, so that no lack of room is marked.
        """
        stream.withdraw_ids()
        if self._sender is not None:
            if stream.loss is None:
                entry_id, command = stream.pack(event)
                self._sender.push(command, event.ts_recv, stream.key_bytes, entry_id.encode())
                return entry_id
            self.withdraw()
        if self._refusals.streams and stream.key_bytes in self._refusals.streams:
            self._telemetry.beat.entries_dropped += 1
            return stream.pack(event)[0]
        if not self._buffer.full and (stream.loss is None or self._mark_loss(stream, event)):
            before = stream.last_trade_id
            entry_id, command = stream.pack(event)
            if self._buffer.append(Packed(command, event.ts_recv, stream.key_bytes)):
                self._appended += 1
                self._hasten()
                return entry_id
            stream.last_trade_id = before
        self._telemetry.beat.entries_dropped += 1
        stream.lose(event)
        return None

    def _mark_loss(self, stream: Stream, following: Event) -> bool:
        """Buffer the entry that marks a loss at its place; False if there is no room for it."""
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
        """Buffer a packed XADD that confirms earlier entries, or marks a loss; False if there is no room.

        An entry that must not be sent is left out, as in ``publish``.
        """
        self.withdraw()
        entry = Packed(command, recv_ns)
        if self._refusals.streams and self._refusals.bars(entry):
            self._telemetry.beat.entries_dropped += 1
            return True
        if not self._buffer.append(entry):
            return False
        self._barriers.note(self._appended)
        self._appended += 1
        self._hasten()
        return True

    def set_hash(self, key: str, fields: Mapping[str, Scalar]) -> None:
        """Set fields of a hash after all entries buffered so far; of several calls for a key only the last is sent."""
        self.withdraw()
        self._ordered[key] = (self._appended, hset(key, fields))
        self._hasten()

    def set_expiring_hash(self, key: str, fields: Mapping[str, Scalar], ttl_s: int, *, fresh: bool = False) -> None:
        """Set fields of a hash that expires, before the entries; ``fresh`` first deletes the old hash."""
        self.withdraw()
        remove = pack_command(("DEL", key))
        fresh = fresh or remove in self._urgent.get(key, ())  # the one that is replaced has not been sent
        self._urgent[key] = [*([remove] if fresh else []), hset(key, fields), pack_command(("EXPIRE", key, ttl_s))]
        self._hasten()

    # --- sending -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is buffered until cancelled; a Redis that is away is tried again with a growing pause.

        Raises:
            StreamTakenError: Somebody else writes these streams.
            StreamRolledBackError: Redis came back without what it had.
            StreamReturnedError: A stream that had refused entries takes them again.
            SupersededError: A newer run of this collector has begun.
            SpoolLostError: The entries in the file are gone.
        """
        try:
            self._runs = True
            self._send()
            while True:
                await self._trouble.wait()
                self._trouble.clear()
                if self._failure is not None:
                    raise self._failure
                if self._in_trouble is not None:
                    transaction, outcome = self._in_trouble
                    replies = await self._retry.carry_out(transaction, outcome)
                    self._away, self._in_trouble = False, None
                    self._record_latency(transaction.batch)
                    self._confirm(transaction, replies)
                    self._send()
        finally:
            self._runs = False
            self.withdraw()
            self._busy = True

    def _hasten(self) -> None:
        """Something is there to be sent."""
        if not self._busy:
            self._send()
        elif self._deferred:
            self._read_now()
        elif self._appended - self._done > self._pacing.paused_entries:
            if not (self._away or self._buffer.spooled):
                self._on_paused()
            elif self.paused:
                self._relieve()

    def _read_now(self) -> None:
        """Read the answer to the last transaction, or wait for it."""
        self._deferred, self._found = False, True
        self._pipe.read_now()
        self._found = False

    def _send(self) -> None:
        """Send buffered entries, with nothing under way; if one write is not enough, ``run`` does it."""
        if self._refusals.streams:
            self._pass_over()
        if self._appended == self._done and not self._ordered and not self._urgent:
            self._busy = self._begin_handover()
            if not self._busy:
                self.withdraw()
            self._idle.set()
            return
        self._busy = True
        transaction = self._load()
        newest_ns = transaction.batch[-1].recv_ns if transaction.batch else self._sampled_ns
        waited_for = self._sender is not None or not self._idle.is_set()  # or somebody is in ``drained``
        alone = self._appended - self._done == len(transaction.batch) and not waited_for
        self._deferred = alone and 0 <= newest_ns - self._sampled_ns < _SAMPLE_EVERY_NS
        if not self._pipe.try_send(
            transaction.commands, partial(self._on_outcome, transaction), deferred=self._deferred
        ):
            self._ask_for_help(transaction, None)

    def _pass_over(self) -> None:
        """Forget buffered entries at the head that must not be sent."""
        pacing = self._pacing
        while count := self._refusals.barred(self._buffer.head(pacing.batch_entries, pacing.batch_bytes)):
            self._forget(Transaction({}, [], {}, [], passed_over=count))

    def _load(self) -> Transaction:
        most, barriers = self._pacing.batch_entries, self._barriers
        most = barriers.room(self._done, most) if barriers.places else most
        head = self._buffer.head(most, self._pacing.batch_bytes)
        batch = self._refusals.free(head) if self._refusals.streams else head
        if not self._urgent and not self._ordered:
            commands = [batch[0].command] if len(batch) == 1 else [entry.command for entry in batch]
            return Transaction({}, batch, {}, commands, passed_over=len(head) - len(batch))
        looked_at = [*self._refusals.streams] if self._urgent else []  # so looks are as rare as the heart's beats
        kept = self._kept.due() if self._kept is not None and self._urgent else ()
        return transaction_of(self._urgent, batch, self._ordered, looked_at, kept, done=self._done, covers=len(head))

    def _on_outcome(self, transaction: Transaction, outcome: Outcome) -> None:
        """Called from the event loop. It makes few calls: a process that wakes up for one entry pays for each."""
        batch, prompt, self._deferred = transaction.batch, not (self._deferred or self._found), False
        try:
            if not isinstance(outcome, list):
                self._ask_for_help(transaction, outcome)
                return
            replies = outcome if len(outcome) == len(batch) else transaction.of_entries(outcome)
            if len(replies) == 1 and type(replies[0]) is bytes:
                self._buffer.ends[batch[0].stream or batch[0].key] = replies[0]
            elif all_ids(replies):
                self._buffer.ends.update(zip([entry.stream or entry.key for entry in batch], replies, strict=True))
            else:
                self._ask_for_help(transaction, outcome)
                return
            self._telemetry.beat.entries_published += len(replies)
            if prompt:
                self._record_latency(batch)
            self._forget(transaction)
            if transaction.looks:
                self._refusals.see(transaction.looks, outcome[: len(transaction.looks)])
            if transaction.kept and self._kept is not None:
                first = len(transaction.looks)
                self._kept.see(transaction.kept, outcome[first : first + len(transaction.kept)])
            self._send()
        except Exception as error:  # noqa: BLE001 - raised in ``run``: here nobody would hear of it
            self._failure = error
            self._trouble.set()

    def _ask_for_help(self, transaction: Transaction, outcome: Outcome) -> None:
        self.withdraw()
        self._in_trouble = transaction, outcome
        self._trouble.set()

    def _on_away(self) -> None:
        self._away = True
        self._relieve()

    def _on_paused(self) -> None:
        self.paused = True

    def _relieve(self) -> None:
        self.paused = False
        self._resume.set()

    def _confirm(self, transaction: Transaction, replies: Sequence[Reply]) -> None:
        """Process answers of any kind."""
        taken = self._refusals.note(transaction.batch, replies)
        self._telemetry.beat.entries_published += taken
        self._telemetry.beat.entries_dropped += len(replies) - taken
        self._forget(transaction)

    def _forget(self, transaction: Transaction) -> None:
        """Forget a transaction that was carried out."""
        count = len(transaction.batch) + transaction.passed_over
        if count:
            self._telemetry.beat.entries_dropped += transaction.passed_over
            self._buffer.drop_head(count)
            self._done += count
        if self.paused and self._appended - self._done <= self._pacing.resume_entries:
            self._relieve()
        if transaction.urgent:
            drop_sent(self._urgent, transaction.urgent)
        if transaction.ordered:
            drop_sent(self._ordered, transaction.ordered)

    def _record_latency(self, batch: list[Packed]) -> None:
        now_ns = self._clock.now_ns()
        self._sampled_ns = batch[-1].recv_ns if batch else self._sampled_ns
        for entry in batch[:: len(batch) // _LATENCY_SAMPLES + 1]:
            self._telemetry.latency.record((now_ns - entry.recv_ns) // 1000)

    async def drained(self) -> None:
        """Wait until everything buffered is confirmed."""
        self.withdraw()
        if self._appended > self._done or self._ordered or self._urgent:
            self._idle.clear()
            self._hasten()
        await self._idle.wait()

    def save(self) -> int:
        """At the end of the run: save buffered entries for the next run; returns how many had no room."""
        return self._buffer.save()

    # --- handover ------------------------------------------------------------------------------------------------

    @property
    def can_hand_over(self) -> bool:
        """Whether ``hand_over`` would work: all is usual, and few entries wait, so there is room for their return."""
        unusual = (
            self._refusals.streams or self._in_trouble or self._failure or self._buffer.spooled or self._buffer.full
        )
        little = self._appended - self._done <= self._pacing.batch_entries
        return self._runs and not unusual and little and self._idle.is_set() and self._pipe.can_hand_over

    def hand_over(self, made_of: "type[Sender]") -> "Sender | None":
        """Hand the sending over to the faster compiled code while all is usual; None if it is not usual now.

        Entries of all streams then go into the outbox, until ``withdraw``. The outbox begins to send when all earlier
        entries are done.
        """
        if self._sender is None and self.can_hand_over:
            self._sender = made_of(self._pacing, self._on_sender_trouble, self._on_paused, self._relieve)
            if self._deferred:
                self._read_now()
            if not self._busy:
                self._send()
        return self._sender

    def _begin_handover(self) -> bool:
        """Let the outbox send, after all our entries are sent; False if there is no outbox, or it cannot send."""
        handover = None if self._sender is None else self._pipe.handover()
        if self._sender is None or handover is None:
            return False
        self._pipe.hand_over(self._sender.on_answer, self._on_sender_trouble)
        self._sender.begin(handover, self._sampled_ns)
        return True

    def withdraw(self) -> None:
        """End a handover; a transaction under way continues as if it had been sent from here."""
        sender, self._sender = self._sender, None
        if sender is None:
            return
        sent = sender.sends or not sender.open
        flight, waiting, said, listens = sender.close()
        self._telemetry.beat.entries_published += sender.published
        self._buffer.ends.update(sender.ends)
        for latency_us in sender.latencies_us:
            self._telemetry.latency.record(latency_us)
        self._sampled_ns = max(self._sampled_ns, sender.sampled_ns)
        entries = [Packed(entry.command, entry.recv_ns, entry.key) for entry in (*flight, *waiting)]
        taken = sum(map(self._buffer.append, entries))
        self._appended += taken
        if taken < len(
            entries
        ):  # the disk has failed meanwhile: they count as passed on, so only a new run fetches them
            raise SpoolLostError("what was handed over finds no room any more")
        if not sent:
            self._hasten()
            return
        if not flight:
            self._pipe.withdraw(said)
            self._send()
            return
        batch = self._buffer.head(len(flight), self._pacing.batch_bytes)
        transaction = Transaction({}, batch, {}, [entry.command for entry in batch])
        self._deferred = not (listens or waiting)
        done, asked_s = partial(self._on_outcome, transaction), sender.asked_ns / _NS_PER_S
        self._pipe.withdraw_begun(len(batch), done, said, asked_s, deferred=self._deferred)

    def _on_sender_trouble(self) -> None:
        """Called from the event loop, or from within ``push``."""
        try:
            self.withdraw()
        except Exception as error:  # noqa: BLE001 - raised in ``run``: here nobody would hear of it
            self._failure = error
            self._trouble.set()

    # --- before the first entry ----------------------------------------------------------------------------------

    def follow(self, ends: Mapping[bytes, bytes], refused: Collection[bytes] = ()) -> None:
        """Set where our streams end: buffered entries come behind these ends.

        Args:
            ends: By stream, the id of its last entry.
            refused: Streams whose keys hold something else: nothing is sent for them.
        """
        self._buffer.ends.update(ends)
        self._refusals.start_run(refused)

    def watch(self, kept: KeptKeys) -> None:
        """From now on, check that these keys stay."""
        self._kept = kept

    @property
    def batch_bytes(self) -> int:
        """About how much goes out at once."""
        return self._pacing.batch_bytes

    async def carry_out(self, commands: list[bytes]) -> list[Reply]:
        """Execute commands after the urgent ones; returns their replies."""
        urgent = dict(self._urgent)
        ahead = [command for parts in urgent.values() for command in parts]
        if not ahead and not commands:
            return []
        replies = await self._pipe.transaction([*ahead, *commands])
        drop_sent(self._urgent, urgent)
        return replies[len(ahead) :]
