from typing import Any

import pytest

from manager.model.verdicts import Judgement, Verdict, summarise
from manager.report.status_document import status_document, typed
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tests.manager.report.metrics.scene import BTC, figures

BEAT = heartbeat(BTC, NOW_NS)
JUDGEMENTS = [
    Judgement(
        config=BTC,
        verdict=Verdict.HEALTHY,
        why="data flows",
        pulse=pulse(BEAT, fields={"pid": "4242", "host": "123", "cpu_seconds": "1.5"}),
        process=process(BTC),
    ),
    Judgement(config=config("XRP-USDT"), verdict=Verdict.DEAD, why="not started yet"),
]


def collectors(**figures_of: Any) -> list[dict[str, Any]]:
    """What is in the document of these two."""
    return [
        {
            "id": "okx:BTC-USDT",
            "verdict": "healthy",
            "why": "data flows",
            "heartbeat": {"pid": 4242, "host": "123", "cpu_seconds": 1.5},
            "process": {
                "state": "RUNNING",
                "pid": 4242,
                "uptime_s": 600,
                "started_at": NOW_NS - 600 * S,
                "exit_status": 0,
            },
            "figures": figures_of,
        },
        {
            "id": "okx:XRP-USDT",
            "verdict": "dead",
            "why": "not started yet",
            "heartbeat": {},
            "process": {},
            "figures": {},
        },
    ]


def test_without_a_manager() -> None:
    assert status_document(JUDGEMENTS, {}, None) == {
        "manager": {"state": "not running"},
        "summary": summarise(JUDGEMENTS),
        "system": {},
        "totals": {},
        "collectors": collectors(),
    }


def test_with_figures() -> None:
    document = status_document(JUDGEMENTS, {"pid": "7", "state": "running"}, figures())

    def stream(kind: str, entries: int) -> dict[str, Any]:
        size = {"bytes": entries * 10, "full_bytes": 10_000}
        return {"key": f"md:{kind}", "kind": kind, "entries": entries, "maxlen": 1_000, **size}

    streams = [stream("trade", 100), stream("candles", 7), stream("candles", 5)]
    assert document == {
        "manager": {"pid": 7, "state": "running"},
        "summary": summarise(JUDGEMENTS),
        "system": {
            "measured_at": NOW_NS,
            "cpu_count": 2,
            "manager_cpu_s": 1.5,
            "cpu_percent": 25.0,
            "load_1m": 0.5,
            "disk_free_bytes": 7,
            "redis_used_bytes": 2_000,
            "uptime_s": 90.5,
            "memory_forecast": {
                "streams_bytes": 1_120,
                "streams_full_bytes": 30_000,
                "redis_full_bytes": 31_000,
                "measured": 3,
                "streams": 3,
            },
        },
        "totals": {
            "healthy": 1,
            "failed": 1,
            "restarted": 2,
            "reconnects": 0,
            "gaps": 3,
            "cpu_percent": 1.0,
            "rss_bytes": 30,
            "entries_per_s": 5.0,
        },
        "collectors": collectors(restarts=2, streams=streams),
    }


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("-7", -7), ("1.5", 1.5), ("1e5", "1e5"), ("x", "x"), ("", ""), ("9" * 20, "9" * 20)]
)
def test_numbers_are_numbers(text: str, value: object) -> None:
    assert typed({"pid": text}) == {"pid": value}


def test_names_stay_texts() -> None:
    assert typed({"host": "123", "run_id": "77", "version": "1.5", "beats": 5}) == {
        "host": "123",
        "run_id": "77",
        "version": "1.5",
        "beats": 5,
    }
