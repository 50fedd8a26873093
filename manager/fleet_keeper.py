"""Keeps supervisord's programs in line with the fleet: at the start, after a change, and when somebody meddles."""

import asyncio
from collections.abc import Callable, Mapping

from common.clock import Clock
from common.errors import FleetError
from common.fleet_file import Fleet
from common.identity import PROGRAM_PREFIX
from common.log import get_logger
from common.settings import Environment
from manager.hands import WHO, Hands, Spawn
from manager.journal import Entry, What
from manager.processes import Process
from manager.programs import Launch, render
from manager.reconcile import Applied, carry_out, collector_name, find_differences, write_programs
from manager.settings import ManagerSettings
from manager.supervisor_async import Supervisor
from manager.supervisor_client import SupervisorEndingError


class FleetKeeper:
    """See the module. At most one attempt is under way. ``launch`` tells how the workers of a fleet are started.

    Attributes:
        trouble: Why the last attempt failed, a phrase of ours; empty where it did not.
    """

    def __init__(
        self,
        environment: Environment,
        launch: Callable[[Fleet], Launch],
        supervisor: Supervisor,
        clock: Clock,
        settings: ManagerSettings,
    ) -> None:
        self._environment, self._launch = environment, launch
        self._supervisor, self._clock, self._settings = supervisor, clock, settings
        self._due, self._told, self._working = True, False, False
        self._tried_at_s = float("-inf")
        self.trouble = ""

    def want(self) -> None:
        """The fleet has changed: apply it, and say in the journal that it was, even if nothing had to be done."""
        self._due = self._told = True
        self._tried_at_s = float("-inf")

    def keep(self, fleet: Fleet, processes: Mapping[str, Process], hands: Hands, spawn: Spawn) -> None:
        """Begin an attempt where one is due and none is under way."""
        now_s = self._clock.monotonic_s()
        if self._working or now_s - self._tried_at_s < self._settings.reapply_every_s:
            return
        present = {program for program in processes if program.startswith(PROGRAM_PREFIX)}
        if self._due or present != {config.id.program for config in fleet.collectors}:
            self._working, self._tried_at_s = True, now_s
            spawn(self._apply(fleet, hands))

    async def _apply(self, fleet: Fleet, hands: Hands) -> None:
        told, self._told, self._due = self._told, False, False  # a change that comes while we work sets them again
        try:
            applied = await self._bring_in_line(fleet, hands)
        except (FleetError, OSError) as error:
            self._due, self._told = True, told or self._told
            self._failed(error, hands)
            return
        finally:
            self._working = False
        self.trouble = ""
        if told or not applied.nothing:
            details = {
                "added": " ".join(collector_name(program) for program in applied.added),
                "changed": " ".join(collector_name(program) for program in applied.changed),
                "removed": " ".join(collector_name(program) for program in applied.removed),
            }
            hands.note(self._entry(What.FLEET_APPLIED, "", details))
            get_logger().info("fleet_applied", **details)

    async def _bring_in_line(self, fleet: Fleet, hands: Hands) -> Applied:
        launch = self._launch(fleet)
        wanted = {config.id.program: render(config, launch) for config in fleet.collectors}
        await asyncio.to_thread(write_programs, self._environment.programs, self._environment.logs, wanted)
        plan = await find_differences(self._supervisor, wanted)
        held = [config.id for config in fleet.collectors if config.id.program in plan.changed]
        hands.hold(held)
        try:
            await carry_out(self._supervisor, plan)
        finally:
            hands.release(held)
        return plan

    def _failed(self, error: FleetError | OSError, hands: Hands) -> None:
        if isinstance(error, SupervisorEndingError):  # the look says so; and soon it will end us too
            return
        phrase = str(error) if isinstance(error, FleetError) else f"{self._environment.programs} cannot be written"
        if phrase != self.trouble:  # tried again and again: said once
            get_logger().error("fleet_apply_failed", why=phrase, exc_info=error)
            hands.note(self._entry(What.APPLY_FAILED, phrase, {}))
        self.trouble = phrase

    def _entry(self, what: What, why: str, details: dict[str, str]) -> Entry:
        return Entry(at_ns=self._clock.now_ns(), who=WHO, what=what, why=why, details=details)
