import pytest
from msgspec.structs import replace

from manager.decide.history import (
    CollectorPast,
    forgiven,
    in_force,
    is_ordered,
    observe,
    parked,
    rebuild,
    remember,
    stood_down,
)
from manager.model.journal_entries import JournalEntry, What
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, process

LIMITS = ManagerSettings()
NAME = "okx:BTC-USDT"


def entry(what: What, at_s: int = 0, **details: str) -> JournalEntry:
    return JournalEntry(at_ns=NOW_NS + at_s * S, who="manager", what=what, collector=NAME, details=details)


def verdict(to: str, at_s: int = 0) -> JournalEntry:
    return replace(entry(What.VERDICT_CHANGED, at_s), details={"from": "", "to": to})


def order_entry(command: str) -> JournalEntry:
    return entry(What.ORDERED, command=command)


GIVEN_UP = (entry(What.PARKED, until="9", parks="2"), entry(What.STOOD_DOWN))


@pytest.mark.parametrize(
    ("entries", "track"),
    [
        ([entry(What.RUN_SEEN, started_s="5", pid="7")], CollectorPast(run_started_s=5)),
        (
            [entry(What.RUN_SEEN, started_s="5"), entry(What.RUN_SEEN, 3, started_s="8")],
            CollectorPast(run_started_s=8, restarts_ns=(NOW_NS + 3 * S,)),
        ),
        ([entry(What.ACTION, action="start", outcome="done")], CollectorPast(acted_ns=NOW_NS)),
        (
            [entry(What.ACTION, action="start", outcome="refused: the program's file does not exist")],
            CollectorPast(restarts_ns=(NOW_NS,), acted_ns=NOW_NS),
        ),
        (
            [entry(What.ACTION, action="start", outcome="failed: supervisord is shutting down")],
            CollectorPast(acted_ns=NOW_NS),
        ),
        ([entry(What.ACTION, action="stop", outcome="done")], CollectorPast()),
        (
            [entry(What.ACTION, action="kill", pid="7", outcome="done")],
            CollectorPast(killed_pid=7, killed_at_ns=NOW_NS, recoveries=1, acted_ns=NOW_NS),
        ),
        (  # killed twice since it was not reaped in time: one recovery
            [entry(What.ACTION, at_s, action="kill", pid=pid, outcome="done") for at_s, pid in ((0, "7"), (5, "7"))],
            CollectorPast(killed_pid=7, killed_at_ns=NOW_NS + 5 * S, recoveries=1, acted_ns=NOW_NS + 5 * S),
        ),
        (
            [entry(What.ACTION, at_s, action="kill", pid=pid, outcome="done") for at_s, pid in ((0, "7"), (5, "8"))],
            CollectorPast(killed_pid=8, killed_at_ns=NOW_NS + 5 * S, recoveries=2, acted_ns=NOW_NS + 5 * S),
        ),
        (
            [verdict("silent"), entry(What.ACTION, 70, action="restart", pid="7", outcome="done")],
            CollectorPast(
                verdict="silent",
                unwell_since_ns=NOW_NS,
                silent_since_ns=NOW_NS + 70 * S,
                recoveries=1,
                acted_ns=NOW_NS + 70 * S,
            ),
        ),
        (  # a restart that could not be done is no recovery, and is not tried again at once
            [verdict("silent"), entry(What.ACTION, 70, action="restart", pid="7", outcome="failed: no answer")],
            CollectorPast(
                verdict="silent",
                unwell_since_ns=NOW_NS,
                silent_since_ns=NOW_NS + 70 * S,
                acted_ns=NOW_NS + 70 * S,
            ),
        ),
        ([entry(What.ACTION, action="probe", pid="7", outcome="done")], CollectorPast(acted_ns=NOW_NS)),  # of an outage
        ([entry(What.STOOD_DOWN)], CollectorPast(stood_down_ns=NOW_NS)),
        ([entry(What.STOOD_DOWN), entry(What.RESTARTED)], CollectorPast()),
        (
            [entry(What.RUN_SEEN, started_s="5"), entry(What.PARKED, until=str(NOW_NS + 10 * S), parks="1")],
            CollectorPast(run_started_s=5, parks=1, parked_until_ns=NOW_NS + 10 * S),
        ),
        (  # an operator's start during the pause is not the try that is due after it
            [entry(What.PARKED, until=str(NOW_NS + 10 * S), parks="1"), entry(What.RUN_SEEN, 5, started_s="5")],
            CollectorPast(run_started_s=5, parks=1, parked_until_ns=NOW_NS + 10 * S),
        ),
        (
            [
                entry(What.RUN_SEEN, started_s="5"),
                entry(What.PARKED, until=str(NOW_NS + 10 * S), parks="1"),
                entry(What.RUN_SEEN, 10, started_s="15"),
            ],
            CollectorPast(
                run_started_s=15,
                parks=1,
                parked_until_ns=NOW_NS + 10 * S,
                tried=True,
                restarts_ns=(NOW_NS + 10 * S,),
            ),
        ),
        ([verdict("healthy"), verdict("quiet", 9)], CollectorPast(verdict="quiet", well_since_ns=NOW_NS)),
        ([verdict("healthy"), verdict("dead", 9)], CollectorPast(verdict="dead", unwell_since_ns=NOW_NS + 9 * S)),
        (
            [verdict("silent"), verdict("exchange_outage", 9), verdict("silent", 60)],
            CollectorPast(verdict="silent", unwell_since_ns=NOW_NS, silent_since_ns=NOW_NS + 60 * S),
        ),
        ([verdict("silent"), verdict("quiet", 9)], CollectorPast(verdict="quiet", well_since_ns=NOW_NS + 9 * S)),
        (
            [*GIVEN_UP, verdict("healthy", 9), verdict("dead", 609)],
            CollectorPast(verdict="dead", unwell_since_ns=NOW_NS + 609 * S),
        ),
        (
            [*GIVEN_UP, verdict("healthy", 9), verdict("dead", 608)],
            CollectorPast(
                verdict="dead",
                unwell_since_ns=NOW_NS + 608 * S,
                parks=2,
                parked_until_ns=9,
                stood_down_ns=NOW_NS,
            ),
        ),
        # an order to run, for one whose restarts are not wanted
        ([verdict("disabled")], CollectorPast(verdict="disabled", unwell_since_ns=NOW_NS, ordered=True)),
        (
            [verdict("disabled"), entry(What.RUN_SEEN, started_s="5"), verdict("dead", 9)],  # not a run that was to be
            CollectorPast(verdict="dead", unwell_since_ns=NOW_NS, run_started_s=5, ordered=True),
        ),
        (
            [verdict("disabled"), verdict("dead", 9), entry(What.RUN_SEEN, 10, started_s="5")],
            CollectorPast(verdict="dead", unwell_since_ns=NOW_NS, run_started_s=5),
        ),
        (
            [verdict("dead"), order_entry("start")],
            CollectorPast(verdict="dead", unwell_since_ns=NOW_NS, ordered=True, ordered_ns=NOW_NS),
        ),
        (
            [verdict("misconfigured"), order_entry("enable")],
            CollectorPast(verdict="misconfigured", unwell_since_ns=NOW_NS, ordered=True, ordered_ns=NOW_NS),
        ),
        ([verdict("dead"), order_entry("stop")], CollectorPast(verdict="dead", unwell_since_ns=NOW_NS)),
        (
            [verdict("healthy"), order_entry("start")],
            CollectorPast(verdict="healthy", well_since_ns=NOW_NS, ordered_ns=NOW_NS),
        ),  # it runs
        ([entry(What.PARKED, until="9" * 5000, parks="1")], CollectorPast(parks=1)),
        ([entry(What.PARKED, until="soon", parks="-1")], CollectorPast()),  # nonsense in the journal does no harm
    ],
)
def test_the_fold(entries: list[JournalEntry], track: CollectorPast) -> None:
    assert rebuild(entries, LIMITS) == {NAME: track}


