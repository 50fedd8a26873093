from typing import Any

import pytest

from common.health import BookState, WorkerState
from manager.settings import ManagerSettings
from manager.steadiness import Steadiness
from manager.verdicts import Judgement, Verdict
from tests.manager.fakes import config, heartbeat, process, pulse

WELL = Judgement(config=config(), verdict=Verdict.HEALTHY, why="data flows", pulse=pulse(), process=process())


def seen(verdict: Verdict, state: WorkerState, **changes: Any) -> Judgement:
    beat = heartbeat(state=state, **changes)
    found = process(pid=beat.pid)
    return Judgement(config=config(), verdict=verdict, why="because", pulse=pulse(beat), process=found)


def after_well(later: Judgement, passed_s: float, before: Verdict = Verdict.HEALTHY) -> tuple[Verdict, str]:
    steadiness = Steadiness(ManagerSettings())
    steadiness.steady([Judgement(config=config(), verdict=before, why="", pulse=pulse(), process=process())], 100.0)
    (judgement,) = steadiness.steady([later], 100.0 + passed_s)
    return judgement.verdict, judgement.why


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.SILENT, WorkerState.DEGRADED),
        (Verdict.STARTING, WorkerState.CONNECTING),
        (Verdict.STARTING, WorkerState.SUBSCRIBING),
        (Verdict.STARTING, WorkerState.CATCHING_UP),
    ],
)
def test_a_blip_leaves_the_verdict_as_it_was(verdict: Verdict, state: WorkerState) -> None:
    later = seen(verdict, state)
    assert after_well(later, 9.9) == (Verdict.HEALTHY, "because")
    assert after_well(later, 9.9, before=Verdict.QUIET) == (Verdict.QUIET, "because")
    assert after_well(later, 10.0) == (verdict, "because")


def test_a_stale_book_may_be_a_blip_too() -> None:
    stale = seen(Verdict.SILENT, WorkerState.RUNNING, book_state=BookState.STALE)
    assert after_well(stale, 1) == (Verdict.HEALTHY, "because")
    assert after_well(stale, 10) == (Verdict.SILENT, "because")


@pytest.mark.parametrize(
    "later",
    [
        seen(Verdict.SILENT, WorkerState.RUNNING),  # the silence itself has lasted long enough
        seen(Verdict.HUNG, WorkerState.DEGRADED),
        seen(Verdict.DEAD, WorkerState.CONNECTING),
        seen(Verdict.STARTING, WorkerState.CONNECTING, run_id="run-2", pid=5),
        Judgement(  # a new process, and the heartbeat of the one before
            config=config(),
            verdict=Verdict.STARTING,
            why="because",
            pulse=pulse(heartbeat(state=WorkerState.DEGRADED)),
            process=process(pid=5),
        ),
        Judgement(config=config(), verdict=Verdict.STARTING, why="because", process=process()),
    ],
)
def test_what_is_no_blip_is_told_at_once(later: Judgement) -> None:
    assert after_well(later, 1) == (later.verdict, "because")


@pytest.mark.parametrize(("state", "limit_s"), [(WorkerState.CONNECTING, 30), (WorkerState.CATCHING_UP, 120)])
def test_whose_connections_never_last_is_not_starting_for_ever(state: WorkerState, limit_s: int) -> None:
    steadiness, flapping = Steadiness(ManagerSettings()), seen(Verdict.STARTING, state)
    verdicts = [steadiness.steady([flapping], 100.0 + passed_s)[0] for passed_s in (0, limit_s - 1, limit_s)]
    assert [judgement.verdict for judgement in verdicts] == [Verdict.STARTING, Verdict.STARTING, Verdict.SILENT]
    assert verdicts[-1].why == f"not running for {'30 s' if limit_s == 30 else '2 min'}: because"


def test_who_has_left_the_fleet_is_forgotten() -> None:
    steadiness, later = Steadiness(ManagerSettings()), seen(Verdict.SILENT, WorkerState.DEGRADED)
    steadiness.steady([WELL], 100.0)
    steadiness.steady([], 101.0)
    assert steadiness.steady([later], 102.0) == [later]
