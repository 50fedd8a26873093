"""Properties of the whole of the manager's judgement, over generated histories of a simulated fleet.

Hypothesis prints the history that breaks one, made as short as it can be.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from manager.decide.evaluate import Evaluation, Observation
from manager.decide.history import CollectorPast, forgiven, in_force
from manager.decide.policy import ActionKind, Conditions
from manager.model.journal_entries import JournalEntry, What
from manager.model.processes import STARTABLE
from manager.model.verdicts import Verdict
from manager.observe.clock_jumps import Instant
from manager.settings import to_ns
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tests.manager.world import BRISK, Deed, Event, Past, Trouble, World
from tickfleet.contract.identity import CollectorId

pytestmark = pytest.mark.long

SIZE = 3
_HEALS = {ActionKind.KILL, ActionKind.RESTART, ActionKind.PROBE}
_TOUCHES = {*_HEALS, ActionKind.PARK, ActionKind.STOP}
_FINE = {Trouble.NONE, Trouble.QUIET}

one = st.builds(Event, st.integers(0, SIZE - 1), st.sampled_from(Trouble), st.integers(0, 25))
everyone = st.builds(
    Event, st.none(), st.sampled_from([Trouble.STALLED, Trouble.NONE, Trouble.QUIET]), st.integers(1, 25)
)
events = st.lists(one | everyone, max_size=6)


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    with capture_logs():
        yield


def at_s(entry: JournalEntry) -> int:
    """When it was, in seconds of the world."""
    return (entry.at_ns - NOW_NS) // S


def of(deeds: list[Deed], collector: CollectorId) -> list[Deed]:
    return [deed for deed in deeds if deed.action.collector == collector]


def track(world: World, collector: CollectorId) -> CollectorPast:
    return forgiven(world.past.history.get(str(collector), CollectorPast()), world.clock.now_ns(), BRISK)


@settings(max_examples=600, deadline=None)
@given(events)
def test_no_history_makes_it_do_harm(events: list[Event]) -> None:
    world = World(SIZE)
    world.live(events)
    who_is_well_is_never_touched(world)
    the_budget_is_never_exceeded(world)
    who_was_given_up_is_left_alone(world)
    for _ in range(TRIED_AGAIN_S):
        world.step()
    who_is_parked_is_tried_again_in_time(world)


TRIED_AGAIN_S = round(BRISK.park_max_s + 2 * BRISK.start_limit_s)


def who_is_well_is_never_touched(world: World) -> None:
    touched = [deed for deed in world.deeds if deed.action.kind in _TOUCHES]
    assert [deed for deed in touched if deed.judgement.well or deed.trouble in _FINE] == []


def the_budget_is_never_exceeded(world: World) -> None:
    for each in world.fleet:
        granted: list[int] = []  # since the last park
        parks, until_ns = 0, 0
        for deed in of(world.deeds, each.id)[1:]:  # the first start is no restart
            now_ns = NOW_NS + deed.at_s * S
            if deed.action.kind is ActionKind.PARK:
                assert parks == 0 or deed.action.parks == 1 or len(granted) <= 1, "one try per pause"
                assert deed.action.parks in (1, parks + 1)
                assert deed.action.until_ns - now_ns == to_ns(min(2.0 * 2 ** (deed.action.parks - 1), 8.0))
                granted, parks, until_ns = [], deed.action.parks, deed.action.until_ns
            elif deed.action.kind in (*_HEALS, ActionKind.START):
                assert now_ns >= until_ns
                granted.append(deed.at_s)
                assert sum(deed.at_s - BRISK.restart_window_s < then for then in granted) <= BRISK.restarts_max


def who_was_given_up_is_left_alone(world: World) -> None:
    """Until it has been well for long enough."""
    for each in world.fleet:
        given_up, well_since_s = False, None
        for when_s, what in story(world, each.id):
            if well_since_s is not None and when_s - well_since_s >= BRISK.forgive_after_s:
                given_up = False
            if isinstance(what, Deed):
                assert not (given_up and what.action.kind in _HEALS)
                given_up = given_up or what.action.kind is ActionKind.STAND_DOWN
            elif what.what is What.VERDICT_CHANGED:
                well_since_s = when_s if what.details["to"] == Verdict.HEALTHY.value else None


def story(world: World, collector: CollectorId) -> list[tuple[int, JournalEntry | Deed]]:
    """What the journal tells of a collector and what was done to it; in one second the verdict comes first."""
    told: list[tuple[int, JournalEntry | Deed]] = []
    told += [(at_s(entry), entry) for entry in world.past.journal if entry.collector == str(collector)]
    told += [(deed.at_s, deed) for deed in of(world.deeds, collector)]
    return sorted(told, key=lambda moment: moment[0])


def who_is_parked_is_tried_again_in_time(world: World) -> None:
    for each in world.fleet:
        deeds = of(world.deeds, each.id)
        for park in deeds:
            until_s = round((park.action.until_ns - NOW_NS) / S)
            if park.action.kind is ActionKind.PARK and until_s + 2 * BRISK.start_limit_s <= world.now_s:
                later = [deed.at_s for deed in deeds if deed.at_s > park.at_s]
                assert later, "it was never tried again"
                assert until_s <= later[0] <= until_s + 2 * BRISK.start_limit_s


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(Trouble), min_size=6, max_size=6), st.integers(0, 5))
def test_nobody_starves(troubles: list[Trouble], victim: int) -> None:
    world = World(6)  # and only two may be in their start at once
    for place, trouble in enumerate(troubles):
        world.apply_event(Event(place, trouble, 0))
    chosen, waiting = world.fleet[victim], 0
    for _ in range(120):
        world.step()
        judgement, known = world.judgements[chosen.id], track(world, chosen.id)
        assert judgement.process is not None
        due = judgement.verdict is Verdict.DEAD and judgement.process.state in STARTABLE
        started = any(deed.at_s == world.now_s for deed in of(world.deeds, chosen.id))
        waiting = waiting + 1 if due and not started and not in_force(known, world.clock.now_ns(), BRISK) else 0
        # the five others, two at a time, each of which may take all the time that a start may take
        assert waiting <= 3 * BRISK.start_limit_s


@settings(max_examples=250, deadline=None)
@given(st.lists(one, max_size=3), st.integers(20, 60), st.lists(one, max_size=3))
def test_in_an_outage_nobody_is_restarted_but_one_probe_at_a_time(
    before: list[Event], lasts_s: int, after: list[Event]
) -> None:
    world = World(SIZE)
    world.live([*before, Event(None, Trouble.STALLED, lasts_s), Event(None, Trouble.NONE, 10), *after])
    began_s, probes_s = None, list[int]()
    for entry in world.past.journal:
        match entry.what:
            case What.OUTAGE_BEGAN:
                assert began_s is None
                began_s, probes_s = at_s(entry), []
            case What.OUTAGE_PROBED:
                assert began_s is not None
                pause_s = min(BRISK.probe_first_s * 2 ** len(probes_s), BRISK.probe_max_s)
                assert at_s(entry) >= [began_s, *probes_s][-1] + pause_s
                probes_s.append(at_s(entry))
            case What.OUTAGE_ENDED:
                restarts = [deed.at_s for deed in world.deeds if deed.action.kind is ActionKind.RESTART]
                assert [second for second in restarts if (began_s or 0) <= second < at_s(entry)] == []
                began_s = None


@settings(max_examples=250, deadline=None)
@given(events, events)
def test_a_manager_killed_and_started_again_at_any_point_decides_the_same(
    before: list[Event], after: list[Event]
) -> None:
    one, other = World(SIZE), World(SIZE)
    for world in (one, other):
        world.live(before)
    other.new_manager()
    assert (other.past.history, other.past.outages) == (one.past.history, one.past.outages)
    for world in (one, other):
        world.live(after)
    assert other.deeds == one.deeds
    assert other.past.journal == one.past.journal


# --- examples --------------------------------------------------------------------------------------------------------


def told(world: World, since_s: int = 0) -> list[tuple[int, str, str]]:
    """The actions: second, what and to whom."""
    return [
        (deed.at_s, deed.action.kind.value, deed.action.collector.symbol)
        for deed in world.deeds
        if deed.at_s >= since_s
    ]


def lived(size: int, *events: Event) -> World:
    world = World(size)
    world.live([Event(0, Trouble.NONE, 10), *events])
    return world


def test_a_stuck_collector_is_restarted_once_and_nobody_else() -> None:
    world = lived(3, Event(1, Trouble.STUCK, 20))
    assert told(world, 10) == [(17, "restart", "C1-USDT")]
    assert {judgement.verdict for judgement in world.judgements.values()} == {Verdict.HEALTHY}


def test_three_failed_restarts_end_in_stand_down_until_ten_good_minutes() -> None:
    world = lived(3, Event(1, Trouble.STALLED, 60))
    assert [kind for _, kind, _ in told(world, 10)] == ["restart", "restart", "restart", "stand_down"]
    judgement = world.judgements[world.fleet[1].id]
    assert judgement.verdict is Verdict.SILENT
    assert judgement.why.endswith("the restarts did not hold: left alone until a person restarts it")
    world.live([Event(1, Trouble.NONE, 31), Event(1, Trouble.STUCK, 10)])
    assert [kind for _, kind, _ in told(world, 70)] == ["restart"]


def test_an_outage_from_its_beginning_to_its_end() -> None:
    world = lived(3, Event(None, Trouble.STALLED, 30), Event(None, Trouble.NONE, 20))
    assert told(world, 10) == [(16, "probe", "C0-USDT"), (22, "probe", "C1-USDT"), (34, "probe", "C2-USDT")]
    outages = [(at_s(entry), entry.what.value) for entry in world.past.journal if entry.what.value[:6] == "outage"]
    assert outages == [
        (13, "outage_began"),
        *((second, "outage_probed") for second in (16, 22, 34)),
        (41, "outage_ended"),
    ]
    assert {judgement.verdict for judgement in world.judgements.values()} == {Verdict.HEALTHY}


def test_who_stays_silent_after_an_outage_is_restarted_in_the_end() -> None:
    world = lived(4, Event(None, Trouble.STALLED, 5), Event(0, Trouble.NONE, 0))
    world.live([Event(place, Trouble.STUCK, 0) for place in (1, 2, 3)])
    world.live([Event(0, Trouble.NONE, 12)])
    ended = next(at_s(entry) for entry in world.past.journal if entry.what is What.OUTAGE_ENDED)
    assert ended == 16
    assert told(world, 16) == [
        *((ended + 4, "restart", f"C{number}-USDT") for number in (1, 2)),
        (ended + 5, "restart", "C3-USDT"),
    ]


def test_a_crash_loop_from_the_first_start_to_forgiveness() -> None:
    world = World(1)
    world.live([Event(0, Trouble.CRASHES, 40)])
    assert [(second, kind) for second, kind, _ in told(world)] == [
        *((second, "start") for second in (1, 2, 3, 4)),
        *((5, "park"), (7, "start"), (8, "park"), (12, "start"), (13, "park"), (21, "start"), (22, "park")),
        *((30, "start"), (31, "park"), (39, "start"), (40, "park")),
    ]
    world.live([Event(0, Trouble.NONE, 8 + 31), Event(0, Trouble.CRASHES, 3)])
    assert [kind for _, kind, _ in told(world, 60)] == ["start"] * 3


def test_a_process_that_we_are_restarting_is_not_dead() -> None:
    of_it, stopped = config(), process(state=next(iter(STARTABLE)), pid=0, uptime_s=0)
    seen = Observation(
        at=Instant(NOW_NS, 5.0),
        desired=(of_it,),
        pulses={of_it.id: pulse(heartbeat(of_it))},
        processes={of_it.id.program: stopped},
        restarting=frozenset({of_it.id}),
    )
    judgement = Evaluation(BRISK).judge(seen, Past(BRISK), Conditions()).judgements[0]
    assert (judgement.verdict, judgement.why) == (Verdict.STARTING, "being restarted by the manager")


def test_while_redis_settles_no_outage_begins() -> None:
    world = World(3)
    world.live([Event(0, Trouble.NONE, 10), Event(None, Trouble.STALLED, 2)])
    fleet, processes = world.fleet, world.supervisor.processes()
    silent = {each.id: pulse(heartbeat(each, mute="trade", pid=processes[each.id.program].pid)) for each in fleet}
    seen = Observation(at=Instant(NOW_NS, 5.0), desired=fleet, pulses=silent, processes=processes)
    journal_kinds = [
        [entry.what for entry in Evaluation(BRISK).judge(seen, Past(BRISK), Conditions(settling=settling)).entries]
        for settling in (True, False)
    ]
    assert [What.OUTAGE_BEGAN in whats for whats in journal_kinds] == [False, True]
