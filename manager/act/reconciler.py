"""Keeps supervisord's programs equal to the fleet: at the start, after a change, and after a change from outside."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from common.config.environment import Environment
from common.config.fleet_file import Fleet
from common.config.worker_file import encode, worker_file
from common.process.log import get_logger
from manager.act.executor import Executor, Spawn
from manager.act.programs import Launch, render, worker_file_name
from manager.act.reconcile import Applied, carry_out, collector_name, find_differences, write_files
from manager.model.journal_entries import WHO, JournalEntry, What, answering
from manager.model.processes import Process
from manager.settings import ManagerSettings
from manager.supervisord.async_client import Supervisor
from manager.supervisord.client import SupervisorEndingError
from tickfleet._util.clock import Clock
from tickfleet.contract.identity import PROGRAM_PREFIX
from tickfleet.errors import FleetError


class Reconciler:
    """Makes supervisord's programs those of the fleet. At most one attempt is under way.

    ``launch`` tells how the workers of a fleet are started.

    Attributes:
        trouble: Why the last attempt failed, in our words; empty where it did not.
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
        self._request_ids = list[str]()
        self._in_line = False  # supervisord has what is in our files, as far as we know
        self._tried_at_s = float("-inf")
        self.trouble = ""

    def want(self) -> None:
        """The fleet has changed: apply it at once. The journal gets an entry if something had to be done."""
        self._due = True
        self._tried_at_s = float("-inf")

    def want_told(self, request_ids: Iterable[str] = ()) -> None:
        """As ``want``, but the journal gets an entry in any case.

        Args:
            request_ids: The journal's ids of the requests that this answers.
        """
        self.want()
        self._told = True
        self._request_ids.extend(request_ids)

    def keep(self, fleet: Fleet, processes: Mapping[str, Process], executor: Executor, spawn: Spawn) -> bool:
        """Begin an attempt if it is due and none is running; returns whether it began because files were missing."""
        now_s = self._clock.monotonic_s()
        if self._working or now_s - self._tried_at_s < self._settings.reapply_every_s:
            return False
        present = {program for program in processes if program.startswith(PROGRAM_PREFIX)}
        meddled = present != {config.id.program for config in fleet.collectors}
        gone = self._gone(fleet)
        if gone:
            get_logger().warning("files_gone", where=gone)
        if self._due or meddled or gone:
            self._in_line = self._in_line and not (meddled or self._told)
            self._working, self._tried_at_s = True, now_s
            spawn(self._apply(fleet, executor))
        return bool(gone)

    def _gone(self, fleet: Fleet) -> str:
        """The folder under ``var/`` in which somebody deleted what a start needs; else empty."""
        if self._due:  # they are written in any case
            return ""
        environment = self._environment
        wanted: dict[Path, set[str]] = {
            environment.logs: set(),
            environment.applied: {worker_file_name(config.id) for config in fleet.collectors},
            environment.programs: {f"{config.id.program}.conf" for config in fleet.collectors},
        }
        return next((str(folder) for folder, names in wanted.items() if not _holds(folder, names)), "")

    async def _apply(self, fleet: Fleet, executor: Executor) -> None:
        # what comes while we work begins anew
        told, request_ids, self._told, self._request_ids, self._due = self._told, self._request_ids, False, [], False
        try:
            applied = await self._bring_in_line(fleet, executor)
        except (FleetError, OSError) as error:
            self._due, self._told, self._in_line = True, told or self._told, False
            self._failed(error, executor, answering(request_ids))
            return
        finally:
            self._working = False
        mended, self.trouble = bool(self.trouble), ""
        if told or mended or not applied.nothing:  # what was told to have failed is reported to be over
            details = {
                "added": " ".join(collector_name(program) for program in applied.added),
                "changed": " ".join(collector_name(program) for program in applied.changed),
                "removed": " ".join(collector_name(program) for program in applied.removed),
            }
            executor.note(self._entry(What.FLEET_APPLIED, "", {**details, **answering(request_ids)}))
            get_logger().info("fleet_applied", **details)

    async def _bring_in_line(self, fleet: Fleet, executor: Executor) -> Applied:
        launch = self._launch(fleet)
        wanted = {config.id.program: render(config, launch) for config in fleet.collectors}
        if not await asyncio.to_thread(self._write, fleet, wanted) and self._in_line:
            return Applied()  # supervisord reads all sections in one go, which holds it up: spared for a stop or start
        plan = await find_differences(self._supervisor, wanted)
        held = [config.id for config in fleet.collectors if config.id.program in plan.changed]
        executor.hold(held)
        try:
            await carry_out(self._supervisor, plan)
        finally:
            executor.release(held)
        self._in_line = True
        return plan

    def _write(self, fleet: Fleet, sections: Mapping[str, str]) -> bool:
        """Whether a section has changed.

        Each worker's file comes before the section that names it, the logs' folder before supervisord reads either.
        """
        environment = self._environment
        contents = (worker_file(config, fleet.redis, environment) for config in fleet.collectors)
        write_files(environment.applied, {worker_file_name(each.collector.id): encode(each) for each in contents})
        environment.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return write_files(environment.programs, {f"{program}.conf": text for program, text in sections.items()})

    def _failed(self, error: FleetError | OSError, executor: Executor, answers: dict[str, str]) -> None:
        if isinstance(error, SupervisorEndingError):  # the look says so; and soon it will end us too
            return
        why = str(error) if isinstance(error, FleetError) else f"{self._environment.var} cannot be written"
        if why != self.trouble:  # tried again and again: said once
            get_logger().error("fleet_apply_failed", why=why, exc_info=error)
        if why != self.trouble or answers:
            executor.note(self._entry(What.APPLY_FAILED, why, answers))
        self.trouble = why

    def _entry(self, what: What, why: str, details: dict[str, str]) -> JournalEntry:
        return JournalEntry(at_ns=self._clock.now_ns(), who=WHO, what=what, why=why, details=details)


def _holds(folder: Path, names: set[str]) -> bool:
    try:
        return names <= {*os.listdir(folder)}
    except OSError:
        return False
