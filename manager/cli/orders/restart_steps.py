"""Pure: the steps of restarting one collector, each decided from what supervisord and the heartbeat show.

| step | seen | next |
| --- | --- | --- |
| stopping | still the old process | stopping |
| stopping | no process | coming up, after a start |
| stopping | another process (somebody else started it) | coming up |
| coming up | its heartbeat says running | done |
| coming up | no process any more | failed |
| any | supervisord does not know the program: the manager replaces it | stopping |
| any | too long | failed |
"""

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from manager.cli.orders.progress import reason
from manager.model.formatting import one_line, span
from manager.model.processes import STARTABLE, Process
from manager.model.verdicts import Pulse
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import EXIT_BAD_CONFIGURATION


class Step(Enum):
    """How far it has come."""

    STOPPING = "stopping"
    COMING_UP = "coming up"
    DONE = "done"
    FAILED = "failed"


class Command(Enum):
    """What supervisord is to be asked for now."""

    NOTHING = "nothing"
    STOP = "stop"
    START = "start"


class Restart(Struct, frozen=True, kw_only=True):
    """One restart under way.

    Attributes:
        old_pid, old_run: The process and the run before the restart; 0 and empty if there was none.
        began_s: When it began (monotonic).
        outcome: For people, once it is done or has failed.
    """

    id: CollectorId
    step: Step
    old_pid: int
    old_run: str
    began_s: float
    outcome: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.step in (Step.DONE, Step.FAILED)


def first_step(collector: CollectorId, process: Process | None, pulse: Pulse, now_s: float) -> tuple[Restart, Command]:
    """The first step: stop what runs, else start."""
    run = pulse.heartbeat.run_id if pulse.heartbeat else ""
    if process is None:
        gone = Restart(id=collector, step=Step.STOPPING, old_pid=0, old_run=run, began_s=now_s)
        return gone, Command.NOTHING
    idle = process.state in STARTABLE
    restart = Restart(
        id=collector,
        step=Step.COMING_UP if idle else Step.STOPPING,
        old_pid=process.pid,
        old_run=run,
        began_s=now_s,
    )
    if idle:
        return restart, Command.START
    return restart, Command.STOP if process.alive else Command.NOTHING


def advance(
    restart: Restart, process: Process | None, pulse: Pulse, now_s: float, limit_s: float
) -> tuple[Restart, Command]:
    """The next step, and what to ask supervisord for."""
    if restart.over:
        return restart, Command.NOTHING
    if process is None:
        if now_s - restart.began_s > limit_s:
            return fail(restart, f"supervisord has not known its program for {span(limit_s)}"), Command.NOTHING
        return replaced(restart), Command.NOTHING
    if restart.step is Step.STOPPING:
        if process.state in STARTABLE:
            return replace(restart, step=Step.COMING_UP), Command.START
        if process.alive and process.pid != restart.old_pid:
            restart = replace(restart, step=Step.COMING_UP)
    elif process.state in STARTABLE:
        return fail(restart, _why_it_ended(restart, pulse)), Command.NOTHING
    heartbeat = pulse.heartbeat
    new = heartbeat is not None and heartbeat.pid == process.pid and heartbeat.run_id != restart.old_run
    if restart.step is Step.COMING_UP and new and heartbeat is not None and heartbeat.state is WorkerState.RUNNING:
        outcome = f"running after {now_s - restart.began_s:.1f} s, pid {process.pid}"
        return replace(restart, step=Step.DONE, outcome=outcome), Command.NOTHING
    if now_s - restart.began_s > limit_s:
        doing = reason(process, pulse) if new else restart.step.value
        return fail(restart, f"not running after {span(limit_s)} (it is {doing})"), Command.NOTHING
    return restart, Command.NOTHING


def replaced(restart: Restart) -> Restart:
    """The restart after the manager has removed the program in order to replace it: start it when it is there again."""
    return replace(restart, step=Step.STOPPING)


def fail(restart: Restart, why: str) -> Restart:
    """The restart, given up."""
    return replace(restart, step=Step.FAILED, outcome=why)


def _why_it_ended(restart: Restart, pulse: Pulse) -> str:
    heartbeat = pulse.heartbeat
    if heartbeat is not None and heartbeat.run_id != restart.old_run and heartbeat.exit_code == EXIT_BAD_CONFIGURATION:
        return f"it refused its configuration: {one_line(heartbeat.last_error)}"
    return f"its process ended at once (manager-cli logs {restart.id})"
