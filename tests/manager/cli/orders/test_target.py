from typing import Any

import pytest

from manager.cli.orders.target import NO_START, Ear, Result, Target, Task, ear_at, heard, look_at, too_late
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Pulse
from tests.manager.fakes import heartbeat, process, pulse
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId

BTC = CollectorId("okx", "BTC-USDT")
STARTED_S = 1_799_999_400  # of ``process()``


def task(target: Target = Target.RUNNING, **more: Any) -> Task:
    return Task(**{"id": BTC, "target": target, "began_s": 10.0, "unheard": False, **more})


DEAD = process(state=ProcessState.FATAL, pid=0)
REFUSED = pulse(heartbeat(exit_code=78, last_error="no such symbol", pid=4242, run_id="new"))


@pytest.mark.parametrize(
    ("given", "found", "beats", "outcome"),
    [
        (task(), process(), pulse(), "running after 2.0 s, pid 4242"),
        (task(old_run="run-0"), process(), pulse(), "running after 2.0 s, pid 4242"),
        (task(Target.STOPPED), process(state=ProcessState.STOPPED, pid=0), pulse(), "stopped after 2.0 s"),
        (task(Target.STOPPED), DEAD, pulse(), "stopped after 2.0 s"),
        (task(Target.STOPPED), None, Pulse(), "stopped after 2.0 s"),
        (task(Target.GONE), None, pulse(), "gone after 2.0 s; its streams stay"),
    ],
)
def test_it_is_there(given: Task, found: Process | None, beats: Pulse, outcome: str) -> None:
    assert look_at(given, found, beats, 12.0) == Result(id=BTC, done=True, outcome=outcome)


@pytest.mark.parametrize(
    ("given", "found", "beats"),
    [
        (task(unheard=True), process(), pulse()),
        (task(Target.STOPPED, unheard=True), None, Pulse()),
        (task(Target.GONE, unheard=True), None, Pulse()),
        (task(old_run="run-1"), process(), pulse()),
        (task(), process(), Pulse()),
        (task(), process(), pulse(heartbeat(pid=7))),
        (task(), process(), pulse(heartbeat(state=WorkerState.CATCHING_UP))),
        (task(), process(), pulse(expired=True)),
        (task(), None, pulse()),
        (task(old_start_s=STARTED_S), DEAD, REFUSED),
        (task(), process(state=ProcessState.STOPPED, pid=0, started_s=0), Pulse()),
        (task(Target.STOPPED), process(), pulse()),
        (task(Target.STOPPED), process(state=ProcessState.STOPPING), pulse()),
        (task(Target.STOPPED), process(state=ProcessState.BACKOFF), pulse()),
        (task(Target.GONE), process(state=ProcessState.STOPPED, pid=0), pulse()),
    ],
)
def test_it_is_on_its_way(given: Task, found: Process | None, beats: Pulse) -> None:
    assert look_at(given, found, beats, 12.0) is None


@pytest.mark.parametrize(
    ("given", "beats", "why"),
    [
        (task(old_start_s=7), pulse(), "its process ended at once (manager-cli logs okx:BTC-USDT)"),
        (task(old_start_s=NO_START), REFUSED, "it refused its configuration: no such symbol"),
        (task(old_run="new"), REFUSED, "its process ended at once (manager-cli logs okx:BTC-USDT)"),
        (task(hint="do that"), REFUSED, "it refused its configuration: no such symbol (do that)"),
    ],
)
def test_it_will_not_come(given: Task, beats: Pulse, why: str) -> None:
    assert look_at(given, DEAD, beats, 12.0) == Result(id=BTC, done=False, outcome=why)


@pytest.mark.parametrize(
    ("given", "found", "beats", "why"),
    [
        (task(unheard=True), process(), pulse(), "the manager has not taken it up within 90 s (manager-cli status)"),
        (task(), None, Pulse(), "supervisord has not known its program for 90 s (manager-cli plan)"),
        (
            task(),
            process(),
            pulse(heartbeat(state=WorkerState.CONNECTING)),
            "not running after 90 s (it is connecting; manager-cli why okx:BTC-USDT)",
        ),
        (task(), process(), Pulse(), "not running after 90 s (it is running; manager-cli why okx:BTC-USDT)"),
        (
            task(Target.STOPPED),
            process(state=ProcessState.STOPPING),
            pulse(heartbeat(pid=7)),
            "not stopped after 90 s (it is stopping; manager-cli why okx:BTC-USDT)",
        ),
    ],
)
def test_it_is_given_up(given: Task, found: Process | None, beats: Pulse, why: str) -> None:
    assert too_late(given, found, beats, 90) == Result(id=BTC, done=False, outcome=why)


def beat(beats: str, pid: str = "7") -> dict[str, str]:
    return {"pid": pid, "started_at": "1", "beats": beats}


def test_the_second_beat_tells_that_the_manager_has_looked_again() -> None:
    ear = ear_at(beat("5"))
    assert [ear.listen(beat(text)) for text in ("5", "6", "7", "9")] == [
        (ear, False),
        (ear, False),
        (ear, True),
        (ear, True),
    ]


def test_another_manager_has_to_beat_twice_anew() -> None:
    ear = ear_at(beat("5"))
    other, told = ear.listen(beat("90", pid="8"))
    assert (other, told) == (Ear(mark=("8", "1"), beats=90), False)
    assert (other.listen(beat("91", pid="8"))[1], other.listen(beat("92", pid="8"))[1]) == (False, True)


@pytest.mark.parametrize("fields", [{}, {"beats": "many"}, {"beats": "9" * 5000}])
def test_a_heartbeat_that_makes_no_sense_tells_nothing(fields: dict[str, str]) -> None:
    assert ear_at({}).listen(fields) == (Ear(mark=("", ""), beats=0), False)


def test_heard() -> None:
    assert heard(task(unheard=True)) == task()
