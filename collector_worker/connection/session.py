"""Keeps one feed alive for months: connect, and after every end back off and connect again.

If the exchange announces an end, a second connection is prepared while the first one still works, and then takes over
without a hole. If the first one ends before that, the second one is simply the next connection.
"""

import asyncio
from collections.abc import Iterator
from math import inf
from random import Random
from typing import NamedTuple, NoReturn

from msgspec import Struct

from collector_worker.connection.connection import Connection, ConnectionContext
from collector_worker.exchanges.adapter import Feed
from common.process.log import Failures
from tickfleet._util.backoff import GrowingPause, full_jitter
from tickfleet._util.task_groups import worst_of
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import (
    ExchangeUnavailableError,
    FeedError,
    InstrumentDoubtedError,
    NotServedHereError,
    SubscriptionRefusedError,
    TurnedAwayError,
    UnknownSymbolError,
)


class BackoffLimits(Struct, frozen=True, kw_only=True):
    """How long a session waits for what, seconds.

    Attributes:
        steady_s: After a connection that lasted this long, the pauses start small again. If connections are accepted
            and dropped at once, they never last so long, and the pauses keep growing.
        take_over_s: For a successor to get ready, from the moment it may connect. The exchange closes a connection 30
            to 60 s after its notice (OKX sheet, section 2).
        denied_s: The shortest pause after the exchange said that it does not serve this location.
        overlap_s: How long both connections run side by side, for data that is not sent again. The old one may lag
            behind, and data under way on it may have been sent before the new one was subscribed.
        again_s: Before the next successor, if one failed, or if a young one must itself be replaced; longer each time.
            Binance leaves an hour for it.
    """

    first_pause_s: float = 0.5
    pause_cap_s: float = 60.0
    steady_s: float = 30.0
    take_over_s: float = 30.0
    denied_s: float = 2.0
    overlap_s: float = 2.0
    again_s: float = 5.0


_BROUGHT_ONCE = frozenset({DataType.TRADE, DataType.CANDLES})
"""A ticker is complete in itself and a book that begins with a snapshot, too: these need no overlap."""


class _Running(NamedTuple):
    """A connection and its running task, which returns the reason of its end."""

    connection: Connection
    work: asyncio.Task[FeedError]