def test_a_collector_that_the_operator_changed_starts_with_a_clean_record() -> None:
    history = rebuild([entry(What.PARKED, until="9", parks="2")], LIMITS)
    applied = JournalEntry(at_ns=1, who="manager", what=What.FLEET_APPLIED, details={"changed": f"okx:A-B {NAME}"})
    assert remember(history, applied, LIMITS) == {}
    assert history != {}, "the history given stays as it is"


def test_who_waits_for_its_program_waits_on_when_it_is_taken_up() -> None:
    history = rebuild([verdict("starting")], LIMITS)
    applied = JournalEntry(at_ns=NOW_NS, who="manager", what=What.FLEET_APPLIED, details={"added": NAME})
    assert remember(history, applied, LIMITS) == history


def test_other_entries_change_nothing() -> None:
    assert rebuild([entry(What.MANAGER_STARTED), entry(What.OUTAGE_PROBED)], LIMITS) == {}


def test_forgiven_after_ten_healthy_minutes() -> None:
    track = CollectorPast(
        parks=3,
        parked_until_ns=5,
        tried=True,
        restarts_ns=(1, 2),
        recoveries=3,
        stood_down_ns=7,
        well_since_ns=NOW_NS,
        verdict="healthy",
    )
    assert forgiven(track, NOW_NS + 599 * S, LIMITS) == track
    assert forgiven(track, NOW_NS + 600 * S, LIMITS) == CollectorPast(well_since_ns=NOW_NS, verdict="healthy")


