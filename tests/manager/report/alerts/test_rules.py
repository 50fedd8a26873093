import pytest

from manager.model.journal_entries import JournalEntry, What
from manager.report.alerts.rules import Alert, AlertBook
from tests.manager.fakes import NOW_NS, S

HOUR_S = 3600
BTC = "okx:BTC-USDT"


def entry(what: What, at_s: float = 0.0, collector: str = "", why: str = "", **details: str) -> JournalEntry:
    return JournalEntry(
        at_ns=NOW_NS + round(at_s * S), who="manager", what=what, collector=collector, why=why, details=details
    )


def verdict(to: str, at_s: float = 0.0, why: str = "", collector: str = BTC) -> JournalEntry:
    return entry(What.VERDICT_CHANGED, at_s, collector, why, to=to)


def told(*entries: JournalEntry) -> list[str]:
    book = AlertBook(HOUR_S * S)
    return [alert.text for entry in entries for alert in book.add(entry)]


def test_the_whole_alert() -> None:
    book = AlertBook(HOUR_S * S)
    assert book.add(verdict("crash_looping", why="restarted 5 times")) == [
        Alert(about=BTC, kind="crash_looping", text="okx:BTC-USDT: crash looping (restarted 5 times)")
    ]
    assert book.add(verdict("healthy", why="data flows")) == [
        Alert(about=BTC, kind="crash_looping", text="okx:BTC-USDT: over: crash looping (data flows)", over=True)
    ]


@pytest.mark.parametrize(
    ("raising", "ending", "texts"),
    [
        (verdict("misconfigured"), verdict("disabled"), [f"{BTC}: misconfigured", f"{BTC}: over: misconfigured"]),
        (
            entry(What.STOOD_DOWN, collector=BTC, why="3 restarts did not hold"),
            verdict("quiet"),
            [f"{BTC}: the manager has stood down (3 restarts did not hold)", f"{BTC}: over: stood down"],
        ),
        (
            entry(What.OUTAGE_BEGAN, why="4 of 5 are silent", exchange="okx"),
            entry(What.OUTAGE_ENDED, exchange="okx"),
            ["okx: exchange outage (4 of 5 are silent)", "okx: over: outage"],
        ),
        (
            entry(What.EXCHANGE_BANNED, why="banned until 14:03", exchange="okx"),
            entry(What.BAN_OVER, exchange="okx"),
            ["okx: the exchange has turned us away (banned until 14:03)", "okx: over: banned"],
        ),
        (
            entry(What.FLEET_REJECTED, why="fleet.toml: unknown key"),
            entry(What.FLEET_APPLIED),
            ["fleet: the fleet file cannot be used (fleet.toml: unknown key)", "fleet: over: fleet rejected"],
        ),
        (
            entry(What.FLEETS_DIFFER, why="the manager on web-2 acts for another fleet"),
            entry(What.FLEETS_AGREE),
            [
                "fleet: two fleets use one Redis (the manager on web-2 acts for another fleet)",
                "fleet: over: fleets differ",
            ],
        ),
        (
            entry(What.WRITES_REFUSED, why="Redis takes no writes: OOM, since 14:03:10 UTC"),
            entry(What.WRITES_TAKEN, why="Redis takes writes again (OOM, after 3 min)"),
            [
                "fleet: nothing can be stored (Redis takes no writes: OOM, since 14:03:10 UTC)",
                "fleet: over: writes refused (Redis takes writes again (OOM, after 3 min))",
            ],
        ),
        (
            entry(What.APPLY_FAILED),
            entry(What.FLEET_APPLIED),
            ["fleet: supervisord did not take the programs", "fleet: over: apply failed"],
        ),
        (
            entry(What.REDIS_AWAY, why="Redis cannot be reached"),
            entry(What.REDIS_BACK, why="after 90 s"),
            ["fleet: Redis is away (Redis cannot be reached)", "fleet: over: redis away (after 90 s)"],
        ),
        (entry(What.DATA_LOST, collector=BTC, why="1 hole"), verdict("healthy"), [f"{BTC}: data lost (1 hole)"]),
        (
            entry(What.REDIS_FILE_CUT, why="12 bytes"),
            entry(What.REDIS_BACK),
            ["fleet: Redis' file was damaged (12 bytes)"],
        ),
        (entry(What.REDIS_REWOUND, why="empty"), entry(What.REDIS_BACK), ["fleet: Redis has lost data (empty)"]),
        (entry(What.MANAGER_REVIVED), entry(What.MANAGER_STARTED), ["fleet: the manager was revived"]),
        (entry(What.MANAGER_STANDBY), entry(What.MANAGER_TOOK_OVER), ["fleet: there are two managers"]),
    ],
)
def test_what_needs_a_person_and_that_it_is_over(raising: JournalEntry, ending: JournalEntry, texts: list[str]) -> None:
    assert told(raising, ending, ending) == texts


@pytest.mark.parametrize(
    "entries",
    [
        [verdict(each) for each in ("starting", "healthy", "dead", "hung", "silent", "exchange_outage", "unknown")],
        [
            entry(each, collector=BTC)
            for each in (What.RUN_SEEN, What.ACTION, What.PARKED, What.RESTARTED, What.ORDERED)
        ],
        [entry(What.OUTAGE_PROBED, exchange="okx"), entry(What.OUTAGE_ENDED, exchange="okx")],
        [entry(What.FLEET_APPLIED), entry(What.REDIS_BACK), entry(What.MANAGER_STOPPED)],
    ],
)
def test_what_needs_nobody(entries: list[JournalEntry]) -> None:
    assert told(*entries) == []


def test_the_same_is_not_told_again_within_an_hour() -> None:
    flapping = [verdict(to, at_s) for at_s in range(0, HOUR_S, 600) for to in ("crash_looping", "dead")]
    late = verdict("crash_looping", HOUR_S)
    assert told(*flapping) == [f"{BTC}: crash looping"]
    assert told(*flapping, late) == [f"{BTC}: crash looping"] * 2


def test_unless_it_was_over_in_between() -> None:
    assert told(verdict("misconfigured"), verdict("healthy", 1), verdict("misconfigured", 2)) == [
        f"{BTC}: misconfigured",
        f"{BTC}: over: misconfigured",
        f"{BTC}: misconfigured",
    ]


def test_other_collectors_and_other_kinds_are_other_alerts() -> None:
    other = verdict("crash_looping", collector="okx:ETH-USDT")
    assert told(verdict("crash_looping"), other, verdict("misconfigured"), verdict("healthy")) == [
        f"{BTC}: crash looping",
        "okx:ETH-USDT: crash looping",
        f"{BTC}: misconfigured",
        f"{BTC}: over: crash looping, misconfigured",
    ]


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    assert len(told(verdict("crash_looping", HOUR_S), verdict("crash_looping", -HOUR_S))) == 2


def test_who_has_left_the_fleet_is_forgotten() -> None:
    removed = entry(What.FLEET_APPLIED, removed=f"{BTC} okx:OLD-USDT")
    assert told(verdict("misconfigured"), removed, verdict("misconfigured", 5)) == [f"{BTC}: misconfigured"] * 2


def test_text_from_outside_becomes_one_line_of_bounded_length() -> None:
    (text,) = told(verdict("misconfigured", why="no such\nsymbol\x1b[31m" + "x" * 500))
    assert text.startswith(f"{BTC}: misconfigured (no such symbol [31mxxx")
    assert (len(text) <= 200, text.isprintable()) == (True, True)