class Session:
    """One feed of a collector."""

    def __init__(
        self, feed: Feed, context: ConnectionContext, random: Random, patience: BackoffLimits | None = None
    ) -> None:
        self._feed = feed
        self._context = context
        self._random = random
        self._patience = patience or BackoffLimits()
        self._failures = Failures()
        overlap = any(channel.data_type in _BROUGHT_ONCE or channel.seed_levels for channel in feed.channels)
        self._overlap_s = self._patience.overlap_s if overlap else 0.0

    async def run(self) -> NoReturn:
        """Collect until cancelled.

        Raises:
            SubscriptionRefusedError: The exchange refuses a channel for good.
            NotServedHereError: It said on two connections in a row that it does not serve this location.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._keep(tasks)
        except BaseExceptionGroup as group:
            raise worst_of(group) from group
        raise AssertionError("unreachable: a session ends by an error only")

    async def _keep(self, tasks: asyncio.TaskGroup) -> NoReturn:
        telemetry, clock, pipeline = self._context.telemetry, self._context.clock, self._context.pipeline
        pauses_s = self._fresh_pauses()
        successor: _Running | None = None
        denied = False
        while True:
            telemetry.feed_is(self._feed.name, WorkerState.CONNECTING, clock.now_ns())
            began_s = clock.monotonic_s()
            if successor is not None:
                successor.connection.follow()
            ended, successor = await self._relay(successor or self._start(tasks), tasks)
            error = await ended.work
            reason = str(error)
            if ended.connection.reached_streams:
                pipeline.on_disconnected(self._feed, reason)
            if clock.monotonic_s() - began_s > self._patience.steady_s:
                pauses_s = self._fresh_pauses()
            pause_s = next(pauses_s) if successor is None else 0.0
            final = isinstance(error, TurnedAwayError) and error.final
            if final and denied:
                raise NotServedHereError(reason)
            if final:
                pause_s = max(pause_s, self._patience.denied_s)
            denied = final
            telemetry.feed_lost(self._feed.name, reason, clock.now_ns())
            telemetry.beat.reconnects += 1
            self._failures.warn("feed_lost", error, feed=self._feed.name, pause_s=round(pause_s, 2))
            if isinstance(error, InstrumentDoubtedError):
                await self._see_listed(error)
            if successor is None:
                await asyncio.sleep(pause_s)

    async def _see_listed(self, refusal: InstrumentDoubtedError) -> None:
        """Check whether the exchange still lists the instrument; if it cannot be asked, the next refusal asks again.

        Raises:
            SubscriptionRefusedError: It does not.
        """
        exchange, rest = self._context.exchange, self._context.rest
        path = exchange.instrument_path(self._context.instrument)
        try:
            answer = await rest.fetch(path, exchange.rest_units(path))
            answer.read(exchange.read_instruments)
        except UnknownSymbolError as error:
            raise SubscriptionRefusedError(f"{refusal}, nor does it list the instrument any more") from error
        except ExchangeUnavailableError as error:
            self._failures.warn("instrument_unasked", error)

    def _start(self, tasks: asyncio.TaskGroup, *, held: bool = False) -> _Running:
        connection = Connection(self._feed, self._context, held=held)
        return _Running(connection, tasks.create_task(_until_lost(connection)))

    async def _relay(self, current: _Running, tasks: asyncio.TaskGroup) -> tuple[_Running, _Running | None]:
        """Run a connection and the successors that take over from it, until one ends.

        Returns that connection and its successor, if there is one that was not ready. The successor already has a place
        in the queue for connects, or a socket; a new one would have to queue behind all others again.
        """
        clock, steady_s = self._context.clock, self._patience.steady_s
        again = GrowingPause(self._patience.again_s, self._patience.pause_cap_s)
        renewed_s = -inf
        while await _happens(current.connection.closing_soon, tasks, current.work):
            if (
                clock.monotonic_s() - renewed_s < steady_s
            ):  # an exchange that sends everybody away gains nothing by haste
                await asyncio.wait((current.work,), timeout=again.after_attempt(clock.monotonic_s()))
                if current.work.done():
                    break
            successor = self._start(tasks, held=True)
            if await self._can_take_over(successor, current, tasks):
                successor.connection.take_over(current.connection)
                current.work.cancel()
                current, renewed_s = successor, clock.monotonic_s()
            elif current.work.done() and not successor.work.done():
                return current, successor
            else:
                successor.work.cancel()
                await asyncio.wait((current.work,), timeout=again.after_attempt(clock.monotonic_s()))
        return current, None

    async def _can_take_over(self, successor: _Running, current: _Running, tasks: asyncio.TaskGroup) -> bool:
        """Wait until a successor is ready and both have run side by side; False if it must not take over."""
        both = (current.work, successor.work)
        if not await _happens(successor.connection.permitted, tasks, *both):
            return False
        if not await _happens(successor.connection.ready, tasks, *both, timeout_s=self._patience.take_over_s):
            return False
        await asyncio.wait(both, timeout=self._overlap_s, return_when=asyncio.FIRST_COMPLETED)
        return not successor.work.done()

    def _fresh_pauses(self) -> Iterator[float]:
        return full_jitter(self._random, self._patience.first_pause_s, self._patience.pause_cap_s)


async def _happens(
    event: asyncio.Event, tasks: asyncio.TaskGroup, *works: asyncio.Task[FeedError], timeout_s: float | None = None
) -> bool:
    """Wait for an event; False if one of the tasks, or the time, ends before it."""
    notice = tasks.create_task(event.wait())
    await asyncio.wait({notice, *works}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    notice.cancel()
    return event.is_set() and not any(work.done() for work in works)


async def _until_lost(connection: Connection) -> FeedError:
    """Run a connection; returns why it ended."""
    try:
        await connection.run()
    except FeedError as error:
        return error
