from typing import Any

import pytest

from manager.journal.incidents import LOSSES_EVERY_S, Incidents
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Pulse
from manager.observe.lease import Lease
from manager.observe.writes import NoWrites
from manager.settings import ManagerSettings
from tests.manager.fakes import ManualClock, S, config, heartbeat, pulse
from tickfleet.contract.identity import CollectorId

BTC, ETH = config().id, config("ETH-USDT").id
AWAY = "Redis at 127.0.0.1:6379 cannot be reached"


class FixedLease(Lease):
    """One that is as the test says."""

    leading = True
    standing_by = False


class Scene:
    """Rounds of a manager, a second apart."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.lease = FixedLease(self.clock)
        self.incidents = Incidents(self.clock, ManagerSettings())
        self.pulses: dict[CollectorId, Pulse] = {}

    def beat(self, collector: str, gaps: int, run_id: str = "a", keys_lost: str = "") -> None:
        of = config(collector)
        self.pulses[of.id] = pulse(heartbeat(of, gaps=gaps, run_id=run_id, keys_lost=keys_lost))

    def rounds(self, count: float, redis_trouble: str = "") -> list[JournalEntry]:
        entries = list[JournalEntry]()
        for _ in range(round(count)):
            self.clock.move(1)
            entries += self.incidents.of_round(self.lease, redis_trouble, None if redis_trouble else self.pulses)
        return entries


@pytest.fixture
def scene() -> Scene:
    return Scene()


def short(entries: list[JournalEntry]) -> list[tuple[What, str, dict[str, str]]]:
    assert {entry.who for entry in entries} <= {"manager"}
    return [(entry.what, entry.why, entry.details) for entry in entries]


def test_refused_writes_are_reported_once_they_last_and_when_they_end(scene: Scene) -> None:
    since_ns, seen = scene.clock.now_ns(), list[tuple[int, JournalEntry]]()
    for second in range(60):
        no_writes = NoWrites("OOM", since_ns) if second < 40 else None
        seen += [(second, entry) for entry in scene.incidents.of_writes(scene.lease, no_writes)]
        scene.clock.move(1)
    details = {"code": "OOM", "since": str(since_ns)}
    assert [(second, entry.what, entry.why, entry.details) for second, entry in seen] == [
        (20, What.WRITES_REFUSED, "Redis takes no writes: OOM, since 08:00:00 UTC", details),
        (40, What.WRITES_TAKEN, "Redis takes writes again (OOM, after 40 s)", {**details, "refused_s": "40"}),
    ]


def test_what_was_over_soon_stands_in_the_journal_alone(scene: Scene) -> None:
    known = NoWrites("READONLY", scene.clock.now_ns())
    assert list(scene.incidents.of_writes(scene.lease, known)) == []
    scene.clock.move(6)
    assert [(entry.what, entry.why) for entry in scene.incidents.of_writes(scene.lease, None)] == [
        (What.WRITES_TAKEN, "Redis takes writes again (READONLY, after 6 s)")
    ]


def test_redis_away_for_long_is_told_once_and_that_it_is_back(scene: Scene) -> None:
    scene.rounds(1)
    since = scene.clock.now_ns() + S
    assert scene.rounds(60, AWAY) == []
    assert short(scene.rounds(600, AWAY)) == [(What.REDIS_AWAY, f"{AWAY} for 60 s", {})]
    why = f"after 11 min, since 08:00:02 UTC ({AWAY})"
    details = {"since": str(since), "until": str(since + 660 * S), "away_s": "660"}
    assert short(scene.rounds(5)) == [(What.REDIS_BACK, why, details)]


def test_a_short_absence_of_redis_stands_there_too(scene: Scene) -> None:
    scene.rounds(1)
    since = scene.clock.now_ns() + S
    assert scene.rounds(4, AWAY) == []
    details = {"since": str(since), "until": str(since + 4 * S), "away_s": "4"}
    assert short(scene.rounds(90)) == [(What.REDIS_BACK, f"after 4 s, since 08:00:02 UTC ({AWAY})", details)]


def test_a_redis_that_comes_and_goes_is_told_once_a_minute(scene: Scene) -> None:
    scene.rounds(1)
    told = list[JournalEntry]()
    for _ in range(20):
        told += scene.rounds(2, AWAY)
        told += scene.rounds(3)
    assert [entry.details.get("times") for entry in told] == [None, "12"]
    first, second = told
    assert (first.details["away_s"], second.details["away_s"]) == ("2", "24")
    assert second.why == f"after 24 s in 12 times, since 08:00:07 UTC ({AWAY})"
    assert [int(entry.details["until"]) - int(entry.details["since"]) for entry in told] == [2 * S, 57 * S]


def test_a_redis_that_starts_together_with_the_manager_was_not_away(scene: Scene) -> None:
    assert scene.rounds(5, AWAY) + scene.rounds(90) == []


def test_a_second_manager_is_told_by_the_one_that_looks_on(scene: Scene) -> None:
    scene.lease.leading, scene.lease.holder = False, "web-1:7:ab"
    assert scene.rounds(3) == []
    scene.lease.standing_by = True
    assert short(scene.rounds(3)) == [(What.MANAGER_STANDBY, "another manager acts: web-1:7:ab", {})]
    scene.lease.leading, scene.lease.standing_by, scene.lease.holder = True, False, ""
    assert short(scene.rounds(3)) == [(What.MANAGER_TOOK_OVER, "the other manager has gone", {})]


def test_one_that_looks_on_leaves_the_rest_to_the_other(scene: Scene) -> None:
    scene.lease.leading, scene.lease.holder = False, "web-1:7:ab"
    scene.beat("BTC-USDT", 0)
    scene.rounds(1)
    scene.beat("BTC-USDT", 5)
    assert scene.rounds(1) + scene.rounds(100, AWAY) == []


def test_data_lost_is_told_at_once_and_then_summed_up(scene: Scene) -> None:
    scene.beat("BTC-USDT", 7)
    scene.beat("ETH-USDT", 0)
    assert scene.rounds(2) == [], "what was lost before is no news"
    scene.beat("BTC-USDT", 8)
    (first,) = scene.rounds(1)
    why = "1 hole could not be filled; manager-cli coverage okx:BTC-USDT"
    assert (first.what, first.collector, first.why, first.details) == (What.DATA_LOST, str(BTC), why, {"gaps": "1"})
    for gaps in (10, 11):
        scene.beat("BTC-USDT", gaps)
        scene.beat("ETH-USDT", gaps)
        assert scene.rounds(1) == []
    later = scene.rounds(LOSSES_EVERY_S)
    assert [(entry.collector, entry.details) for entry in later] == [
        (str(BTC), {"gaps": "3"}),
        (str(ETH), {"gaps": "11"}),
    ]


@pytest.mark.parametrize(("gaps", "lost"), [(0, []), (2, [{"gaps": "2"}])])
def test_another_run_counts_from_nothing(gaps: int, lost: list[Any], scene: Scene) -> None:
    scene.beat("BTC-USDT", 7)
    scene.rounds(1)
    scene.beat("BTC-USDT", gaps, run_id="b")
    assert [entry.details for entry in scene.rounds(1)] == lost


def test_a_collector_without_a_heartbeat_has_lost_nothing(scene: Scene) -> None:
    scene.pulses = {BTC: Pulse()}
    scene.rounds(1)
    scene.beat("BTC-USDT", 9)
    assert scene.rounds(1) == []


def test_a_deleted_stream_is_told_once(scene: Scene) -> None:
    gone = "what was in s is gone: somebody deleted it"
    scene.beat("BTC-USDT", 0)
    scene.beat("ETH-USDT", 0, keys_lost=gone)  # it was there before this manager
    assert scene.rounds(2) == []
    scene.beat("BTC-USDT", 0, keys_lost=f"{gone}\n")
    (entry,) = scene.rounds(3)
    assert (entry.what, entry.collector, entry.why) == (What.KEYS_LOST, str(BTC), gone)
    scene.beat("BTC-USDT", 0)
    assert scene.rounds(1) == []


def test_a_redis_that_evicts_keys_does_not_fill_the_journal(scene: Scene) -> None:
    """The newest loss of each collector is in the journal a minute later."""
    for name in ("BTC-USDT", "ETH-USDT"):
        scene.beat(name, 0)
    scene.rounds(1)
    scene.beat("BTC-USDT", 0, keys_lost="gone")
    assert [entry.why for entry in scene.rounds(1)] == ["gone"]
    scene.beat("SOL-USDT", 0)
    assert scene.rounds(1) == []
    for time in (2, 3):
        for name in ("BTC-USDT", "SOL-USDT"):
            scene.beat(name, 0, keys_lost=f"gone (time {time})")
        assert scene.rounds(20) == []
    entries = scene.rounds(60)
    assert [(entry.collector, entry.why) for entry in entries] == [
        ("okx:BTC-USDT", "gone (time 3)"), ("okx:SOL-USDT", "gone (time 3)"),
    ]  # fmt: skip


def test_versions_of_the_collectors_that_run_are_told_when_they_change(scene: Scene) -> None:
    def run(collector: str, version: str) -> None:
        of = config(collector)
        scene.pulses[of.id] = pulse(heartbeat(of, version=version))

    run("BTC-USDT", "0.1.0")
    run("ETH-USDT", "0.1.0")

    def told(last: JournalEntry | None) -> list[JournalEntry]:
        return [*scene.incidents.versions(scene.pulses, last)]

    (first,) = told(None)
    assert short([first]) == [(What.VERSIONS_SEEN, "2 of the collectors that run: 0.1.0", {"versions": "0.1.0"})]
    assert told(first) == []
    run("ETH-USDT", "0.2.0")
    (both,) = told(first)
    why = "1 of the collectors that run: 0.1.0, 1 of the collectors that run: 0.2.0"
    assert short([both]) == [(What.VERSIONS_SEEN, why, {"versions": "0.1.0 0.2.0"})]
    run("BTC-USDT", "0.2.0")
    last = "2 of the collectors that run: 0.2.0"
    assert short(told(both)) == [(What.VERSIONS_SEEN, last, {"versions": "0.2.0"})]
