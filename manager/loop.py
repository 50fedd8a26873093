"""The manager's loop: each second it looks, judges, decides, acts and records.

All its knowledge can be rebuilt: the desired state from the fleet file, the present state from Redis and supervisord,
and the past from the journal. Actions run beside the loop, so that a slow one does not stop it.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from common.process.lifecycle import heed_cancellation
from common.process.log import get_logger
from common.redis.redis_py import KeyRefusedError, translated_errors
from manager.act.executor import Executor
from manager.act.reconciler import Reconciler
from manager.decide.assess import blind
from manager.decide.evaluate import Evaluation, Observation
from manager.decide.history import parked
from manager.decide.overlays import overlays_of
from manager.decide.policy import Conditions
from manager.desired.rival import Rival
from manager.desired.source import Wanted
from manager.journal.incidents import Incidents
from manager.journal.log_lines import log_entries
from manager.journal.memory import Memory
from manager.model.journal_entries import APPLY, WHO, JournalEntry, What, answering
from manager.model.verdicts import Pulse, summarise
from manager.observe.clock_jumps import Instant, was_late
from manager.observe.lease import Lease
from manager.observe.poller import Poller, RedisLink, RoundFacts
from manager.observe.servers import ServerWatch
from manager.report.heartbeat import Beat, erase_beat, write_beat
from manager.report.reporter import Reporter
from manager.settings import ManagerSettings, tuned
from manager.supervisord.async_client import Supervisor
from tickfleet._util.clock import Clock
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.version import VERSION

if TYPE_CHECKING:
    from common.redis.redis_py import AsyncRedis

FAREWELL_LIMIT_S = 2.0
"""For the last words to Redis; well below the ``stopwaitsecs`` that supervisord grants the manager."""


class Loop:
    """Runs a round each second until it is cancelled.

    Args:
        wanted: The fleet to begin with, and where it comes from.
        connect: Makes a client for Redis.
        reconciler: Keeps supervisord's programs in line.
        settings: The limits where the fleet file does not say otherwise.
        reporter: Tells others how we are.
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        connect: "Callable[[RedisConfig], AsyncRedis]",
        supervisor: Supervisor,
        reconciler: Reconciler,
        clock: Clock,
        settings: ManagerSettings,
        reporter: Reporter,
    ) -> None:
        self._wanted, self._connect, self._reporter = wanted, connect, reporter
        self._reconciler, self._clock, self._defaults = reconciler, clock, settings
        redis, tuning = wanted.desired.fleet.redis, wanted.desired.fleet.tuning
        self._settings = settings = tuned(tuning, settings)
        self._link = RedisLink(redis, connect(redis))
        self._poller = Poller(supervisor, clock)
        self._memory = Memory(settings, reporter)
        self._tide, self._servers = reporter.tide, ServerWatch(clock)
        self._lease, self._incidents = Lease(clock), Incidents(clock, settings)
        self._executor = Executor(supervisor, clock, self._memory.note)
        self._judge = Evaluation(settings)
        self._beat, self._rival = Beat(clock.now_ns(), wanted.path), Rival(wanted, clock)
        self._summary: dict[str, int] = {}  # of the last judgement
        self._instant = self._now()
        self._request_ids = list[str]()  # requests to reload: ids of the journal
        self.reload_wanted = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled. SIGHUP reads the fleet file again."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload_wanted.set)
        if revival := self._reporter.revival():
            self._memory.note(revival)
        self._tell(What.MANAGER_STARTED, details={"pid": str(os.getpid()), "version": VERSION})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reporter.run(lambda: self._link))
                while True:
                    heed_cancellation()
                    began_s = self._clock.monotonic_s()
                    await self.round(tasks)
                    await self._pause(self._round_s() - (self._clock.monotonic_s() - began_s))
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            await self._farewell()

    async def round(self, tasks: asyncio.TaskGroup) -> None:
        """One round; actions are started in ``tasks``."""
        await self._round(tasks)
        self._reporter.turned(self._poller, leading=self._lease.leading, rival=self._rival.why)

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        if self.reload_wanted.is_set():
            self.reload_wanted.clear()
            await self._reload()
        looked, began = self._instant, self._now()
        busy = self._executor.busy  # before the look: what ends during it may have been seen as it was before
        ids = [config.id for config in self._wanted.desired.fleet.collectors]
        facts = await self._poller.read_facts(self._link, ids, self._settings.unwatched_s)
        self._instant = self._now()
        if facts.pulses is not None:
            link = self._link
            await self._lead()
            if self._link is not link:  # the file names another Redis: nothing that was seen is of that one
                return
        noticed = self._incidents.of_round(self._lease, self._poller.redis_trouble, facts.pulses, self._rival.why)
        for entry in (*noticed, *self._reporter.cuts()):
            self._memory.note(entry)
        for entry in self._incidents.of_writes(self._lease, self._poller.writes.no_writes):
            self._memory.note(entry)
        if facts.pulses is not None and self._wanted.hear(facts.changes, facts.changes_refused):
            self._reconciler.want()
        if facts.processes is not None and self._wanted.sure and self._lease.may_act:
            fleet = self._wanted.desired.fleet
            if self._reconciler.keep(fleet, facts.processes, self._executor, tasks.create_task):
                self._wanted.record_anew()
        if facts.pulses is None:
            self._reporter.report_judgements(
                self._wanted.desired.explained(blind(self._wanted.desired.fleet.collectors))
            )
            return
        if not self._lease.leading:  # another manager acts
            self._reporter.stood_by()
            await self._record()
            return
        if self._was_late(looked, began, self._instant):
            self._poller.watch_anew()
            get_logger().warning("manager_late", pause_s=round(self._instant.monotonic_s - looked.monotonic_s, 1))
            # what was read may be old: look again before anything follows from it
        elif await self._memory.recall(self._link):
            self._judge_and_act(facts, facts.pulses, busy, tasks)
        await self._wanted.record()
        await self._wanted.tidy(self._link)
        self._take_requests()
        await self._record()

    async def _lead(self) -> None:
        """Take or renew the lease; what another manager has written or applied meanwhile is read anew."""
        led = self._lease.leading
        try:
            if not led:
                await self._rival.read_heartbeat(self._link, self._beat.mark)
            if self._rival.why:
                self._lease.stand_back()
            else:
                await self._lease.hold(self._link)
        except RedisUnreachableError as error:
            self._poller.write_failed(error)
        if self._lease.leading and not led:
            self._memory.forget()
            self._wanted.doubt_file()
            if await self._take_file({}):
                self._reconciler.want()

    def _was_late(self, looked: Instant, began: Instant, ended: Instant) -> bool:
        """Whether we were late: since the last look, or within this one by more than others may delay us."""
        settings = self._settings
        return was_late(looked, began, settings) or was_late(began, ended, settings, settings.look_may_take_s)

    def _judge_and_act(
        self,
        facts: RoundFacts,
        pulses: dict[CollectorId, Pulse],
        busy: frozenset[CollectorId],
        tasks: asyncio.TaskGroup,
    ) -> None:
        for entry in self._incidents.versions(pulses, self._memory.last(What.VERSIONS_SEEN)):
            self._memory.note(entry)
        refused = self._poller.writes.refused
        conditions = Conditions(settling=self._settling(), refused=refused, busy=self._executor.busy | busy)
        seen = Observation(
            at=self._instant,
            desired=tuple(config for config in self._wanted.desired.fleet.collectors if config.id in pulses),
            pulses=pulses,
            processes=facts.processes,
            restarting=self._executor.restarting,
            no_writes=self._poller.writes.no_writes,
            watched_since_s=self._poller.watched_since_s,
            explain=self._wanted.desired.explained,
        )
        result = self._judge.judge(seen, self._memory, conditions)
        log_entries(result.entries)
        judgements = result.judgements
        if self._lease.may_act:
            for action in self._judge.decide(judgements, self._memory, self._instant.wall_ns, conditions):
                self._executor.start(action, tasks.create_task)
        self._summary = summarise(judgements)
        self._reporter.report_judgements(judgements)

    def _settling(self) -> bool:
        return self._instant.monotonic_s - self._poller.watched_since_s < self._settings.settle_s

    async def _record(self) -> None:
        """Write the journal and our own heartbeat, even without news: the heartbeat shows that we are alive.

        The heartbeat is that of the manager that acts; one that looks on writes none.
        """
        now_ns, memory = self._clock.now_ns(), self._memory
        left_alone = parked(memory.history, now_ns, self._settings)
        no_writes = self._poller.writes.no_writes
        overlays = overlays_of(
            memory.outages, memory.history, now_ns, self._settings, no_writes, settling=self._settling()
        )
        try:
            await self._memory.save(self._link)
            if self._lease.leading:
                fields = self._beat.fields(now_ns, self._trouble(), self._summary, left_alone, overlays)
                fields.update(metrics_port=self._reporter.port, fleet_id=self._wanted.fleet_id)
                self._reporter.beaten(fields)
                with translated_errors(self._link.config):
                    await write_beat(self._link.client, fields)
                await self._watch_redis()
        except RedisUnreachableError as error:
            self._poller.write_failed(error)
        else:
            self._poller.write_done()

    async def _watch_redis(self) -> None:
        """Note whether Redis has lost what we wrote, and which server it is.

        Raises:
            RedisUnreachableError: It does not answer.
        """
        memory = self._memory
        if rewound := await self._tide.write(self._link):
            memory.note(rewound)
        if memory.known and (serves := await self._servers.read_change(self._link, memory.last(What.REDIS_SERVES))):
            memory.note(serves)
            self._poller.watch_anew()

    def _trouble(self) -> str:
        parts = (self._reconciler, self._memory, self._lease, self._tide, self._reporter)
        found = (
            self._poller.writes.trouble,
            self._wanted.trouble,
            self._poller.supervisor_trouble,
            *(part.trouble for part in parts),
        )
        return next(filter(None, found), "")

    def _take_requests(self) -> None:
        for request in self._memory.take_requests():
            if request.entry.details.get("command") == APPLY:
                self._request_ids.append(request.entry_id)
                self.reload_wanted.set()

    async def _reload(self) -> None:
        """Do what was asked for: take up the fleet file, and say what came of it."""
        request_ids, self._request_ids = self._request_ids, []
        self._rival.forget()
        if await self._take_file(answering(request_ids)):
            self._reconciler.want_told(request_ids)

    async def _take_file(self, answers: dict[str, str]) -> bool:
        """Read the fleet file again; returns whether it could be used. A file that cannot be used changes nothing."""
        if why := self._wanted.take_file():
            get_logger().error("fleet_rejected", why=why)
            self._tell(What.FLEET_REJECTED, why, answers)
            return False
        redis = self._wanted.desired.fleet.redis
        if redis != self._link.config:
            await self._link.client.aclose()
            self._link = RedisLink(redis, self._connect(redis))
            self._poller.watch_anew()
            self._wanted.forget()
        self._settings = tuned(self._wanted.desired.fleet.tuning, self._defaults)
        self._judge.settings = self._memory.settings = self._settings
        return True

    def _round_s(self) -> float:
        ending = self._poller.supervisor_ending
        return self._settings.ending_round_s if ending else self._settings.round_every_s

    async def _pause(self, remaining_s: float) -> None:
        """Wait for the next round; an order to reload ends the wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, remaining_s)):
                await self.reload_wanted.wait()

    async def _farewell(self) -> None:
        """Report that we stop, so that nobody has to wait until the heartbeat expires."""
        self._tell(What.MANAGER_STOPPED)
        with suppress(RedisUnreachableError, KeyRefusedError, TimeoutError), translated_errors(self._link.config):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                await self._memory.save(self._link)
                await erase_beat(self._link.client, self._beat.mark)
                await self._lease.release(self._link)
        await self._link.client.aclose()

    def _tell(self, what: What, why: str = "", details: dict[str, str] | None = None) -> None:
        self._memory.note(JournalEntry(at_ns=self._clock.now_ns(), who=WHO, what=what, why=why, details=details or {}))

    def _now(self) -> Instant:
        return Instant(self._clock.now_ns(), self._clock.monotonic_s())
