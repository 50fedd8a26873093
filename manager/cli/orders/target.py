"""Pure: has a collector come to where an order wants it?

| goal | reached when | failed when |
| --- | --- | --- |
| running | its process beats and says so | a process that was started for it has ended |
| stopped | it has no process, or supervisord does not know it | |
| gone | supervisord does not know its program | |

The manager must have heard of an order that goes through it: until then the view may show the state before the order. A
command gives up when no collector has reached its goal for too long.
"""

from collections.abc import Mapping
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

NO_START = -1


class Target(Enum):
    """Where a collector is to be."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


class Result(Struct, frozen=True, kw_only=True):
    """How an order ended for one collector; ``outcome`` is for people."""

    id: CollectorId
    done: bool
    outcome: str


class Task(Struct, frozen=True, kw_only=True):
    """One collector on its way.

    Attributes:
        began_s: When the order was given (monotonic).
        unheard: The manager has to hear of it first.
        old_run: The run before the order, which does not count; empty if any run counts.
        old_start_s: The process' last start before the order, by supervisord's clock; 0 if there was none. ``NO_START``
            if it was started since: then every end is the end of that newer run.
        hint: What to do where it refuses its configuration.
    """

    id: CollectorId
    target: Target
    began_s: float
    unheard: bool = True
    old_run: str = ""
    old_start_s: int = 0
    hint: str = ""


def look_at(task: Task, process: Process | None, pulse: Pulse, now_s: float) -> Result | None:
    """How it ended; None while it is on its way."""
    if task.unheard:
        return None
    took = f"after {now_s - task.began_s:.1f} s"
    if task.target is Target.GONE:
        return None if process else _done(task, f"gone {took}; its streams stay")
    if task.target is Target.STOPPED:
        stopped = process is None or process.state in STARTABLE
        return _done(task, f"stopped {took}") if stopped else None
    if process is None:
        return None
    if process.state in STARTABLE:
        tried = process.started_s not in (0, task.old_start_s)
        return failed(task, _why_it_ended(task, pulse)) if tried else None
    heartbeat = pulse.heartbeat
    if heartbeat is None or heartbeat.pid != process.pid or heartbeat.run_id == task.old_run:
        return None
    running = heartbeat.state is WorkerState.RUNNING and not pulse.expired
    return _done(task, f"running {took}, pid {process.pid}") if running else None


def failed(task: Task, why: str) -> Result:
    """The result for a collector that will not reach its goal."""
    return Result(id=task.id, done=False, outcome=why)


def too_late(task: Task, process: Process | None, pulse: Pulse, limit_s: float) -> Result:
    """The result for a collector after the time limit."""
    if task.unheard:
        return failed(task, f"the manager has not taken it up within {span(limit_s)} (manager-cli status)")
    if process is None:
        return failed(task, f"supervisord has not known its program for {span(limit_s)} (manager-cli plan)")
    beats = pulse.heartbeat is not None and pulse.heartbeat.pid == process.pid
    doing = reason(process, pulse) if beats else process.state.value.lower()
    return failed(task, f"not {task.target.value} after {span(limit_s)} (it is {doing}; manager-cli why {task.id})")


def _done(task: Task, outcome: str) -> Result:
    return Result(id=task.id, done=True, outcome=outcome)


def _why_it_ended(task: Task, pulse: Pulse) -> str:
    heartbeat = pulse.heartbeat
    if heartbeat is not None and heartbeat.run_id != task.old_run and heartbeat.exit_code == EXIT_BAD_CONFIGURATION:
        hint = f" ({task.hint})" if task.hint else ""
        return f"it refused its configuration: {one_line(heartbeat.last_error)}{hint}"
    return f"its process ended at once (manager-cli logs {task.id})"


class Ear(Struct, frozen=True, kw_only=True):
    """Knows whether the manager has read Redis since it was last asked something.

    The round that was running then may have read Redis before; the next round cannot. So the second beat is the proof.
    """

    mark: tuple[str, str]
    beats: int

    def listen(self, manager: Mapping[str, str]) -> "tuple[Ear, bool]":
        """The new ``Ear`` after a look at the manager's heartbeat, and whether the manager has heard."""
        now = ear_at(manager)
        if now.mark != self.mark:  # another manager, which may have looked before it first beat
            return now, False
        return self, now.beats >= self.beats + 2


def ear_at(manager: Mapping[str, str]) -> Ear:
    """An ear for what is asked now, by the manager's heartbeat."""
    beats = manager.get("beats", "")
    return Ear(
        mark=(manager.get("pid", ""), manager.get("started_at", "")),
        beats=int(beats) if beats.isascii() and beats.isdigit() and len(beats) < 20 else 0,
    )


def heard(task: Task) -> Task:
    """The task when the manager has heard of it."""
    return replace(task, unheard=False)
