from typing import Any

import pytest

from manager.decide.debounce import Debounce
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import config, heartbeat, process, pulse
from tickfleet.contract.health import BookState, WorkerState

LIMITS = ManagerSettings()
WELL = Judgement(config=config(), verdict=Verdict.HEALTHY, why="data flows", pulse=pulse(), process=process())


def seen(verdict: Verdict, state: WorkerState, **changes: Any) -> Judgement:
    beat = heartbeat(state=state, **changes)
    found = process(pid=beat.pid)
    return Judgement(config=config(), verdict=verdict, why="because", pulse=pulse(beat), process=found)


def after_well(later: Judgement, passed_s: float, before: Verdict = Verdict.HEALTHY) -> tuple[Verdict, str]:
    debounce = Debounce()
    well = Judgement(config=config(), verdict=before, why="", pulse=pulse(), process=process())
    debounce.steady([well], 100.0, LIMITS, {})
    (judgement,) = debounce.steady([later], 100.0 + passed_s, LIMITS, {})
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


def test_a_time_in_which_nobody_looked_is_not_counted() -> None:
    """Redis was away for a minute: so the collector is degraded in the first heartbeat after that."""
    debounce, later = Debounce(), seen(Verdict.SILENT, WorkerState.DEGRADED)
    debounce.steady([WELL], 100.0, LIMITS, {})
    verdicts = [debounce.steady([later], now_s, LIMITS, {}, 160.0)[0].verdict for now_s in (160.5, 169.9, 170.0)]
    assert verdicts == [Verdict.HEALTHY, Verdict.HEALTHY, Verdict.SILENT]


def test_a_stale_book_may_be_a_blip_too() -> None:
    stale = seen(Verdict.SILENT, WorkerState.RUNNING, book_state=BookState.STALE)
    assert after_well(stale, 1) == (Verdict.HEALTHY, "because")
    assert after_well(stale, 10) == (Verdict.SILENT, "because")


def test_any_silence_may_be_a_blip_of_a_moment() -> None:
    silent = seen(Verdict.SILENT, WorkerState.RUNNING)
    assert after_well(silent, 2.9) == (Verdict.HEALTHY, "because")
    assert after_well(silent, 3.0) == (Verdict.SILENT, "because")


@pytest.mark.parametrize(
    "later",
    [
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
    debounce, flapping = Debounce(), seen(Verdict.STARTING, state)
    verdicts = [debounce.steady([flapping], 100.0 + passed_s, LIMITS, {})[0] for passed_s in (0, limit_s - 1, limit_s)]
    assert [judgement.verdict for judgement in verdicts] == [Verdict.STARTING, Verdict.STARTING, Verdict.SILENT]
    assert verdicts[-1].why == f"not running for {'30 s' if limit_s == 30 else '2 min'}: because"


def test_who_was_called_silent_is_silent_until_it_is_well_again() -> None:
    debounce, silent = Debounce(), seen(Verdict.SILENT, WorkerState.RUNNING)
    reconnecting = seen(Verdict.STARTING, WorkerState.CONNECTING)
    rounds = [WELL, silent, silent, reconnecting, WELL, reconnecting]
    told = [debounce.steady([each], 100.0 + 2 * n, LIMITS, {})[0].verdict for n, each in enumerate(rounds)]
    assert told == [
        Verdict.HEALTHY,
        Verdict.HEALTHY,
        Verdict.SILENT,
        Verdict.STARTING,  # within the grace of a blip, but this is none
        Verdict.HEALTHY,
        Verdict.HEALTHY,
    ]


def test_a_stalled_feed_is_no_blip_although_it_connects_anew() -> None:
    reconnecting = seen(Verdict.SILENT, WorkerState.CONNECTING, mute="trade")
    assert after_well(reconnecting, 2.9) == (Verdict.HEALTHY, "because")
    assert after_well(reconnecting, 3) == (Verdict.SILENT, "because")


def test_among_many_it_may_be_starting_for_longer() -> None:
    fleet = [
        Judgement(
            config=config(f"C{number}-USDT"),
            verdict=Verdict.STARTING,
            why="because",
            pulse=pulse(heartbeat(state=WorkerState.CONNECTING, progress={})),
            process=process(),
        )
        for number in range(20)
    ]
    debounce = Debounce()
    verdicts = [debounce.steady(fleet, 100.0 + passed_s, LIMITS, {})[0].verdict for passed_s in (0, 59, 60)]
    assert verdicts == [Verdict.STARTING, Verdict.STARTING, Verdict.SILENT]


@pytest.mark.parametrize(
    ("well_runs", "verdict"),
    [
        ({}, Verdict.SILENT),
        ({"okx:BTC-USDT": process().started_s}, Verdict.HEALTHY),
        ({"okx:BTC-USDT": process().started_s - 1}, Verdict.SILENT),  # another run
    ],
)
def test_a_manager_that_begins_in_a_blip_knows_who_was_well(well_runs: dict[str, int], verdict: Verdict) -> None:
    debounce, later = Debounce(), seen(Verdict.SILENT, WorkerState.DEGRADED)
    (judgement,) = debounce.steady([later], 100.0, LIMITS, well_runs)
    assert judgement.verdict is verdict
    assert debounce.steady([later], 110.0, LIMITS, well_runs) == [later]


def test_who_has_left_the_fleet_is_forgotten() -> None:
    debounce, later = Debounce(), seen(Verdict.SILENT, WorkerState.DEGRADED)
    debounce.steady([WELL], 100.0, LIMITS, {})
    debounce.steady([], 101.0, LIMITS, {})
    assert debounce.steady([later], 102.0, LIMITS, {}) == [later]
