import pytest

from manager.cli.show.event_format import Event, Mood, concerns, line, read_event, sentence, to_entry, to_json
from manager.model.journal_entries import JournalEntry, What, from_fields, to_fields

AT_NS = 1_774_778_400_123_000_000  # 2026-03-29 10:00:00.123Z


def event(what: str, collector: str = "okx:BTC-USDT", why: str = "", **details: str) -> Event:
    return Event(
        entry_id="1-0", at_ns=AT_NS, who="manager", what=what, collector=collector, why=why, details=dict(details)
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            event("verdict_changed", why="its process ended by a signal", **{"from": "healthy", "to": "dead"}),
            "verdict: healthy -> dead, its process ended by a signal",
        ),
        (event("verdict_changed", **{"from": "", "to": "starting"}), "verdict: new -> starting"),
        (event("action", action="start", outcome="done", pid="0"), "start: done"),
        (
            event("action", why="its process was stopped", action="start", outcome="done", pid="7"),
            "start because its process was stopped: done  [pid 7]",
        ),
        (event("asked", command="stop", why="moved"), "asked to stop, moved"),
        (
            event("parked", why="too often", until=str(AT_NS), parks="2"),
            "parked, too often  [parks 2, until 10:00:00 UTC]",
        ),
        (event("of_a_later_version", moon="full"), "of a later version  [moon full]"),
        (event("restarted", why="line\x1b[31m\nbreak"), "restarted, line [31m break"),
    ],
)
def test_a_sentence_per_event(given: Event, told: str) -> None:
    assert sentence(given) == told


def test_a_line_says_when_whose_what_and_who() -> None:
    assert line(event("run_seen", pid="7")) == "2026-03-29 10:00:00.123Z  okx:BTC-USDT  run seen  [pid 7]  (manager)"
    assert line(event("manager_started", collector="")).startswith("2026-03-29 10:00:00.123Z  fleet  manager started")


def test_any_entry_is_an_event() -> None:
    assert read_event("1774778400123-4", {"at": "soon", "note": "x"}) == Event(
        entry_id="1774778400123-4", at_ns=AT_NS, who="", what="", collector="", why="", details={"note": "x"}
    )


def test_an_event_is_the_entry_that_the_manager_knows() -> None:
    entry = JournalEntry(
        at_ns=AT_NS, who="manager", what=What.ACTION, collector="okx:A-B", why="w", details={"action": "kill"}
    )
    fields = {name: str(value) for name, value in to_fields(entry).items()}
    assert from_fields(fields) == entry
    read = read_event("9-9", fields)
    assert to_entry(read) == entry
    assert to_json(read) == {
        "id": "9-9",
        "at": AT_NS,
        "who": "manager",
        "what": "action",
        "collector": "okx:A-B",
        "why": "w",
        "details": {"action": "kill"},
    }
    assert to_entry(event("of_a_later_version")) is None


@pytest.mark.parametrize(
    ("given", "pattern", "expected"),
    [
        (event("run_seen"), "okx:BTC-USDT", True),
        (event("run_seen"), "okx:*", True),
        (event("run_seen"), "okx:ETH-USDT", False),
        (event("manager_started", collector=""), "okx:ETH-USDT", True),
        (
            event("fleet_applied", collector="", added="okx:A-B", changed="", removed="okx:ETH-USDT"),
            "okx:ETH-USDT",
            True,
        ),
        (event("fleet_applied", collector="", added="okx:A-B", changed="", removed=""), "okx:ETH-USDT", False),
        (event("outage_began", collector="", exchange="okx"), "okx:ETH-USDT", True),
        (event("outage_began", collector="", exchange="binance"), "okx:ETH-USDT", False),
    ],
)
def test_whom_an_event_concerns(given: Event, pattern: str, expected: bool) -> None:
    assert concerns(given, pattern) is expected


@pytest.mark.parametrize(
    ("given", "mood"),
    [
        (event("verdict_changed", to="healthy"), Mood.GOOD),
        (event("verdict_changed", to="hung"), Mood.BAD),
        (event("verdict_changed", to="starting"), Mood.PASSING),
        (event("action", outcome="failed: no"), Mood.BAD),
        (event("restarted", outcome="done: running after 6.2 s, pid 7"), Mood.GOOD),
        (event("parked"), Mood.BAD),
        (event("fleet_applied", added="okx:A-B"), Mood.GOOD),
        (event("run_seen", pid="4"), Mood.NONE),
    ],
)
def test_the_mood_of_an_event(given: Event, mood: Mood) -> None:
    assert given.mood is mood
