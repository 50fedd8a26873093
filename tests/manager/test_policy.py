import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.config import ExchangeCollectorConfig
from manager.assess import assess
from manager.history import History, Track, observe, parked, rebuild, remember
from manager.journal import Entry, What
from manager.policy import Action, ActionKind, Conditions, decide
from manager.processes import Process, ProcessState
from manager.settings import ManagerSettings, to_ns
from manager.verdicts import Judgement, Pulse, Verdict
from tests.manager.fakes import NOW_NS, FakeSupervisor, ManualClock, S, config, heartbeat, process, pulse

LIMITS = ManagerSettings()
ID = config().id
NEVER_STARTED = process(state=ProcessState.STOPPED, pid=0, started_s=0, uptime_s=0)


def ended(state: ProcessState = ProcessState.FATAL) -> Process:
    return process(state=state, pid=0, uptime_s=0)


def judged(
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
        (judged(Verdict.HEALTHY, process()), Track(), []),
        (judged(Verdict.QUIET, process()), Track(), []),
        (judged(Verdict.STARTING, process()), Track(), []),
        (judged(Verdict.SILENT, process()), Track(), []),
        (judged(Verdict.UNKNOWN, process()), Track(), []),
        (judged(Verdict.MISCONFIGURED, ended()), Track(), []),
        (judged(Verdict.CRASH_LOOPING, ended()), Track(), []),
        (judged(Verdict.DEAD, None), Track(), []),  # supervisord away, or its program not applied yet
        (judged(Verdict.DEAD, NEVER_STARTED), Track(), [start()]),
        (judged(Verdict.DEAD, ended(ProcessState.FATAL)), Track(), [start()]),
        (judged(Verdict.DEAD, ended(ProcessState.EXITED)), Track(), [start()]),
        (judged(Verdict.DEAD, ended(ProcessState.STOPPED)), Track(), [start()]),
        (judged(Verdict.DEAD, ended(ProcessState.BACKOFF)), Track(), []),
        (judged(Verdict.DEAD, process(state=ProcessState.STOPPING)), Track(), []),
        (judged(Verdict.HUNG, process()), Track(), [KILL]),
        (judged(Verdict.HUNG, process()), Track(killed_pid=4242, killed_at_ns=NOW_NS - 2 * S), []),
        (judged(Verdict.HUNG, process()), Track(killed_pid=4242, killed_at_ns=NOW_NS - 6 * S), [KILL]),
        (judged(Verdict.HUNG, process()), Track(killed_pid=1, killed_at_ns=NOW_NS - 2 * S), [KILL]),
        (judged(Verdict.DISABLED, ended()), Track(), []),
        (judged(Verdict.DISABLED, None), Track(), []),
        (
            judged(Verdict.DISABLED, process()),
            Track(),
            [Action(kind=ActionKind.STOP, collector=ID, why="because", pid=4242)],
        ),
        # without restarts
        (judged(Verdict.DEAD, NEVER_STARTED, config(auto_restart=False)), Track(), [start()]),
        (judged(Verdict.DEAD, ended(), config(auto_restart=False)), Track(), []),
        (judged(Verdict.HUNG, process(), config(auto_restart=False)), Track(), []),
        # the budget
        (judged(Verdict.DEAD, ended()), Track(restarts_ns=times(70, 50, 40, 30, 20)), [start()]),
        (judged(Verdict.DEAD, ended()), Track(parked_until_ns=NOW_NS + S, parks=1), []),
        (judged(Verdict.DEAD, ended()), Track(parked_until_ns=NOW_NS, parks=1), [start()]),
        (judged(Verdict.DEAD, ended()), Track(parked_until_ns=NOW_NS + 400 * S, parks=1), [start()]),  # clock set back
        (
            judged(Verdict.DEAD, ended()),
            Track(parked_until_ns=NOW_NS - S, parks=9, tried=True, well_since_ns=NOW_NS - 600 * S),
            [start()],  # forgiven
        ),
    ],
)
def test_decisions(judgement: Judgement, track: Track, actions: list[Action]) -> None:
    assert decide([judgement], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == actions


@pytest.mark.parametrize(
    ("found", "verdict", "track", "why", "pause_s"),
    [
        (
            ended(),
            Verdict.DEAD,
            Track(restarts_ns=times(50, 40, 30, 20, 10)),
            "restarted 5 times within 60 s (because); next try at 08:00:10 UTC",
            10,
        ),
        (
            process(),
            Verdict.STARTING,  # supervisord restarts by itself what survives startsecs
            Track(restarts_ns=times(36, 30, 24, 18, 12, 6)),
            "restarted 6 times within 60 s (because); next try at 08:00:10 UTC",
            10,
        ),
        (
            ended(),
            Verdict.DEAD,
            Track(parks=2, parked_until_ns=NOW_NS - 5 * S, tried=True),
            "its try number 2 did not hold (because); next try at 08:00:40 UTC",
            40,
        ),
        (
            process(),
            Verdict.HUNG,
            Track(parks=5, parked_until_ns=NOW_NS - 5 * S, tried=True),
            "its try number 5 did not hold (because); next try at 08:05:00 UTC",
            300,
        ),
    ],
)
def test_parks(found: Process, verdict: Verdict, track: Track, why: str, pause_s: int) -> None:
    assert decide([judged(verdict, found)], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == [
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
    track = Track(restarts_ns=times(36, 30, 24, 18, 12, 6))
    assert decide([judged(Verdict.HEALTHY, process())], {str(ID): track}, NOW_NS, Conditions(), LIMITS) == []


@pytest.mark.parametrize(
    ("conditions", "actions"),
    [
        (Conditions(), [KILL]),
        (Conditions(settling=True), []),
        (Conditions(busy=frozenset({ID})), []),
    ],
)
def test_conditions_for_a_kill(conditions: Conditions, actions: list[Action]) -> None:
    assert decide([judged(Verdict.HUNG, process())], {}, NOW_NS, conditions, LIMITS) == actions


def test_while_redis_settles_the_dead_are_started() -> None:
    assert decide([judged(Verdict.DEAD, ended())], {}, NOW_NS, Conditions(settling=True), LIMITS) == [start()]


def test_starts_are_staggered_and_those_who_fail_often_wait() -> None:
    fleet = [config(f"C{number}-USDT") for number in range(16)]
    young = process(uptime_s=3)
    judgements = [judged(Verdict.STARTING, young, of) for of in fleet[:2]]  # two slots taken
    judgements += [judged(Verdict.STARTING, process(uptime_s=31), fleet[2])]  # had its time
    judgements += [judged(Verdict.DEAD, NEVER_STARTED, of) for of in fleet[3:]]
    history = {str(fleet[4].id): Track(restarts_ns=times(9, 4))}
    busy = Conditions(busy=frozenset({fleet[3].id}))  # one more slot
    assert decide(judgements, history, NOW_NS, busy, LIMITS) == [start(of) for of in fleet[5:12]]


class World:
    """One collector under a supervisord in memory, and a manager made of the pure parts alone."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.supervisor = FakeSupervisor(self.clock)
        self.of = config()
        self.supervisor.know(self.of.id.program)
        self.history: History = {}
        self.journal: list[Entry] = []
        self.taken: list[tuple[int, Action, Verdict]] = []
        self.hung = False

    def step(self, event: str) -> None:
        """One second: what happens to the collector, then a round of the manager."""
        self.clock.move(1)
        self._happen(event)
        now_ns, program = self.clock.now_ns(), self.of.id.program
        processes = self.supervisor.processes()
        beat = heartbeat(self.of, now_ns, pid=processes[program].pid)
        pulses = {self.of.id: pulse(beat, 60.0 if self.hung else 0.5)}
        (judgement,) = assess([self.of], pulses, processes, parked(self.history, now_ns, LIMITS), LIMITS)
        for entry in observe([judgement], self.history, now_ns, "test"):
            self.note(entry)
        for action in decide([judgement], self.history, now_ns, Conditions(), LIMITS):
            self.taken.append((now_ns, action, judgement.verdict))
            self._carry_out(action)

    def note(self, entry: Entry) -> None:
        self.journal.append(entry)
        self.history = remember(self.history, entry, LIMITS)

    def _happen(self, event: str) -> None:
        program = self.of.id.program
        alive = self.supervisor.table[program].alive
        if event == "crash" and alive:
            self.supervisor.end(program, ProcessState.FATAL)
        elif event == "exit" and alive:
            self.supervisor.end(program, ProcessState.EXITED, 1)
        elif event == "restart" and alive:  # supervisord's own
            self.supervisor.end(program, ProcessState.EXITED)
            self.supervisor.start(program)
        self.hung = event == "hang" and alive

    def _carry_out(self, action: Action) -> None:
        program, now_ns = self.of.id.program, self.clock.now_ns()
        details = {"action": action.kind.value, "pid": str(action.pid), "outcome": "done"}
        match action.kind:
            case ActionKind.START:
                self.supervisor.start(program)
            case ActionKind.KILL:
                self.supervisor.kill(program, action.pid)
            case ActionKind.PARK:
                more = {"until": str(action.until_ns), "parks": str(action.parks)}
                self.note(Entry(at_ns=now_ns, who="test", what=What.PARKED, collector=str(ID), details=more))
                self.supervisor.end(program, ProcessState.STOPPED)
        self.note(Entry(at_ns=now_ns, who="test", what=What.ACTION, collector=str(ID), details=details))


EVENTS = st.lists(
    st.tuples(st.sampled_from(["fine", "crash", "exit", "restart", "hang"]), st.integers(1, 40)), max_size=25
)


def lived(events: list[tuple[str, int]]) -> World:
    """A world in which each event goes on for some seconds; ``fine`` lasts twenty times as long."""
    world = World()
    for event, seconds in events:
        for _ in range(seconds * 20 if event == "fine" else seconds):
            world.step(event)
    return world


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_a_healthy_collector_is_never_touched(events: list[tuple[str, int]]) -> None:
    assert [taken for taken in lived(events).taken if taken[2] in (Verdict.HEALTHY, Verdict.QUIET)] == []


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_the_budget_is_never_exceeded(events: list[tuple[str, int]]) -> None:
    granted: list[int] = []  # restarts since the last park
    last_park: Action | None = None
    for at_ns, action, _ in lived(events).taken[1:]:  # the first start is no restart
        if action.kind is ActionKind.PARK:
            if last_park is not None and action.parks > 1:
                assert action.parks == last_park.parks + 1
                assert len(granted) <= 1 or action.parks == 1  # one try per pause
            assert action.until_ns - at_ns == to_ns(min(10 * 2 ** (action.parks - 1), 300))
            granted, last_park = [], action
            continue
        assert last_park is None or at_ns >= last_park.until_ns
        granted.append(at_ns)
        assert sum(at_ns - 60 * S < other <= at_ns for other in granted) <= LIMITS.restarts_max


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.sampled_from(list(Verdict)))
def test_a_manager_that_read_the_journal_decides_the_same(events: list[tuple[str, int]], verdict: Verdict) -> None:
    world = lived(events)
    rebuilt = rebuild(world.journal, LIMITS)
    assert rebuilt == world.history
    judgement = Judgement(config=world.of, verdict=verdict, why="", process=ended())
    for later_s in (0, 30, 700):
        now_ns = world.clock.now_ns() + later_s * S
        assert decide([judgement], rebuilt, now_ns, Conditions(), LIMITS) == decide(
            [judgement], world.history, now_ns, Conditions(), LIMITS
        )


def test_a_crash_loop_from_the_first_start_to_forgiveness() -> None:
    world = World()
    for _ in range(200):
        world.step("crash")
    first_ns = world.taken[0][0]
    assert [(round((at_ns - first_ns) / S), action.kind.value) for at_ns, action, _ in world.taken] == [
        *((second, "start") for second in range(6)),
        *((6, "park"), (16, "start"), (17, "park")),
        *((37, "start"), (38, "park"), (78, "start"), (79, "park"), (159, "start"), (160, "park")),
    ]
    for _ in range(122 + 600):  # until its next try, and ten minutes of health
        world.step("fine")
    done = len(world.taken)
    for _ in range(3):
        world.step("crash")
    assert [action.kind for _, action, _ in world.taken[done:]] == [ActionKind.START] * 3


def test_unknown_pulses_do_not_matter_to_a_collector_without_process() -> None:
    (judgement,) = assess([config()], {ID: Pulse()}, {config().id.program: replace(ended())}, {}, LIMITS)
    assert decide([judgement], {}, NOW_NS, Conditions(), LIMITS) == [
        Action(kind=ActionKind.START, collector=ID, why="its process ended within seconds of its start")
    ]
