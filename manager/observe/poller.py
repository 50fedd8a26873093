"""Reads the facts of one round, and says once when one of their sources goes away or comes back."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from common.process.log import get_logger
from common.redis.redis_py import (
    check_serves,
    code_of_write,
    count_refusals,
    queue_write,
    translated_errors,
    why_refused,
)
from manager.model.processes import Process
from manager.model.verdicts import Pulse
from manager.observe.facts import PulseMemory, queue_heartbeats, read_pulses
from manager.observe.writes import WriteWatch
from manager.supervisord.async_client import Supervisor
from manager.supervisord.client import SupervisorEndingError
from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.config import RedisConfig

if TYPE_CHECKING:
    from common.redis.redis_py import AsyncRedis


class RoundFacts(Struct, frozen=True, kw_only=True):
    """What a look has shown; None for a source that did not answer.

    Attributes:
        changes: The run-time changes to the fleet; None also where Redis answers and their key cannot be read.
        changes_refused: With what Redis refused that key, `` (NOPERM hgetall KEY)``; else empty.
    """

    pulses: dict[CollectorId, Pulse] | None
    changes: dict[str, str] | None
    processes: dict[str, Process] | None
    changes_refused: str = ""


class RedisLink(Struct, frozen=True):
    """A client and the settings it was made from, which its errors are told with."""

    config: RedisConfig
    client: "AsyncRedis"


class Poller:
    """Reads the facts of a round, and reports once when a source goes away or comes back.

    Attributes:
        watched_since_s: Since when we have watched a Redis that works (monotonic), without a pause; at first since our
            own start: it may have come back just before that. Heartbeats that expired before are not there again.
        writes: Whether Redis takes writes.
        redis_trouble, supervisor_trouble: Why the source is away, a phrase of ours; empty while it answers.
        supervisor_ending: Whether supervisord was shutting down when it was last asked.
    """

    def __init__(self, supervisor: Supervisor, clock: Clock) -> None:
        self._supervisor, self._clock = supervisor, clock
        self._memory = PulseMemory()
        self.writes = WriteWatch()
        self.watched_since_s = self._answered_at_s = clock.monotonic_s()
        self.redis_trouble = ""
        self.supervisor_trouble = ""
        self.supervisor_ending = False
        self._write_trouble = ""

    async def read_facts(self, link: RedisLink, collectors: Sequence[CollectorId], unwatched_s: float) -> RoundFacts:
        """Ask both sources at the same time; neither failing is an error here.

        Where Redis was last heard more than ``unwatched_s`` ago, watching it begins anew: it hung, or we did.
        """
        async with asyncio.TaskGroup() as tasks:
            in_redis = tasks.create_task(self._redis(link, collectors, unwatched_s))
            processes = tasks.create_task(self._processes())
        pulses, changes, refused = in_redis.result()
        return RoundFacts(pulses=pulses, changes=changes, processes=processes.result(), changes_refused=refused)

    async def _redis(
        self, link: RedisLink, collectors: Sequence[CollectorId], unwatched_s: float
    ) -> tuple[dict[CollectorId, Pulse] | None, dict[str, str] | None, str]:
        try:
            with translated_errors(link.config):
                async with link.client.pipeline(transaction=False) as pipe:
                    queue_heartbeats(pipe, collectors)
                    pipe.hgetall(keys.FLEET_DESIRED)
                    queue_write(pipe)
                    *replies, changes, written = await pipe.execute(raise_on_error=False)
                check_serves((*replies, changes))
                counts = await count_refusals(link.client)
        except RedisUnreachableError as error:
            if not self.redis_trouble:
                get_logger().error("redis_lost", why=str(error), exc_info=error)
            self.redis_trouble = str(error)
            return None, None, ""
        now_s = self._clock.monotonic_s()
        if self.redis_trouble or now_s - self._answered_at_s > unwatched_s:
            self.watch_anew()
        self._answered_at_s = now_s
        if self.redis_trouble:
            self.redis_trouble = ""
            get_logger().warning("redis_found")
        self._see_writes(code_of_write(written), counts)
        pulses = read_pulses(collectors, replies, self._clock.now_ns())
        known = changes if isinstance(changes, dict) else None
        refused = why_refused(changes, f"hgetall {keys.FLEET_DESIRED}")
        return self._memory.update(pulses, now_s), known, refused

    def watch_anew(self) -> None:
        """A heartbeat that was missing until now proves nothing: Redis was away, or we were."""
        self.watched_since_s = self._clock.monotonic_s()

    def _see_writes(self, code: str, counts: dict[str, int] | None) -> None:
        """Take note whether Redis takes writes; while it does not, a heartbeat that is missing proves nothing."""
        before, now_s = self.writes.trouble, self._clock.monotonic_s()
        self.writes.see(code, counts, self._clock.now_ns(), now_s)
        if self.writes.refused_at_s == now_s:
            self.watch_anew()
        if bool(before) is not bool(self.writes.trouble):
            log = get_logger().error if self.writes.trouble else get_logger().warning
            log("redis_takes_no_writes" if self.writes.trouble else "redis_takes_writes", why=self.writes.trouble)

    def write_failed(self, error: RedisUnreachableError) -> None:
        """Redis answers but takes nothing (it is full, or a replica): then the workers cannot write either."""
        if not self._write_trouble:
            get_logger().error("redis_write_failed", why=str(error), exc_info=error)
        self._write_trouble = str(error)
        self.watch_anew()

    def write_done(self) -> None:
        """Redis takes what we write."""
        if self._write_trouble:
            get_logger().warning("redis_write_possible")
        self._write_trouble = ""

    async def _processes(self) -> dict[str, Process] | None:
        try:
            processes = await self._supervisor.processes()
        except FleetError as error:
            ending = isinstance(error, SupervisorEndingError)
            if ending and not self.supervisor_ending:
                get_logger().info("supervisor_ending")
            elif not ending and not self.supervisor_trouble:
                get_logger().error("supervisor_lost", why=str(error), exc_info=error)
            self.supervisor_trouble, self.supervisor_ending = str(error), ending
            return None
        self.supervisor_ending = False
        if self.supervisor_trouble:
            self.supervisor_trouble = ""
            get_logger().warning("supervisor_found")
        return processes
