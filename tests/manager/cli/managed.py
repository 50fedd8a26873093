"""manager-cli with a manager at work, all in memory: time passes for both while a command waits."""

import asyncio
import re
from pathlib import Path

import fakeredis
from msgspec.structs import replace
from structlog.testing import capture_logs

from common.config.fleet_file import Fleet, load_wanted_fleet
from common.config.taken_file import write_taken
from common.config.worker_file import decode
from manager.act.programs import Launch
from manager.act.reconciler import Reconciler
from manager.cli.context import Tools
from manager.desired.source import Wanted
from manager.loop import Loop
from manager.model.processes import ProcessState
from manager.report.reporter import Reporter
from manager.settings import ManagerSettings
from tests.manager.cli.stage import CliStage
from tests.manager.fakes import AsyncFakeSupervisor, heartbeat
from tests.manager.filing_supervisor import FilingSupervisor
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState


class ManagedStage(CliStage):
    """manager-cli beside a manager that has a round each second; collectors run as the files say that it has written.

    Attributes:
        manager: None while it is down.
        refusing: Symbols whose collectors refuse their configuration when they start.
        crashing: Symbols whose collectors end at once.
        patience_s: A command that waits longer is taken to hang.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.supervisor: FilingSupervisor = FilingSupervisor(self.clock, self.environment.programs)
        self.tools: Tools = replace(self.tools, wait=self._pass)
        self._events = asyncio.new_event_loop()
        self._due_s = self.clock.passed_s
        self.refusing, self.crashing = set[str](), set[str]()
        self.patience_s = 300.0
        self.manager: Loop | None = None

    def close(self) -> None:
        """End what belongs to the stage."""
        self.redis.close()
        self._events.close()

    def start_manager(self, rounds: int = 6) -> None:
        """A manager that knows nothing yet; it has had some rounds."""
        environment, settings = self.environment, ManagerSettings()
        supervisor = AsyncFakeSupervisor(self.supervisor)
        launch = Launch(
            command=("/w",),
            applied=environment.applied,
            root=environment.root,
            logs=environment.logs,
            redis_id="1",
        )

        def load() -> Fleet:
            return load_wanted_fleet(environment.fleet_path, environment)

        self.redis.delete(keys.FLEET_LEASE)
        self.manager = Loop(
            Wanted(load(), str(environment.fleet_path), load, record=lambda taken: write_taken(taken, environment)),
            connect=lambda _: fakeredis.FakeAsyncRedis(server=self.server, decode_responses=True),
            supervisor=supervisor,
            reconciler=Reconciler(environment, lambda _: launch, supervisor, self.clock, settings),
            clock=self.clock,
            settings=settings,
            reporter=Reporter(environment.var, self.clock, settings),
        )
        self.rounds(rounds)

    def stop_manager(self) -> None:
        """It ends, and its heartbeat with it."""
        self.manager = None
        self.redis.delete(keys.FLEET_MANAGER)

    def rounds(self, count: int) -> None:
        """Let so many seconds pass."""
        for _ in range(count * 5):
            self._pass(0.2)

    def pids(self) -> dict[str, int]:
        """The process of each collector, by supervisord."""
        return {name.removeprefix("collector-okx-"): found.pid for name, found in self.supervisor.table.items()}

    def _pass(self, seconds: float) -> None:
        self.patience_s -= seconds
        assert self.patience_s > 0, "the command waits for ever"
        self.clock.move(seconds)
        self._run_collectors()
        if self.manager is not None and self.clock.passed_s >= self._due_s:
            self._due_s = self.clock.passed_s + 1.0
            self._events.run_until_complete(self._round(self.manager))

    async def _round(self, manager: Loop) -> None:
        with capture_logs():  # they would stand among the command's output
            async with asyncio.TaskGroup() as tasks:
                await manager.round(tasks)

    def _run_collectors(self) -> None:
        for program, found in list(self.supervisor.table.items()):
            if not found.alive:
                continue
            config = decode(self.environment.applied / f"{program}.json").collector
            key, now_ns = keys.heartbeat(config.id), self.clock.now_ns()
            facts = {"pid": found.pid, "run_id": str(found.pid), "beats": round(self.clock.passed_s * 10)}
            if config.symbol in self.refusing:
                beat = heartbeat(config, now_ns, **facts, state=WorkerState.ERROR, exit_code=78, last_error="unknown")
            else:
                beat = heartbeat(config, now_ns, **facts)
            if config.symbol in self.refusing | self.crashing:
                self.supervisor.end(program, ProcessState.FATAL)
            if config.symbol not in self.crashing:
                self.redis.delete(key)
                self.redis.hset(key, mapping=dict(beat.to_fields()))


def timeless(text: str) -> str:
    """What a command said, without how long it took: where in its second the manager is, is no matter."""
    return re.sub(r"after \d+\.\d s", "after a while", text)
