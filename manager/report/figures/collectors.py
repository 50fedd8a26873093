"""Pure: successive heartbeats of a collector become figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Judgement
from manager.report.figures.forecast import StreamForecast
from manager.settings import NS_PER_S
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import DataType

WINDOW_S = 30.0
"""Rates are those of the last 30 to 60 s: long enough for a quiet market, short enough to be the present."""


class CollectorFigures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One collector. What a process says of itself is absent while there is none.

    Attributes:
        restarts: As far back as the journal reaches.
        uptime_s: Since the start of the process.
        cpu_percent: Of one core.
        entries_per_s: By data type.
        lag_p50_ms, lag_p99_ms: From the exchange's time of a trade to its receipt, by the exchange's clock.
        latency_p50_ms, latency_p99_ms: From its receipt to Redis' confirmation.
        streams: What becomes of its streams; those that have been measured.
    """

    restarts: int
    uptime_s: float | None = None
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    entries_per_s: dict[str, float] | None = None
    lag_p50_ms: int | None = None
    lag_p99_ms: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    reconnects: int | None = None
    gaps: int | None = None
    streams: Sequence[StreamForecast] = ()


class Window(Struct, frozen=True, kw_only=True):
    """Two heartbeats of one run to measure from, the older one between one and two ``WINDOW_S`` old."""

    older: Heartbeat
    newer: Heartbeat


def move(window: Window | None, now: Heartbeat) -> Window:
    """The window after one more heartbeat; another run begins anew."""
    if window is None or window.newer.run_id != now.run_id:
        return Window(older=now, newer=now)
    if (now.beat_at - window.newer.beat_at) / NS_PER_S >= WINDOW_S:
        return Window(older=window.newer, newer=now)
    return window


def rates(window: Window | None, now: Heartbeat) -> dict[str, float] | None:
    """Entries per second by data type since the begin of the window; None where no time has passed."""
    passed_s = _passed_s(window, now)
    if window is None or passed_s <= 0:
        return None
    before = {data_type: progress.count for data_type, progress in window.older.progress.items()}
    return {
        data_type.value: round(max(0, progress.count - before.get(data_type, 0)) / passed_s, 2)
        for data_type, progress in now.progress.items()
    }


def figures_of(
    judgement: Judgement, window: Window | None, restarts: int, streams: Sequence[StreamForecast]
) -> CollectorFigures:
    """The figures of a collector; ``window`` is that before its present heartbeat."""
    now = living(judgement)
    if now is None:
        return CollectorFigures(restarts=restarts, streams=streams)
    passed_s = _passed_s(window, now)
    cpu_s = now.cpu_seconds - window.older.cpu_seconds if window else 0.0
    return CollectorFigures(
        restarts=restarts,
        uptime_s=round((now.beat_at - now.started_at) / NS_PER_S, 1),
        cpu_percent=round(100 * cpu_s / passed_s, 2) if passed_s > 0 else None,
        rss_bytes=now.rss_bytes,
        entries_per_s=rates(window, now),
        lag_p50_ms=now.lag_p50_ms if has_traded(now) else None,
        lag_p99_ms=now.lag_p99_ms if has_traded(now) else None,
        latency_p50_ms=now.latency_p50_us / 1000 if now.entries_published else None,
        latency_p99_ms=now.latency_p99_us / 1000 if now.entries_published else None,
        reconnects=now.reconnects,
        gaps=now.gaps,
        streams=streams,
    )


def has_traded(beat: Heartbeat) -> bool:
    """Whether this run has had a trade, so that a lag of 0 is one."""
    return DataType.TRADE in beat.progress and beat.progress[DataType.TRADE].count > 0


def living(judgement: Judgement) -> Heartbeat | None:
    """The heartbeat of a living process; the heartbeat of an ended process says nothing about the present."""
    pulse = judgement.pulse
    if pulse.heartbeat is None or pulse.expired or pulse.heartbeat.exit_code is not None:
        return None
    return pulse.heartbeat


class Restarts:
    """Counts the processes that each collector has had after its first, as a fold over the journal.

    So a new manager continues where the one before it was; as far back as the journal reaches.
    """

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self._started: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        for entry in entries:
            self.add(entry)

    def add(self, entry: JournalEntry) -> None:
        """One more entry."""
        if entry.what is What.FLEET_APPLIED:
            for removed in entry.details.get("removed", "").split():
                self._started.pop(removed, None)
                self.counts.pop(removed, None)
        elif entry.what is What.RUN_SEEN:
            started = entry.details.get("started_s", "")
            if self._started.get(entry.collector, started) != started:
                self.counts[entry.collector] += 1
            self._started[entry.collector] = started


class Totals(Struct, frozen=True, kw_only=True):
    """The fleet. ``failed`` are those that should run, are not well and are not in their start either."""

    healthy: int
    failed: int
    restarted: int
    reconnects: int
    gaps: int
    cpu_percent: float
    rss_bytes: int
    entries_per_s: float


def count_failed(summary: Mapping[str, int]) -> int:
    """How many of the collectors have failed, by the summary of their verdicts; see ``Totals``."""
    return summary["desired"] - summary["healthy"] - summary["starting"]


def total(summary: Mapping[str, int], figures: Sequence[CollectorFigures]) -> Totals:
    """Sums over all collectors; ``summary`` is that of their verdicts."""
    return Totals(
        healthy=summary["healthy"],
        failed=count_failed(summary),
        restarted=sum(each.restarts for each in figures),
        reconnects=sum(each.reconnects or 0 for each in figures),
        gaps=sum(each.gaps or 0 for each in figures),
        cpu_percent=round(sum(each.cpu_percent or 0.0 for each in figures), 2),
        rss_bytes=sum(each.rss_bytes or 0 for each in figures),
        entries_per_s=round(sum(sum((each.entries_per_s or {}).values()) for each in figures), 2),
    )


def _passed_s(window: Window | None, now: Heartbeat) -> float:
    if window is None or window.older.run_id != now.run_id:
        return 0.0
    return (now.beat_at - window.older.beat_at) / NS_PER_S
