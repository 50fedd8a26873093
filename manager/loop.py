"""The manager's loop: each second it looks, judges, decides, acts and records.

All it knows can be rebuilt: what should be is in the fleet file, what is in Redis and supervisord, and what was in the
journal. Actions run beside the loop, so that a slow one does not stop it.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from common.clock import Clock
from common.config import RedisConfig
from common.errors import FleetError, RedisUnreachableError
from common.fleet_file import Fleet
from common.identity import CollectorId
from common.log import get_logger
from common.redis_client import translated_errors
from manager.assess import assess
from manager.beat import Beat, erase_beat, write_beat
from manager.fleet_keeper import FleetKeeper
from manager.hands import WHO, Hands
from manager.history import observe, parked
from manager.journal import Entry, What
from manager.memory import Memory
from manager.pace import Instant, was_late
from manager.policy import Conditions, decide
from manager.senses import Facts, RedisLink, Senses
from manager.settings import ManagerSettings
from manager.steadiness import Steadiness
from manager.supervisor_async import Supervisor
from manager.verdicts import Pulse, Verdict, summarise

if TYPE_CHECKING:
    from common.redis_client import AsyncRedis

_NO_ALARM = frozenset({Verdict.HEALTHY.value, Verdict.STARTING.value, Verdict.DISABLED.value})

FAREWELL_LIMIT_S = 2.0
"""For the last words to Redis; well below the ``stopwaitsecs`` that supervisord grants the manager."""


class Loop:
    """See the module.

    Args:
        fleet: The fleet to begin with.
        load: Reads the fleet file again; raises InvalidConfigurationError.
        connect: Makes a client for Redis.
        keeper: Keeps supervisord's programs in line.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        load: Callable[[], Fleet],
        connect: "Callable[[RedisConfig], AsyncRedis]",
        supervisor: Supervisor,
        keeper: FleetKeeper,
        clock: Clock,
        settings: ManagerSettings,
    ) -> None:
        self._fleet, self._load, self._connect = fleet, load, connect
        self._keeper, self._clock, self._settings = keeper, clock, settings
        self._link = RedisLink(fleet.redis, connect(fleet.redis))
        self._senses = Senses(supervisor, clock)
        self._memory = Memory(settings)
        self._hands = Hands(supervisor, clock, self._memory.note)
        self._steadiness = Steadiness(settings)
        self._beat = Beat(clock.now_ns())
        self._summary: dict[str, int] = {}  # of the last judgement
        self._instant = self._now()
        self._late_at_s = float("-inf")
        self._file_trouble = ""
        self.reload_wanted = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled. SIGHUP reads the fleet file again."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload_wanted.set)
        self._tell(What.MANAGER_STARTED)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    began_s = self._clock.monotonic_s()
                    await self.round(tasks)
                    await self._pause(self._round_s() - (self._clock.monotonic_s() - began_s))
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            await self._farewell()

    async def round(self, tasks: asyncio.TaskGroup) -> None:
        """One round; actions are started in ``tasks``."""
        if self.reload_wanted.is_set():
            self.reload_wanted.clear()
            await self._reload()
        looked, began = self._instant, self._now()
        busy = self._hands.busy  # before the look: what ends during it may have been seen as it was before
        facts = await self._senses.look(self._link, [config.id for config in self._fleet.collectors])
        if facts.processes is not None:
            self._keeper.keep(self._fleet, facts.processes, self._hands, tasks.create_task)
        self._instant = self._now()
        if facts.pulses is None:
            return
        if self._was_late(looked, began, self._instant):
            self._late_at_s = self._instant.monotonic_s
            get_logger().warning("manager_late", pause_s=round(self._instant.monotonic_s - looked.monotonic_s, 1))
            # what was read may be old: look again before anything follows from it
        elif await self._memory.recall(self._link):
            self._judge_and_act(facts, facts.pulses, busy, tasks)
        await self._record()

    def _was_late(self, looked: Instant, began: Instant, ended: Instant) -> bool:
        """Whether we were: between the last look and this one, or in this one by more than others keep us waiting."""
        settings = self._settings
        return was_late(looked, began, settings) or was_late(began, ended, settings, settings.look_may_take_s)

    def _judge_and_act(
        self,
        facts: Facts,
        pulses: dict[CollectorId, Pulse],
        busy: frozenset[CollectorId],
        tasks: asyncio.TaskGroup,
    ) -> None:
        history = self._memory.history
        now_ns, settings = self._instant.wall_ns, self._settings
        left_alone = parked(history, now_ns, settings)
        judgements = assess(self._fleet.collectors, pulses, facts.processes, left_alone, settings)
        judgements = self._steadiness.steady(judgements, self._instant.monotonic_s)
        for entry in observe(judgements, history, now_ns, WHO):
            _log_verdict(entry)
            self._memory.note(entry)
        conditions = Conditions(settling=self._settling(), busy=self._hands.busy | busy)
        for action in decide(judgements, self._memory.history, now_ns, conditions, settings):
            self._hands.begin(action, tasks.create_task)
        self._summary = summarise(judgements)

    def _settling(self) -> bool:
        now_s, settings = self._instant.monotonic_s, self._settings
        redis_settling = now_s - self._senses.redis_back_at_s < settings.redis_settle_s
        return redis_settling or now_s - self._late_at_s < settings.late_settle_s

    async def _record(self) -> None:
        """Write the journal and our own heartbeat; also where we know nothing new, as it says that we are there."""
        now_ns = self._clock.now_ns()
        left_alone = parked(self._memory.history, now_ns, self._settings)
        try:
            await self._memory.save(self._link)
            fields = self._beat.fields(now_ns, self._trouble(), self._summary, left_alone)
            with translated_errors(self._link.config):
                await write_beat(self._link.client, fields)
        except RedisUnreachableError as error:
            self._senses.write_failed(error)
        else:
            self._senses.write_done()

    def _trouble(self) -> str:
        found = (self._file_trouble, self._senses.supervisor_trouble, self._keeper.trouble, self._memory.trouble)
        return next(filter(None, found), "")

    async def _reload(self) -> None:
        """Take up the fleet file as it is now; one that cannot be used changes nothing."""
        try:
            fleet = self._load()
        except FleetError as error:
            self._file_trouble = str(error)
            get_logger().error("fleet_rejected", why=str(error))
            self._tell(What.FLEET_REJECTED, str(error))
            return
        self._file_trouble = ""
        if fleet.redis != self._link.config:
            await self._link.client.aclose()
            self._link = RedisLink(fleet.redis, self._connect(fleet.redis))
        self._fleet = fleet
        self._keeper.want()

    def _round_s(self) -> float:
        ending = self._senses.supervisor_ending
        return self._settings.ending_round_s if ending else self._settings.round_every_s

    async def _pause(self, remaining_s: float) -> None:
        """Wait for the next round; a wish to reload ends the wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, remaining_s)):
                await self.reload_wanted.wait()

    async def _farewell(self) -> None:
        """Say that we stop, so that nobody has to wait for the heartbeat to expire."""
        self._tell(What.MANAGER_STOPPED)
        with suppress(RedisUnreachableError, TimeoutError), translated_errors(self._link.config):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                await self._memory.save(self._link)
                await erase_beat(self._link.client, self._beat.mark)
        await self._link.client.aclose()

    def _tell(self, what: What, why: str = "") -> None:
        self._memory.note(Entry(at_ns=self._clock.now_ns(), who=WHO, what=what, why=why))

    def _now(self) -> Instant:
        return Instant(self._clock.now_ns(), self._clock.monotonic_s())


def _log_verdict(entry: Entry) -> None:
    if entry.what is What.VERDICT_CHANGED:
        log = get_logger().info if entry.details["to"] in _NO_ALARM else get_logger().warning
        log("verdict_changed", collector=entry.collector, why=entry.why, **entry.details)
