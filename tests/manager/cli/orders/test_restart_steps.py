import pytest
from msgspec.structs import replace

from manager.cli.orders.restart_steps import Command, Restart, Step, advance, first_step
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Pulse
from tests.manager.fakes import config, heartbeat, process, pulse
from tickfleet.contract.health import WorkerState

ID = config().id
STOPPING = Restart(id=ID, step=Step.STOPPING, old_pid=4242, old_run="run-1", began_s=100.0)
COMING_UP = replace(STOPPING, step=Step.COMING_UP)
NEW = process(pid=5, state=ProcessState.STARTING)
NEW_BEAT = heartbeat(pid=5, run_id="run-2")


def gone(state: ProcessState) -> Process:
    return process(state=state, pid=0)


@pytest.mark.parametrize(
    ("found", "step", "command"),
    [
        (process(), Step.STOPPING, Command.STOP),
        (process(state=ProcessState.STARTING), Step.STOPPING, Command.STOP),
        (process(state=ProcessState.STOPPING), Step.STOPPING, Command.NOTHING),
        (gone(ProcessState.BACKOFF), Step.STOPPING, Command.NOTHING),
        (gone(ProcessState.FATAL), Step.COMING_UP, Command.START),
        (gone(ProcessState.EXITED), Step.COMING_UP, Command.START),
        (gone(ProcessState.STOPPED), Step.COMING_UP, Command.START),
    ],
)
def test_the_first_step(found: Process, step: Step, command: Command) -> None:
    restart = Restart(id=ID, step=step, old_pid=found.pid, old_run="run-1", began_s=7.0)
    assert first_step(ID, found, pulse(), 7.0) == (restart, command)


@pytest.mark.parametrize(
    ("restart", "found", "beat", "after", "command"),
    [
        (STOPPING, process(), pulse(), STOPPING, Command.NOTHING),
        (STOPPING, process(state=ProcessState.STOPPING), pulse(), STOPPING, Command.NOTHING),
        (STOPPING, gone(ProcessState.STOPPED), pulse(), COMING_UP, Command.START),
        (STOPPING, NEW, pulse(), COMING_UP, Command.NOTHING),  # somebody else started it
        (COMING_UP, NEW, Pulse(), COMING_UP, Command.NOTHING),
        (COMING_UP, NEW, pulse(), COMING_UP, Command.NOTHING),  # the old run's heartbeat
        (COMING_UP, NEW, pulse(replace(NEW_BEAT, state=WorkerState.CATCHING_UP)), COMING_UP, Command.NOTHING),
        (
            COMING_UP,
            NEW,
            pulse(NEW_BEAT),
            replace(COMING_UP, step=Step.DONE, outcome="running after 4.0 s, pid 5"),
            Command.NOTHING,
        ),
        (
            COMING_UP,
            gone(ProcessState.FATAL),
            Pulse(),
            replace(COMING_UP, step=Step.FAILED, outcome="its process ended at once (manager-cli logs okx:BTC-USDT)"),
            Command.NOTHING,
        ),
        (
            COMING_UP,
            gone(ProcessState.FATAL),
            pulse(replace(NEW_BEAT, exit_code=78, last_error="okx does not list BTC-USDT")),
            replace(COMING_UP, step=Step.FAILED, outcome="it refused its configuration: okx does not list BTC-USDT"),
            Command.NOTHING,
        ),
    ],
)
def test_the_next_step(restart: Restart, found: Process, beat: Pulse, after: Restart, command: Command) -> None:
    assert advance(restart, found, beat, 104.0, 60.0) == (after, command)


@pytest.mark.parametrize(
    ("restart", "beat", "doing"),
    [
        (STOPPING, pulse(), "stopping"),
        (COMING_UP, Pulse(), "coming up"),
        (COMING_UP, pulse(replace(NEW_BEAT, state=WorkerState.CATCHING_UP)), "catching_up"),
        (COMING_UP, pulse(replace(NEW_BEAT, state=WorkerState.CONNECTING, last_error="no")), "connecting: no"),
    ],
)
def test_too_long(restart: Restart, beat: Pulse, doing: str) -> None:
    found = process() if restart is STOPPING else NEW
    after, command = advance(restart, found, beat, 161.0, 60.0)
    assert (after.step, after.outcome, command) == (
        Step.FAILED,
        f"not running after 60 s (it is {doing})",
        Command.NOTHING,
    )


def test_what_is_over_stays_over() -> None:
    done = replace(COMING_UP, step=Step.DONE, outcome="x")
    assert advance(done, gone(ProcessState.FATAL), Pulse(), 999.0, 60.0) == (done, Command.NOTHING)
