"""A board with everything on it."""

from manager.model.verdicts import Judgement, Verdict
from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.document import Figures
from manager.report.figures.forecast import MemoryForecast, StreamForecast
from manager.report.figures.system import SystemFigures
from manager.report.snapshot import Shown, Snapshot
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tickfleet.contract.health import Progress
from tickfleet.contract.identity import DataType

BTC, ETH, SOL = (
    config(candle_intervals=("1m", "5m")),
    config("ETH-USDT", data_types=(DataType.TRADE,)),
    config("SOL-USDT"),
)
NOW_S = 1_000.0


def judgements() -> list[Judgement]:
    """One that is healthy, one that has just begun, one that is gone."""
    beat = heartbeat(
        BTC,
        NOW_NS,
        rss_bytes=30_000_000,
        cpu_seconds=12.5,
        entries_published=400,
        gaps=3,
        latency_p50_us=250,
        latency_p99_us=4_000,
        lag_p50_ms=40,
        lag_p99_ms=200,
        clock_offset_ms=-15,
    )
    young = heartbeat(ETH, NOW_NS, last_frame_at=0, banned_until=NOW_NS + 60 * S, progress={DataType.TRADE: Progress()})
    return [
        Judgement(config=BTC, verdict=Verdict.HEALTHY, why="data flows", pulse=pulse(beat), process=process(BTC)),
        Judgement(config=ETH, verdict=Verdict.STARTING, why="connecting for 1 s", pulse=pulse(young)),
        Judgement(config=SOL, verdict=Verdict.DEAD, why="not started yet"),
    ]


def stream(kind: str, entries: int) -> StreamForecast:
    """A stream of BTC."""
    return StreamForecast(
        key=f"md:{kind}", kind=kind, entries=entries, maxlen=1_000, bytes=entries * 10, full_bytes=10_000
    )


def figures() -> Figures:
    """What a survey of these has brought."""
    streams = [stream("trade", 100), stream("candles", 7), stream("candles", 5)]
    return Figures(
        at=NOW_NS,
        totals=Totals(
            healthy=1, failed=1, restarted=2, reconnects=0, gaps=3, cpu_percent=1.0, rss_bytes=30, entries_per_s=5.0
        ),
        system=SystemFigures(
            cpu_count=2,
            manager_cpu_s=1.5,
            cpu_percent=25.0,
            load_1m=0.5,
            disk_free_bytes=7,
            redis_used_bytes=2_000,
            uptime_s=90.5,
        ),
        collectors={
            str(BTC.id): CollectorFigures(restarts=2, streams=streams),
            str(SOL.id): CollectorFigures(restarts=0),
        },
        memory=MemoryForecast(
            streams_bytes=1_120, streams_full_bytes=30_000, redis_full_bytes=31_000, measured=3, streams=3
        ),
    )


def snapshot() -> Snapshot:
    """All that."""
    found = Snapshot(NOW_S)
    found.shown = Shown(
        at_s=NOW_S - 0.5,
        rounds=77,
        judgements=judgements(),
        beat={"pid": 7, "version": "0.1.0", "started_at": NOW_NS - 60 * S, "state": "running", "last_error": ""},
        leading=True,
    )
    found.figures = figures()
    found.count_alerts(2, 1)
    return found
