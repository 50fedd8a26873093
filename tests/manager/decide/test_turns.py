import pytest
from msgspec.structs import replace

from manager.decide.history import CollectorPast
from manager.decide.turns import Turns
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import S, config, process

LIMITS = ManagerSettings()
NAME = "okx:BTC-USDT"
FRESH = process(state=ProcessState.STOPPED, pid=0, started_s=0, uptime_s=0)
STOPPED = process(state=ProcessState.STOPPED, pid=0, uptime_s=0)


def dead(found: Process | None, symbol: str = "BTC-USDT") -> Judgement:
    return Judgement(config=config(symbol), verdict=Verdict.DEAD, why="because", process=found)


def verdict_of(judgement: Judgement, track: CollectorPast, *, busy: bool = False) -> tuple[str, str]:
    of = frozenset({judgement.id} if busy else ())
    (found,) = Turns().waiting([judgement], {str(judgement.id): track}, 0.0, LIMITS, of)
    return found.verdict.value, found.why


@pytest.mark.parametrize(
    ("judgement", "track", "expected"),
    [
        (dead(FRESH), CollectorPast(), ("starting", "not started yet")),
        (dead(FRESH), CollectorPast(run_started_s=5), ("starting", "not started yet")),  # supervisord was started anew
        (dead(None), CollectorPast(), ("starting", "not started yet")),  # its program is not taken up yet
        (dead(STOPPED), CollectorPast(ordered=True), ("starting", "to be started, as it was told to run")),
        (dead(None), CollectorPast(ordered=True, run_started_s=5), ("starting", "not started yet")),
        (
            dead(replace(STOPPED, started_s=50, stopped_s=60)),
            CollectorPast(verdict="unknown", ordered_ns=60 * S),
            ("starting", "to be started, as it was told to run"),
        ),
        # somebody or something has ended it
        (dead(STOPPED), CollectorPast(run_started_s=5), ("dead", "because")),
        (dead(process(state=ProcessState.FATAL, pid=0)), CollectorPast(run_started_s=5), ("dead", "because")),
        (dead(None), CollectorPast(run_started_s=5), ("dead", "because")),
        (dead(process(state=ProcessState.STOPPING)), CollectorPast(ordered=True), ("dead", "because")),
        (
            Judgement(config=config(), verdict=Verdict.CRASH_LOOPING, why="because", process=FRESH),
            CollectorPast(),
            ("crash_looping", "because"),
        ),
    ],
)
def test_who_waits_for_its_start(judgement: Judgement, track: CollectorPast, expected: tuple[str, str]) -> None:
    assert verdict_of(judgement, track) == expected


def test_whose_program_is_being_replaced_waits_too() -> None:
    assert verdict_of(dead(None), CollectorPast(run_started_s=5), busy=True) == ("starting", "not started yet")


def test_who_waits_for_longer_than_its_turn_can_take_is_dead() -> None:
    turns = Turns()
    verdicts = [turns.waiting([dead(FRESH)], {}, at_s, LIMITS)[0].verdict for at_s in (0.0, 29.9, 30.0)]
    assert verdicts == [Verdict.STARTING, Verdict.STARTING, Verdict.DEAD]
    turns.waiting([], {}, 31.0, LIMITS)
    assert turns.waiting([dead(FRESH)], {}, 32.0, LIMITS)[0].verdict is Verdict.STARTING


def test_of_many_each_waits_for_those_before_it() -> None:
    turns, many = Turns(), [dead(FRESH, f"A{number}-USDT") for number in range(200)]
    turns.waiting(many, {}, 0.0, LIMITS)
    assert {each.verdict for each in turns.waiting(many, {}, 599.0, LIMITS)} == {Verdict.STARTING}
    assert {each.verdict for each in turns.waiting(many, {}, 600.0, LIMITS)} == {Verdict.DEAD}