def test_parked_names_those_whose_pause_lasts() -> None:
    history = {
        NAME: CollectorPast(parked_until_ns=NOW_NS + S),
        "okx:A-B": CollectorPast(parked_until_ns=NOW_NS),
        "okx:C-D": CollectorPast(),
    }
    history["nonsense"] = CollectorPast(parked_until_ns=NOW_NS + S)
    assert parked(history, NOW_NS, LIMITS) == {config().id: NOW_NS + S}
    assert not in_force(CollectorPast(parked_until_ns=NOW_NS + 301 * S), NOW_NS, LIMITS)


def test_stood_down_names_those_who_need_a_person() -> None:
    history = {
        NAME: CollectorPast(stood_down_ns=NOW_NS),
        "okx:A-B": CollectorPast(stood_down_ns=NOW_NS, well_since_ns=NOW_NS),
        "okx:C-D": CollectorPast(),
    }
    assert stood_down(history, NOW_NS + 599 * S, LIMITS) == {NAME, "okx:A-B"}
    assert stood_down(history, NOW_NS + 600 * S, LIMITS) == {NAME}


def judgement_of(verdict: Verdict, found: Process | None = None) -> Judgement:
    return Judgement(config=config(), verdict=verdict, why="because", process=found)


def test_news_is_a_new_run_and_a_new_verdict() -> None:
    entries = observe([judgement_of(Verdict.DEAD, process(started_s=77))], {}, NOW_NS, "manager")
    assert entries == [
        entry(What.RUN_SEEN, pid="4242", started_s="77"),
        replace(verdict("dead"), why="because"),
    ]
    assert (
        observe([judgement_of(Verdict.DEAD, process(started_s=77))], rebuild(entries, LIMITS), NOW_NS, "manager") == []
    )


def test_between_healthy_and_quiet_there_is_no_news() -> None:
    history = rebuild([verdict("healthy")], LIMITS)
    assert observe([judgement_of(Verdict.QUIET)], history, NOW_NS, "manager") == []


@pytest.mark.parametrize(
    ("started_s", "stopped_s", "expected"),
    [
        (6, 6, False),  # the ordered run: from 6.4 s to 6.9 s
        (7, 8, False),
        (7, 5, False),
        (5, 6, True),  # the end may have been before the order
        (2, 5, True),
        (2, 7, False),  # told to run while it ran
        (2, 0, False),
        (0, 0, False),
    ],
)
def test_a_start_in_the_second_of_the_order_uses_it_up(started_s: int, stopped_s: int, *, expected: bool) -> None:
    found = process(state=ProcessState.EXITED, started_s=started_s, stopped_s=stopped_s)
    assert is_ordered(CollectorPast(ordered_ns=6 * S + 300_000_000), found) is expected
    assert is_ordered(CollectorPast(ordered=True), found)
