from typing import Any

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.decide.history import CollectorPast
from manager.decide.outage import Outage, Outages, has_fresh_data, observe_outages, rebuild_outages
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tickfleet.contract.health import Progress, WorkerState

LIMITS = ManagerSettings()
LETTERS = "ABCDEFGHIJKLMN"
LASTING = {"okx": Outage(began_ns=NOW_NS - 100 * S)}


def entry(what: What, at_s: int = 0, collector: str = "", why: str = "", **details: str) -> JournalEntry:
    return JournalEntry(
        at_ns=NOW_NS + at_s * S, who="manager", what=what, collector=collector, why=why, details=details
    )


def collector(number: int, verdict: Verdict, data_age_s: float = 1, **changes: Any) -> Judgement:
    of = config(f"{LETTERS[number]}-USDT", **changes)
    return judgement_of(of, verdict, data_age_s)


def judgement_of(of: ExchangeCollectorConfig, verdict: Verdict, data_age_s: float) -> Judgement:
    progress = Progress(count=9, last_event_at=NOW_NS - round(data_age_s * S), silence_limit=30 * S)
    beat = heartbeat(of, progress=dict.fromkeys(of.data_types, progress))
    return Judgement(config=of, verdict=verdict, why="because", pulse=pulse(beat), process=process(of))


def fleet(
    silent: int = 0, flowing: int = 0, *more: Verdict, resting: int = 0, history: dict[str, CollectorPast] | None = None
) -> tuple[list[Judgement], dict[str, CollectorPast]]:
    """Collectors of OKX in this order; who is well has been for ten minutes, who rests has had no data for a while."""
    verdicts = [(Verdict.SILENT, 45)] * silent + [(Verdict.HEALTHY, 1)] * flowing + [(Verdict.QUIET, 45)] * resting
    verdicts += [(verdict, 1) for verdict in more]
    members = [collector(number, verdict, age_s) for number, (verdict, age_s) in enumerate(verdicts)]
    tracks = {
        str(each.id): CollectorPast(well_since_ns=NOW_NS - 600 * S)
        if each.well
        else CollectorPast(unwell_since_ns=NOW_NS - 9 * S)
        for each in members
    }
    return members, tracks | (history or {})


def outage_entries(
    members: tuple[list[Judgement], dict[str, CollectorPast]], outages: Outages, now_ns: int = NOW_NS
) -> list[JournalEntry]:
    return observe_outages(members[0], outages, members[1], now_ns, LIMITS, "manager")


@pytest.mark.parametrize(
    ("members", "begins"),
    [
        (fleet(), False),
        (fleet(1), False),  # one alone proves nothing
        (fleet(2), True),
        (fleet(2, 1), True),
        (fleet(2, 2), False),  # not most
        (fleet(3, 2), True),
        (fleet(1, 0, resting=12), False),
        (fleet(2, 0, resting=11), True),  # who rests tells nothing
        (fleet(2, 2, resting=9), False),
        (fleet(0, 3), False),
        # a fault of the process tells nothing of the exchange
        (fleet(0, 0, Verdict.HUNG, Verdict.HUNG, Verdict.DEAD, Verdict.CRASH_LOOPING, Verdict.UNKNOWN), False),
        (fleet(2, 0, Verdict.HUNG, Verdict.DEAD, Verdict.STARTING, Verdict.MISCONFIGURED, Verdict.DISABLED), True),
        (
            fleet(2, 0, history={"okx:A-USDT": CollectorPast(stood_down_ns=1)}),
            False,
        ),  # its trouble is known to be its own
        (fleet(3, 0, history={"okx:A-USDT": CollectorPast(stood_down_ns=1)}), True),
    ],
)
def test_an_outage_begins_when_most_of_those_that_tell_are_silent(
    members: tuple[list[Judgement], dict[str, CollectorPast]], begins: bool
) -> None:
    assert [entry.what for entry in outage_entries(members, {})] == [What.OUTAGE_BEGAN] * begins


@pytest.mark.parametrize(
    ("state", "mute", "data_age_s", "tells"),
    [
        (WorkerState.RUNNING, "", 1, True),  # its order book is stale, or one of its channels brings nothing
        (WorkerState.DEGRADED, "trade", 1, True),
        (WorkerState.DEGRADED, "", 1, False),  # it gets its data, and something else is wrong
        (WorkerState.DEGRADED, "", 31, True),
        (WorkerState.CONNECTING, "", 31, True),
    ],
)
def test_only_who_lacks_data_tells_against_the_exchange(
    state: WorkerState, mute: str, data_age_s: float, tells: bool
) -> None:
    members = [collector(number, Verdict.SILENT, data_age_s) for number in range(3)]
    for each in members:
        assert each.pulse.heartbeat is not None
        each.pulse.heartbeat.state, each.pulse.heartbeat.mute = state, mute
    assert [entry.what for entry in outage_entries((members, {}), {})] == [What.OUTAGE_BEGAN] * tells


def test_the_beginning_says_how_many() -> None:
    why = "3 of 4 collectors of okx have no data"
    assert outage_entries(fleet(3, 1), {}) == [entry(What.OUTAGE_BEGAN, why=why, exchange="okx", silent="3", of="4")]


def test_the_beginning_says_how_many_of_all_and_why() -> None:
    members, history = fleet(3, 1, Verdict.STARTING, Verdict.DISABLED)
    refused = "ws.okx.com cannot be reached: its name cannot be resolved"
    for number, error in enumerate(("the socket was closed", refused, refused)):
        pulse = members[number].pulse
        assert pulse.heartbeat is not None
        pulse = replace(pulse, heartbeat=replace(pulse.heartbeat, last_error=error))
        members[number] = replace(members[number], pulse=pulse)
    why = f"3 of 5 collectors of okx have no data, 2 of them: {refused}"
    assert outage_entries((members, history), {}) == [
        entry(What.OUTAGE_BEGAN, why=why, exchange="okx", silent="3", of="5")
    ]


