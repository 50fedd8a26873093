from typing import Any

import pytest
from msgspec.structs import replace

from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Judgement, Verdict
from manager.report.figures.collectors import CollectorFigures, Restarts, Totals, Window, figures_of, move, rates, total
from tests.manager.fakes import NOW_NS, S, config, heartbeat, pulse
from tickfleet.contract.health import Heartbeat, Progress
from tickfleet.contract.identity import DataType

TRADES = config(data_types=(DataType.TRADE, DataType.TICKER))


def beat(after_s: float, trades: int = 0, ticker: int = 0, **changes: Any) -> Heartbeat:
    """A heartbeat of one run, so many seconds and entries after its first."""
    at_ns = NOW_NS + round(after_s * S)
    progress = {DataType.TRADE: Progress(count=trades), DataType.TICKER: Progress(count=ticker)}
    return heartbeat(TRADES, at_ns, **{"started_at": NOW_NS - 600 * S, "progress": progress, **changes})


def judgement(of: Heartbeat | None = None, **changes: Any) -> Judgement:
    facts = {"config": TRADES, "verdict": Verdict.HEALTHY, "why": "data flows", "pulse": pulse(of or beat(0))}
    return Judgement(**{**facts, **changes})


def test_a_window_is_between_30_and_60_s_long() -> None:
    window, lengths = None, []
    for second in range(0, 130, 5):
        window = move(window, beat(second))
        lengths.append((beat(second).beat_at - window.older.beat_at) // S)
    assert lengths[:7] == [0, 5, 10, 15, 20, 25, 30]
    assert lengths[7:] == [35, 40, 45, 50, 55, 30] * 3 + [35]


def test_another_run_begins_anew() -> None:
    first, second = beat(0, run_id="a"), beat(5, run_id="b")
    window = move(move(None, first), second)
    assert window == Window(older=second, newer=second)
    assert rates(Window(older=first, newer=first), second) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (beat(10, trades=140, ticker=7), {"trade": 4.0, "ticker": 0.7}),
        (beat(0, trades=140), None),
        (beat(10, trades=90), {"trade": 0.0, "ticker": 0.0}),
    ],
)
def test_rates(now: Heartbeat, expected: dict[str, float] | None) -> None:
    older = beat(0, trades=100)
    assert rates(Window(older=older, newer=older), now) == expected
    assert rates(None, now) is None


def test_the_figures_of_a_collector() -> None:
    older = beat(0, cpu_seconds=2.0)
    now = beat(
        40,
        80,
        4,
        cpu_seconds=3.0,
        rss_bytes=5,
        reconnects=2,
        gaps=1,
        entries_published=1,
        latency_p50_us=1500,
        latency_p99_us=9,
        lag_p99_ms=7,
    )
    assert figures_of(judgement(now), Window(older=older, newer=older), 3, ()) == CollectorFigures(
        restarts=3,
        uptime_s=640.0,
        cpu_percent=2.5,
        rss_bytes=5,
        entries_per_s={"trade": 2.0, "ticker": 0.1},
        lag_p99_ms=7,
        lag_p50_ms=0,
        latency_p50_ms=1.5,
        latency_p99_ms=0.009,
        reconnects=2,
        gaps=1,
    )


@pytest.mark.parametrize(
    "gone", [pulse(beat(0), expired=True), pulse(beat(0, exit_code=78)), replace(pulse(), heartbeat=None)]
)
def test_of_a_process_that_is_gone_only_the_restarts_are_told(gone: Any) -> None:
    assert figures_of(judgement(pulse=gone), None, 3, ()) == CollectorFigures(restarts=3)


def seen(started_s: int, collector: str = "okx:BTC-USDT") -> JournalEntry:
    details = {"started_s": str(started_s), "pid": "7"}
    return JournalEntry(at_ns=NOW_NS, who="manager", what=What.RUN_SEEN, collector=collector, details=details)


def applied(**details: str) -> JournalEntry:
    return JournalEntry(at_ns=NOW_NS, who="manager", what=What.FLEET_APPLIED, details=details)


def test_restarts_count_from_the_first_process_for_any_journal_reader() -> None:
    journal = [seen(100), seen(130), seen(100, "okx:ETH-USDT"), seen(130), applied(changed="okx:BTC-USDT"), seen(170)]
    restarts = Restarts()
    for entry in journal:
        restarts.add(entry)
    assert dict(restarts.counts) == dict(Restarts(journal).counts) == {"okx:BTC-USDT": 2}


def test_who_is_taken_out_begins_anew() -> None:
    journal = [seen(100), seen(130), applied(removed="okx:BTC-USDT"), seen(170)]
    assert dict(Restarts(journal).counts) == {}
    assert dict(Restarts([*journal, seen(180)]).counts) == {"okx:BTC-USDT": 1}


def test_sums() -> None:
    figures = [
        CollectorFigures(
            restarts=2, cpu_percent=1.5, rss_bytes=10, entries_per_s={"trade": 2.0}, reconnects=4, gaps=1, uptime_s=1.0
        ),
        CollectorFigures(restarts=1),
    ]
    assert total({"desired": 9, "healthy": 4, "starting": 2}, figures) == Totals(
        healthy=4, failed=3, restarted=3, reconnects=4, gaps=1, cpu_percent=1.5, rss_bytes=10, entries_per_s=2.0
    )
