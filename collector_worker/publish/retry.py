"""Completes a transaction after trouble: Redis is away, refuses, or its answer was lost."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import NoReturn, Protocol

from collector_worker.publish.buffer import Buffer
from collector_worker.publish.rejected_streams import carry_out_reports, reports_of_refused
from collector_worker.publish.spool import Packed
from collector_worker.publish.stream_tips import StreamTakenError, check_ends, read_ends, read_replies, settled_replies
from collector_worker.publish.transaction import Transaction, all_ids
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import get_logger
from tickfleet._util.backoff import full_jitter
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.client import Done, Handover
from tickfleet.redis.protocol import Reply, is_stale_id

Outcome = list[Reply] | RedisUnreachableError | None
"""What became of a transaction that was begun; see ``RedisPipe.try_send``. None: nothing was done so far."""


class Pipe(Protocol):
    """What a publisher needs from a connection to Redis; see ``RedisPipe``."""

    async def connect(self) -> None:
        """Open the connection if there is none."""
        ...

    def try_send(self, commands: Sequence[bytes], done: Done, *, deferred: bool = False) -> bool:
        """Send a transaction if one write is enough; else False."""
        ...

    @property
    def can_hand_over(self) -> bool:
        """Whether a handover is possible at all."""
        ...

    def handover(self) -> Handover | None:
        """All that other code needs to send transactions itself, if ``try_send`` could send now."""
        ...

    def hand_over(self, on_answer: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """Let the holder of the handover send."""
        ...

    def withdraw(self, said: bytes) -> None:
        """End a handover with nothing under way."""
        ...

    def withdraw_begun(self, commands: int, done: Done, said: bytes, asked_s: float, *, deferred: bool) -> None:
        """End a handover with a transaction under way."""
        ...

    def read_now(self) -> None:
        """Read the outcome of a deferred transaction, because something waits for it now."""
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


class Retry:
    """Carries out one transaction however long it takes.

    Args:
        on_away: Called when Redis was found to be away.
        first_s: The first pause between attempts, seconds; each is a random part of twice the one before.
        cap_s: The longest.
    """

    def __init__(
        self,
        pipe: Pipe,
        telemetry: Telemetry,
        buffer: Buffer,
        on_away: Callable[[], None],
        first_s: float,
        cap_s: float,
    ) -> None:
        self._pipe = pipe
        self._telemetry = telemetry
        self._buffer = buffer
        self._on_away = on_away
        self._pauses_s = first_s, cap_s
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._reports: list[bytes] = []
        """What must be said before the run ends, because another process has written between our entries."""

    async def carry_out(self, transaction: Transaction, outcome: Outcome) -> list[Reply]:
        """Complete a transaction that was begun with the given outcome; returns the replies to its entries.

        Raises:
            StreamTakenError: Somebody else writes these streams.
            StreamRolledBackError: Redis came back without what it had.
            SupersededError: A newer run of this collector has begun.
        """
        delays_s = full_jitter(self._random, *self._pauses_s)
        lost = False
        while True:
            try:
                replies = await self._attempt(transaction, outcome, again=lost)
            except RedisUnreachableError as error:
                outcome = None
                await self._pipe.close()
                if not lost:
                    get_logger().warning("redis_lost", why=str(error), exc_info=True)
                lost = True
                self._on_away()
                self._telemetry.trouble("redis", str(error))
                await asyncio.sleep(next(delays_s))
            else:
                if lost:
                    self._telemetry.beat.redis_reconnects += 1
                    self._telemetry.settled("redis")
                    get_logger().info("redis_regained", entries_waiting=len(self._buffer))
                return replies

    async def _attempt(self, transaction: Transaction, outcome: Outcome, *, again: bool) -> list[Reply]:
        if isinstance(outcome, RedisUnreachableError):
            raise outcome
        replies: Sequence[Reply] | None = None
        if outcome is None:
            await self._pipe.connect()
            if self._reports:
                await self._report()
            replies = await self._lost_replies(transaction.batch) if again else None
        if replies is None:
            replies = transaction.of_entries(outcome or await self._pipe.transaction(transaction.commands))
        return list(replies) if all_ids(replies) else await self._settled(transaction.batch, replies)

    async def _lost_replies(self, batch: list[Packed]) -> list[Reply] | None:
        """Redis was away: check that the streams end as we left them, or with the batch whose answer was lost.

        Returns the replies to that batch, derived from the streams; None if it was not carried out.
        """
        known, sent = self._buffer.ends, {entry.key: entry.id for entry in batch}
        streams = list(known | sent)
        found = dict(zip(streams, await read_ends(self._pipe, streams), strict=True))
        replies = await read_replies(self._pipe, batch)
        try:
            check_ends(known, sent, found)
        except FleetError as error:
            if isinstance(error, StreamTakenError):
                self._reports = reports_of_refused(batch, replies, self._telemetry.beat.run_id)
            # A newer run explains it, if there is one: that is the error to end with.
            await carry_out_reports(self._pipe.transaction, self._reports)
            raise
        return replies if any(isinstance(reply, bytes) for reply in replies) else None

    async def _settled(self, batch: list[Packed], replies: Sequence[Reply]) -> list[Reply]:
        """The replies, after a check that nobody has written an id between those of this batch."""
        settled = await settled_replies(self._pipe, batch, replies)
        if any(map(is_stale_id, settled)):
            self._reports = reports_of_refused(batch, settled, self._telemetry.beat.run_id)
            await self._report()
        return settled

    async def _report(self) -> NoReturn:
        """Report refused entries, and end the run; if Redis is away, the next attempt does it."""
        await carry_out_reports(self._pipe.transaction, self._reports)
        raise StreamTakenError("another process writes the streams of this collector")