def test_each_exchange_by_itself() -> None:
    other = ExchangeCollectorConfig("binance", "BTC-USDT", config().data_types)
    members, history = fleet(2)
    entries = outage_entries(([*members, judgement_of(other, Verdict.SILENT, 45)], history), {})
    assert [entry.details["exchange"] for entry in entries] == ["okx"]


def test_one_outage_begins_once() -> None:
    assert outage_entries(fleet(3), LASTING) == []


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (fleet(12, 1), ""),  # it was well all the time
        (fleet(12, 0, Verdict.STARTING, Verdict.HUNG), ""),
        (fleet(12, 1, history={"okx:M-USDT": CollectorPast(verdict="silent")}), "data flows again at okx:M-USDT"),
        (
            fleet(12, 1, history={"okx:M-USDT": CollectorPast(well_since_ns=NOW_NS - 9 * S)}),
            "data flows again at okx:M-USDT",
        ),
        (
            fleet(12, 0, resting=1, history={"okx:M-USDT": CollectorPast(verdict="silent")}),
            "",
        ),  # connected, and no data yet
        (fleet(2, 2), "most of its collectors are not silent any more"),
        (fleet(0, 0, Verdict.DISABLED), "most of its collectors are not silent any more"),
        (([], {}), "most of its collectors are not silent any more"),  # it has left the fleet
    ],
)
def test_an_outage_is_over_as_soon_as_data_flows_where_none_did(
    members: tuple[list[Judgement], dict[str, CollectorPast]], why: str
) -> None:
    assert outage_entries(members, LASTING) == ([entry(What.OUTAGE_ENDED, why=why, exchange="okx")] if why else [])


OLD = {f"okx:{letter}-USDT": CollectorPast(unwell_since_ns=NOW_NS - 800 * S) for letter in LETTERS[:12]}


@pytest.mark.parametrize(
    ("members", "ended_s_ago", "begins"),
    [
        (fleet(12), 59, False),  # they are reconnecting
        (fleet(12), 60, True),
        (fleet(12, history=OLD), 60, True),  # nobody shows that the exchange works
        (fleet(12, 1, history=OLD), 60, False),  # it works for one: the others have a trouble of their own
        (fleet(12, 1, history=OLD), 599, False),
        (fleet(12, 1, history=OLD), 600, True),
        (fleet(12, 1), 60, True),  # all of them were well since
        (fleet(12, 1), -5, True),  # the clock was set back
    ],
)
def test_another_outage(
    members: tuple[list[Judgement], dict[str, CollectorPast]], ended_s_ago: int, begins: bool
) -> None:
    ended = {"okx": Outage(began_ns=NOW_NS - 900 * S, ended_ns=NOW_NS - ended_s_ago * S)}
    assert [entry.what for entry in outage_entries(members, ended)] == [What.OUTAGE_BEGAN] * begins


BEGAN = entry(What.OUTAGE_BEGAN, exchange="okx")


@pytest.mark.parametrize(
    ("entries", "outages"),
    [
        ([BEGAN], {"okx": Outage(began_ns=NOW_NS)}),
        (
            [
                BEGAN,
                entry(What.OUTAGE_PROBED, 30, "okx:A-USDT", exchange="okx"),
                entry(What.OUTAGE_PROBED, 90, "okx:B-USDT", exchange="okx"),
            ],
            {"okx": Outage(began_ns=NOW_NS, probes=2, probed="okx:B-USDT", probed_ns=NOW_NS + 90 * S)},
        ),
        (
            [BEGAN, entry(What.OUTAGE_ENDED, 9, exchange="okx")],
            {"okx": Outage(began_ns=NOW_NS, ended_ns=NOW_NS + 9 * S)},
        ),
        (
            [BEGAN, entry(What.OUTAGE_ENDED, 9, exchange="okx"), entry(What.OUTAGE_BEGAN, 99, exchange="okx")],
            {"okx": Outage(began_ns=NOW_NS + 99 * S)},
        ),
        # the beginning has left the journal, or somebody else wrote this
        ([entry(What.OUTAGE_PROBED, exchange="okx"), entry(What.OUTAGE_ENDED, exchange="okx")], {}),
        ([entry(What.VERDICT_CHANGED, exchange="okx"), entry(What.OUTAGE_ENDED)], {}),
    ],
)
def test_the_fold(entries: list[JournalEntry], outages: Outages) -> None:
    assert rebuild_outages(entries) == outages


def test_pauses_between_probes() -> None:
    outage = Outage(began_ns=NOW_NS)
    pauses = []
    for probes in range(6):
        outage = replace(outage, probes=probes)
        pauses.append((outage.next_probe_ns(LIMITS) - NOW_NS) / S)
    assert pauses == [30, 60, 120, 240, 300, 300]
    assert replace(outage, probes=10**6).next_probe_ns(LIMITS) == NOW_NS + 300 * S


def test_who_never_had_data_shows_nothing() -> None:
    of = config()
    assert has_fresh_data(judgement_of(of, Verdict.HEALTHY, 30), LIMITS)
    assert not has_fresh_data(judgement_of(of, Verdict.HEALTHY, 31), LIMITS)
    assert not has_fresh_data(Judgement(config=of, verdict=Verdict.HEALTHY, why=""), LIMITS)
    nothing = Judgement(config=of, verdict=Verdict.HEALTHY, why="", pulse=pulse(heartbeat(of, progress={})))
    assert not has_fresh_data(nothing, LIMITS)
