from typing import Any

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.decide.assess import assess
from manager.decide.history import CollectorPast
from manager.decide.outage import Outage
from manager.decide.policy import Action, ActionKind, Conditions, decide
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Pulse, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tickfleet.contract.health import BookState, WorkerState

LIMITS = ManagerSettings()
ID = config().id
NEVER_STARTED = process(state=ProcessState.STOPPED, pid=0, started_s=0, uptime_s=0)


def ended(state: ProcessState = ProcessState.FATAL, **changes: Any) -> Process:
    return process(state=state, pid=0, uptime_s=0, **changes)


def judgement_of(
    verdict: Verdict, found: Process | None, of: ExchangeCollectorConfig | None = None, why: str = "because"
) -> Judgement:
    return Judgement(config=of or config(), verdict=verdict, why=why, process=found)


def start(of: ExchangeCollectorConfig | None = None) -> Action:
    return Action(kind=ActionKind.START, collector=(of or config()).id, why="because")


def times(*ages_s: float) -> tuple[int, ...]:
    return tuple(NOW_NS - round(age_s * S) for age_s in ages_s)


KILL = Action(kind=ActionKind.KILL, collector=ID, why="because", pid=4242)


@pytest.mark.parametrize(
    ("judgement", "track", "actions"),
    [
        (judgement_of(Verdict.HEALTHY, process()), CollectorPast(), []),
        (judgement_of(Verdict.QUIET, process()), CollectorPast(), []),
        (judgement_of(Verdict.STARTING, process()), CollectorPast(), []),
        (judgement_of(Verdict.EXCHANGE_OUTAGE, process()), CollectorPast(silent_since_ns=1), []),
        (judgement_of(Verdict.UNKNOWN, process()), CollectorPast(), []),
        (judgement_of(Verdict.MISCONFIGURED, ended()), CollectorPast(), []),
        (judgement_of(Verdict.CRASH_LOOPING, ended()), CollectorPast(), []),
        (judgement_of(Verdict.DEAD, None), CollectorPast(), []),  # supervisord away, or its program not applied yet
        (judgement_of(Verdict.DEAD, NEVER_STARTED), CollectorPast(), [start()]),
        (judgement_of(Verdict.STARTING, NEVER_STARTED), CollectorPast(), [start()]),  # it waits for its turn
        (judgement_of(Verdict.DEAD, ended(ProcessState.FATAL)), CollectorPast(), [start()]),
        (judgement_of(Verdict.DEAD, ended(ProcessState.EXITED)), CollectorPast(), [start()]),
        (judgement_of(Verdict.DEAD, ended(ProcessState.STOPPED)), CollectorPast(), [start()]),
        (judgement_of(Verdict.DEAD, ended(ProcessState.BACKOFF)), CollectorPast(), []),
        (judgement_of(Verdict.DEAD, process(state=ProcessState.STOPPING)), CollectorPast(), []),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(), [KILL]),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(killed_pid=4242, killed_at_ns=NOW_NS - 2 * S), []),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(killed_pid=4242, killed_at_ns=NOW_NS - 6 * S), [KILL]),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(killed_pid=1, killed_at_ns=NOW_NS - 2 * S), [KILL]),
        (judgement_of(Verdict.DISABLED, ended()), CollectorPast(), []),
        (judgement_of(Verdict.DISABLED, None), CollectorPast(), []),
        (
            judgement_of(Verdict.DISABLED, process()),
            CollectorPast(),
            [Action(kind=ActionKind.STOP, collector=ID, why="because", pid=4242)],
        ),
        # without restarts
        (judgement_of(Verdict.DEAD, NEVER_STARTED, config(auto_restart=False)), CollectorPast(), [start()]),
        (judgement_of(Verdict.DEAD, ended(), config(auto_restart=False)), CollectorPast(), []),
        (
            judgement_of(Verdict.DEAD, ended(), config(auto_restart=False)),
            CollectorPast(ordered=True),
            [replace(start(), why="it was told to run")],
        ),
        (  # the journal had not met its end when it was told to run: the order is younger than that
            judgement_of(Verdict.DEAD, ended(started_s=60, stopped_s=100), config(auto_restart=False)),
            CollectorPast(verdict="unknown", ordered_ns=100 * S),
            [replace(start(), why="it was told to run")],
        ),
        (  # told to run while it ran
            judgement_of(Verdict.DEAD, ended(started_s=60, stopped_s=100), config(auto_restart=False)),
            CollectorPast(verdict="healthy", ordered_ns=99 * S),
            [],
        ),
        (  # it has been started since, without an end that supervisord keeps
            judgement_of(Verdict.DEAD, ended(started_s=120, stopped_s=100), config(auto_restart=False)),
            CollectorPast(verdict="dead", ordered_ns=110 * S),
            [],
        ),
        (judgement_of(Verdict.HUNG, process(), config(auto_restart=False)), CollectorPast(), []),
        (  # who restarts it so often is a person
            judgement_of(Verdict.STARTING, process(), config(auto_restart=False)),
            CollectorPast(restarts_ns=times(36, 30, 24, 18, 12, 6)),
            [],
        ),
        # the budget
        (judgement_of(Verdict.DEAD, ended()), CollectorPast(restarts_ns=times(70, 50, 40, 30, 20)), [start()]),
        (judgement_of(Verdict.DEAD, ended()), CollectorPast(parked_until_ns=NOW_NS + S, parks=1), []),
        (judgement_of(Verdict.DEAD, ended()), CollectorPast(parked_until_ns=NOW_NS, parks=1), [start()]),
        (
            judgement_of(Verdict.DEAD, ended()),
            CollectorPast(parked_until_ns=NOW_NS + 400 * S, parks=1),
            [start()],
        ),  # clock set back
        (
            judgement_of(Verdict.DEAD, ended()),
            CollectorPast(parked_until_ns=NOW_NS - S, parks=9, tried=True, well_since_ns=NOW_NS - 600 * S),
            [start()],  # forgiven
        ),
    ],
)
def test_decisions(judgement: Judgement, track: CollectorPast, actions: list[Action]) -> None:
    assert decide([judgement], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == actions


@pytest.mark.parametrize(
    ("found", "verdict", "track", "why", "pause_s"),
    [
        (
            ended(),
            Verdict.DEAD,
            CollectorPast(restarts_ns=times(50, 40, 30, 20, 10)),
            "restarted 5 times within 60 s (because); next try at 08:00:10 UTC",
            10,
        ),
        (
            process(),
            Verdict.STARTING,  # supervisord restarts by itself what survives startsecs
            CollectorPast(restarts_ns=times(36, 30, 24, 18, 12, 6)),
            "restarted 6 times within 60 s (because); next try at 08:00:10 UTC",
            10,
        ),
        (
            ended(),
            Verdict.DEAD,
            CollectorPast(parks=2, parked_until_ns=NOW_NS - 5 * S, tried=True),
            "its try number 2 did not hold (because); next try at 08:00:40 UTC",
            40,
        ),
        (
            process(),
            Verdict.HUNG,
            CollectorPast(parks=5, parked_until_ns=NOW_NS - 5 * S, tried=True),
            "its try number 5 did not hold (because); next try at 08:05:00 UTC",
            300,
        ),
    ],
)
def test_parks(found: Process, verdict: Verdict, track: CollectorPast, why: str, pause_s: int) -> None:
    assert decide([judgement_of(verdict, found)], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == [
        Action(
            kind=ActionKind.PARK,
            collector=ID,
            why=why,
            pid=found.pid,
            until_ns=NOW_NS + pause_s * S,
            parks=track.parks + 1,
        )
    ]


def test_a_healthy_collector_is_not_parked_for_its_past() -> None:
    track = CollectorPast(restarts_ns=times(36, 30, 24, 18, 12, 6))
    assert decide([judgement_of(Verdict.HEALTHY, process())], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == []


@pytest.mark.parametrize(
    ("conditions", "actions"),
    [
        (Conditions(), [KILL]),
        (Conditions(settling=True), []),
        (Conditions(busy=frozenset({ID})), []),
    ],
)
def test_conditions_for_a_kill(conditions: Conditions, actions: list[Action]) -> None:
    assert decide([judgement_of(Verdict.HUNG, process())], {}, NOW_NS, conditions, LIMITS) == actions


def test_while_redis_settles_the_dead_are_started() -> None:
    assert decide([judgement_of(Verdict.DEAD, ended())], {}, NOW_NS, Conditions(settling=True), LIMITS) == [start()]


def test_starts_are_staggered_and_come_in_turn() -> None:
    fleet = [config(f"C{number}-USDT") for number in range(17)]
    young = process(uptime_s=3)
    judgements = [judgement_of(Verdict.STARTING, young, of) for of in fleet[:2]]  # two slots taken
    judgements += [judgement_of(Verdict.STARTING, process(uptime_s=31), fleet[2])]  # had its time
    judgements += [judgement_of(Verdict.DEAD, NEVER_STARTED, of) for of in fleet[3:]]
    history = {
        str(fleet[4].id): CollectorPast(run_started_s=NOW_NS // S - 9),
        str(fleet[5].id): CollectorPast(acted_ns=NOW_NS - 8 * S),  # its start was refused
        str(fleet[6].id): CollectorPast(run_started_s=NOW_NS // S - 10),
    }
    busy = Conditions(busy=frozenset({fleet[3].id}))  # one more slot
    assert decide(judgements[:9], history, NOW_NS, busy, LIMITS) == [start(fleet[n]) for n in (7, 8, 6, 4, 5)]
    assert decide(judgements, history, NOW_NS, busy, LIMITS) == [start(of) for of in fleet[7:14]]


def test_kills_and_restarts_wait_for_their_turn_too() -> None:
    fleet = [config(f"C{number}-USDT") for number in range(14)]
    hung = [judgement_of(Verdict.HUNG, process(), of) for of in fleet[:12]]
    history = {str(of.id): CollectorPast(run_started_s=1) for of in fleet[:12]}
    lately = CollectorPast(run_started_s=0, silent_since_ns=1)
    history[str(fleet[12].id)] = lately
    judgements = [*hung, silent(of=fleet[12]), judgement_of(Verdict.DEAD, ended(), fleet[13])]
    actions = decide(judgements, history, NOW_NS, Conditions(), LIMITS)
    assert [(action.kind, action.collector) for action in actions] == [
        (ActionKind.RESTART, fleet[12].id),
        (ActionKind.START, fleet[13].id),
        *((ActionKind.KILL, of.id) for of in fleet[:8]),
    ]


def test_a_stop_or_a_park_waits_for_nobody() -> None:
    fleet = [config(f"C{number}-USDT") for number in range(12)]
    judgements = [judgement_of(Verdict.STARTING, process(uptime_s=3), of) for of in fleet[:10]]
    judgements += [judgement_of(Verdict.DISABLED, process(), fleet[10]), judgement_of(Verdict.DEAD, ended(), fleet[11])]
    history = {str(fleet[11].id): CollectorPast(restarts_ns=times(5, 4, 3, 2, 1))}
    actions = decide(judgements, history, NOW_NS, Conditions(), LIMITS)
    assert [(action.kind, action.collector) for action in actions] == [
        (ActionKind.STOP, fleet[10].id),
        (ActionKind.PARK, fleet[11].id),
    ]


def silent(of: ExchangeCollectorConfig | None = None, found: Process | None = None, **changes: Any) -> Judgement:
    """A silent collector that is connected."""
    of = of or config()
    beat = heartbeat(of, **changes)
    return replace(judgement_of(Verdict.SILENT, found or process(of), of), pulse=pulse(beat))


RESTART = Action(kind=ActionKind.RESTART, collector=ID, why="because", pid=4242)
STAND_DOWN = Action(
    kind=ActionKind.STAND_DOWN,
    collector=ID,
    why="3 restarts did not hold (because); left alone until a person restarts it",
)
CONFIRMED = CollectorPast(silent_since_ns=NOW_NS - 60 * S)


@pytest.mark.parametrize(
    ("judgement", "track", "actions"),
    [
        (silent(), CollectorPast(), []),  # nobody knows since when
        (silent(), CollectorPast(silent_since_ns=NOW_NS - 59 * S), []),
        (silent(), CONFIRMED, [RESTART]),
        (silent(book_state=BookState.STALE), CONFIRMED, [RESTART]),
        (silent(of=config(auto_restart=False)), CONFIRMED, []),
        # the worker's own step comes first
        (silent(mute="trade", mute_reconnects=1), CONFIRMED, []),
        (silent(mute="trade", mute_reconnects=2), CONFIRMED, [RESTART]),
        # what a restart cannot cure
        (silent(state=WorkerState.CONNECTING), CONFIRMED, []),
        (silent(state=WorkerState.SUBSCRIBING, connected_since=0), CONFIRMED, []),
        (silent(state=WorkerState.SUBSCRIBING), CONFIRMED, [RESTART]),  # its sockets have confirmed and bring nothing
        (silent(state=WorkerState.CATCHING_UP), CONFIRMED, []),
        (silent(state=WorkerState.DEGRADED), CONFIRMED, []),
        # the budget
        (silent(), replace(CONFIRMED, parked_until_ns=NOW_NS + S, parks=1), []),
        (silent(), replace(CONFIRMED, restarts_ns=times(50, 40, 30, 20)), [RESTART]),
        # standing down
        (silent(), replace(CONFIRMED, recoveries=2), [RESTART]),
        (silent(), replace(CONFIRMED, recoveries=3), [STAND_DOWN]),
        (silent(), replace(CONFIRMED, recoveries=3, stood_down_ns=NOW_NS - S), []),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(recoveries=2), [KILL]),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(recoveries=3), [STAND_DOWN]),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(recoveries=3, stood_down_ns=NOW_NS - S), []),
        (judgement_of(Verdict.HUNG, process()), CollectorPast(recoveries=3, parked_until_ns=NOW_NS + S, parks=1), []),
        (judgement_of(Verdict.DEAD, ended()), CollectorPast(recoveries=3, stood_down_ns=NOW_NS - S), [start()]),
        (
            judgement_of(Verdict.HUNG, process()),
            CollectorPast(recoveries=3, stood_down_ns=NOW_NS - 900 * S, well_since_ns=NOW_NS - 600 * S),
            [KILL],  # forgiven
        ),
    ],
)
def test_recoveries(judgement: Judgement, track: CollectorPast, actions: list[Action]) -> None:
    assert decide([judgement], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == actions


@pytest.mark.parametrize("conditions", [Conditions(settling=True), Conditions(busy=frozenset({ID}))])
@pytest.mark.parametrize("track", [CONFIRMED, replace(CONFIRMED, recoveries=3)])
def test_no_recovery_where_what_we_know_may_be_old(conditions: Conditions, track: CollectorPast) -> None:
    assert decide([silent()], {str(ID): track}, NOW_NS, conditions, LIMITS) == []


FLEET = [config(f"{name}-USDT") for name in "ABC"]
OUT = [replace(silent(of=of), verdict=Verdict.EXCHANGE_OUTAGE) for of in FLEET]


def outage(**changes: Any) -> dict[str, Outage]:
    """An outage of half a minute with no probe yet, or a longer one."""
    began_ns = NOW_NS - (9000 if "probed_ns" in changes else 30) * S
    return {"okx": Outage(**{"began_ns": began_ns, **changes})}


def probed(judgements: list[Judgement], outages: dict[str, Outage], **more: Any) -> list[str]:
    """Symbols of those that are probed."""
    history, conditions = more.get("history", {}), more.get("conditions", Conditions())
    actions = decide(judgements, history, NOW_NS, conditions, LIMITS, outages)
    assert {action.kind for action in actions} <= {ActionKind.PROBE}
    return [action.collector.symbol for action in actions]


def test_a_probe_says_why() -> None:
    assert decide(OUT, {}, NOW_NS, Conditions(), LIMITS, outage()) == [
        Action(
            kind=ActionKind.PROBE,
            collector=FLEET[0].id,
            why="to see whether okx is back for a new process",
            pid=4242,
        )
    ]


@pytest.mark.parametrize(
    ("outages", "symbols"),
    [
        ({}, []),
        ({"binance": Outage(began_ns=1)}, []),
        (outage(), ["A-USDT"]),
        (outage(began_ns=NOW_NS - 29 * S), []),
        (outage(ended_ns=NOW_NS), []),
        (outage(probes=1, probed="okx:A-USDT", probed_ns=NOW_NS - 59 * S), []),
        (outage(probes=1, probed="okx:A-USDT", probed_ns=NOW_NS - 60 * S), ["B-USDT"]),
        (outage(probes=2, probed="okx:B-USDT", probed_ns=NOW_NS - 120 * S), ["C-USDT"]),
        (outage(probes=3, probed="okx:C-USDT", probed_ns=NOW_NS - 240 * S), ["A-USDT"]),
        (outage(probes=4, probed="okx:A-USDT", probed_ns=NOW_NS - 299 * S), []),
        (outage(probes=40, probed="okx:A-USDT", probed_ns=NOW_NS - 300 * S), ["B-USDT"]),
        (outage(began_ns=NOW_NS + 900 * S), ["A-USDT"]),  # the clock was set back
    ],
)
def test_probes_are_ever_rarer_and_each_time_another_one(outages: dict[str, Outage], symbols: list[str]) -> None:
    assert probed(OUT, outages) == symbols


@pytest.mark.parametrize(
    ("first", "track", "conditions", "symbols"),
    [
        (replace(OUT[0], verdict=Verdict.HEALTHY), CollectorPast(), Conditions(), ["B-USDT"]),
        (replace(OUT[0], config=config("A-USDT", auto_restart=False)), CollectorPast(), Conditions(), ["B-USDT"]),
        (replace(OUT[0], process=None), CollectorPast(), Conditions(), ["B-USDT"]),
        (OUT[0], CollectorPast(stood_down_ns=NOW_NS - S), Conditions(), ["B-USDT"]),
        (OUT[0], CollectorPast(parks=1, parked_until_ns=NOW_NS + S), Conditions(), ["B-USDT"]),
        (OUT[0], CollectorPast(restarts_ns=times(5, 4, 3, 2, 1)), Conditions(), ["B-USDT"]),
        (OUT[0], CollectorPast(), Conditions(busy=frozenset({FLEET[0].id})), ["B-USDT"]),
        (OUT[0], CollectorPast(), Conditions(settling=True), []),
        (
            replace(silent(of=FLEET[0], banned_until=NOW_NS + S), verdict=OUT[0].verdict),
            CollectorPast(),
            Conditions(),
            ["B-USDT"],
        ),
    ],
)
def test_who_may_be_a_probe(first: Judgement, track: CollectorPast, conditions: Conditions, symbols: list[str]) -> None:
    history = {"okx:A-USDT": track}
    assert probed([first, *OUT[1:]], outage(), history=history, conditions=conditions) == symbols


def test_one_probe_at_a_time() -> None:
    due = outage(probes=1, probed="okx:A-USDT", probed_ns=NOW_NS - 61 * S)
    starting = judgement_of(Verdict.STARTING, process(uptime_s=29), FLEET[0])
    assert probed([starting, *OUT[1:]], due) == []
    assert probed(OUT, due, conditions=Conditions(busy=frozenset({FLEET[0].id}))) == []
    assert probed([replace(starting, process=process(uptime_s=30)), *OUT[1:]], due) == ["B-USDT"]


def test_unknown_pulses_do_not_matter_to_a_collector_without_process() -> None:
    (judgement,) = assess([config()], {ID: Pulse()}, {config().id.program: replace(ended())}, {}, LIMITS)
    assert decide([judgement], {}, NOW_NS, Conditions(), LIMITS) == [
        Action(kind=ActionKind.START, collector=ID, why="its process ended within seconds of its start")
    ]
