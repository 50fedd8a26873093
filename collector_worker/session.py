"""Keeps one feed alive for months: connect, and after every end back off and connect again.

An end that the exchange announces is met in advance: a second connection is made ready while the first one still
works, then takes over without a hole.
"""

import asyncio
from collections.abc import Iterator
from random import Random

from collector_worker.backoff import full_jitter
from collector_worker.connection import Connection, Surroundings
from collector_worker.exchanges.contract import Feed
from common.errors import FeedError
from common.health import WorkerState
from common.log import get_logger

FIRST_PAUSE_S = 0.5
PAUSE_CAP_S = 60.0
STEADY_S = 30.0
"""A connection that held this long was a good one: the next pause starts small again. One that is accepted and
dropped at once never gets there, so its pauses keep growing."""

TAKE_OVER_S = 30.0
"""The exchange closes a connection 30 to 60 s after its notice (OKX sheet, section 2)."""


class Session:
    """One feed of a collector."""

    def __init__(self, feed: Feed, around: Surroundings, random: Random) -> None:
        self._feed = feed
        self._around = around
        self._random = random

    async def run(self) -> None:
        """Collect until cancelled.

        Raises:
            SubscriptionRefusedError: The exchange refuses a channel for good.
        """
        telemetry, clock = self._around.telemetry, self._around.clock
        pauses_s = self._fresh_pauses()
        while True:
            telemetry.feed_is(self._feed.name, WorkerState.CONNECTING, clock.now_ns())
            began_s = clock.monotonic_s()
            reason, was_ready = await self._collect(Connection(self._feed, self._around))
            if was_ready:
                self._around.pipeline.on_disconnected(self._feed, reason)
            if clock.monotonic_s() - began_s > STEADY_S:
                pauses_s = self._fresh_pauses()
            pause_s = next(pauses_s)
            telemetry.feed_is(self._feed.name, WorkerState.CONNECTING, clock.now_ns())
            telemetry.beat.last_error = reason
            telemetry.beat.reconnects += 1
            get_logger().warning("feed_lost", feed=self._feed.name, why=reason, pause_s=round(pause_s, 2))
            await asyncio.sleep(pause_s)

    async def _collect(self, connection: Connection) -> tuple[str, bool]:
        """Run a connection and the successors that take over from it, until one ends with none to follow.

        Returns why it ended, and whether it had been ready.
        """
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(_until_lost(connection))
            while True:
                notice = tasks.create_task(connection.closing_soon.wait())
                await asyncio.wait({work, notice}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    notice.cancel()
                    return work.result(), connection.ready.is_set()
                successor = Connection(self._feed, self._around, held=True)
                successor_work = tasks.create_task(_until_lost(successor))
                ready = tasks.create_task(successor.ready.wait())
                await asyncio.wait({successor_work, ready}, timeout=TAKE_OVER_S, return_when=asyncio.FIRST_COMPLETED)
                if not ready.done() or successor_work.done():
                    ready.cancel()
                    successor_work.cancel()
                    return await work, connection.ready.is_set()
                connection.retire()
                successor.take_over()
                work.cancel()
                connection, work = successor, successor_work

    def _fresh_pauses(self) -> Iterator[float]:
        return full_jitter(self._random, FIRST_PAUSE_S, PAUSE_CAP_S)


async def _until_lost(connection: Connection) -> str:
    """Run a connection; the reason why it ended."""
    try:
        await connection.run()
    except FeedError as error:
        return str(error)
