"""Pure: what is on the board becomes Prometheus metrics. The only place that knows prometheus_client.

Names follow https://prometheus.io/docs/practices/naming/: base units at the end, ``_total`` for counters. Labels are
the collector and the data type, so the number of series grows with the fleet and with nothing else. Counters of a
worker begin anew with its process, as Prometheus' ``rate()`` and ``increase()`` expect.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector, CollectorRegistry

from manager.decide.bans import ban_of
from manager.model.verdicts import Judgement, summarise
from manager.report.figures.collectors import CollectorFigures, count_failed, has_traded, living
from manager.report.figures.document import Figures
from manager.report.snapshot import Shown, Snapshot
from manager.settings import NS_PER_S
from tickfleet.contract.health import Heartbeat, Progress

_Kind = type[GaugeMetricFamily] | type[CounterMetricFamily]
_Read = Callable[[Heartbeat], float]
_ReadIfKnown = Callable[[Heartbeat], float | None]


def _known(value: float, evidence: int) -> float | None:
    """A figure that may be 0, if the thing that it measures exists."""
    return value if evidence else None


_GAUGES: Mapping[str, tuple[str, _ReadIfKnown]] = {
    "start_time_seconds": ("When its process began.", lambda beat: beat.started_at / NS_PER_S),
    "last_frame_timestamp_seconds": ("Its last frame of any kind.", lambda b: b.last_frame_at / NS_PER_S or None),
    "banned_until_timestamp_seconds": (
        "Until when its exchange has turned the machine away.",
        lambda beat: None if ban_of(beat) is None else beat.banned_until / NS_PER_S,
    ),
    "resident_memory_bytes": ("Memory of its process.", lambda beat: beat.rss_bytes),
    "buffered_entries": ("Entries that wait for Redis.", lambda beat: beat.entries_buffered),
    "publish_latency_p50_seconds": (
        "Receipt to confirmation, median.",
        lambda b: _known(b.latency_p50_us / 1e6, b.entries_published),
    ),
    "publish_latency_p99_seconds": (
        "The same, 99th percentile.",
        lambda b: _known(b.latency_p99_us / 1e6, b.entries_published),
    ),
    "exchange_lag_p50_seconds": (
        "Time of a trade to its receipt, median.",
        lambda b: _known(b.lag_p50_ms / 1e3, has_traded(b)),
    ),
    "exchange_lag_p99_seconds": ("The same, 99th percentile.", lambda b: _known(b.lag_p99_ms / 1e3, has_traded(b))),
    "clock_offset_seconds": ("The exchange's clock minus ours.", lambda beat: beat.clock_offset_ms / 1e3),
    "loop_lag_seconds": ("How late its loop was at its last beat.", lambda beat: beat.loop_lag_ms / 1e3),
}
"""Of one collector's heartbeat: name behind ``tickfleet_collector_``, help, value (None where there is none yet)."""

_COUNTERS: Mapping[str, tuple[str, _Read]] = {
    "cpu_seconds": ("CPU time of its process.", lambda beat: beat.cpu_seconds),
    "published_entries": ("Entries that Redis has confirmed.", lambda beat: beat.entries_published),
    "dropped_entries": (
        "Entries not published: the buffer was full, or their stream refuses entries.",
        lambda beat: beat.entries_dropped,
    ),
    "backfilled_entries": ("Entries fetched by REST.", lambda beat: beat.backfilled),
    "duplicate_entries": ("Repeated entries left out.", lambda beat: beat.duplicates_dropped),
    "decode_errors": ("Frames that could not be read.", lambda beat: beat.decode_errors),
    "gaps": ("Holes in its streams that could not be filled.", lambda beat: beat.gaps),
    "reconnects": ("Connections to the exchange made anew.", lambda beat: beat.reconnects),
    "resyncs": ("Order books built anew.", lambda beat: beat.resyncs),
    "redis_reconnects": ("Connections to Redis made anew.", lambda beat: beat.redis_reconnects),
}

_BY_TYPE: tuple[tuple[_Kind, str, str, Callable[[Progress], float | None]], ...] = (
    (CounterMetricFamily, "entries", "Entries since the start of its process.", lambda progress: progress.count),
    (
        GaugeMetricFamily,
        "last_event_timestamp_seconds",
        "Receipt of the last one.",
        lambda progress: progress.last_event_at / NS_PER_S or None,
    ),
)

OPENMETRICS = "application/openmetrics-text"
"""What a client that accepts this format sends; Prometheus sends it, and prefers this format."""


def render(snapshot: Snapshot, now_s: float, accept: str = "") -> tuple[str, bytes]:
    """Content type and text of /metrics, in the format that the client's ``Accept`` asks for."""
    registry = CollectorRegistry()
    registry.register(_Families(snapshot, now_s))
    if OPENMETRICS in accept:
        body: bytes = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
        return exposition.CONTENT_TYPE_LATEST, body
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


class _Families(Collector):
    def __init__(self, snapshot: Snapshot, now_s: float) -> None:
        self._snapshot, self._now_s = snapshot, now_s

    def describe(self) -> Iterable[Metric]:
        return ()  # else the registry would collect twice

    def collect(self) -> Iterator[Metric]:
        shown, figures = self._snapshot.shown, self._snapshot.figures
        yield from _manager(self._snapshot, shown, self._now_s)
        yield from _collectors(shown.judgements)
        if figures is not None:
            yield from _figures(figures)


def _manager(snapshot: Snapshot, shown: Shown, now_s: float) -> Iterator[Metric]:
    version = shown.beat.get("version")
    if version is not None:
        yield InfoMetricFamily("tickfleet_manager", "The manager.", {"version": str(version)})
        yield _gauge("manager_start_time_seconds", "When it began.", int(shown.beat["started_at"]) / NS_PER_S)
    yield _gauge("manager_leading", "1 while it acts, 0 while another manager does.", shown.leading)
    yield _gauge("manager_loop_age_seconds", "Time since the end of its last round.", max(0.0, now_s - shown.at_s))
    yield _counter("manager_rounds", "Rounds of its loop.", shown.rounds)
    yield _gauge("redis_up", "Whether Redis answers the manager.", not shown.redis_trouble)
    writable = not (shown.redis_trouble or shown.writes_trouble)
    yield _gauge("redis_writable", "Whether Redis takes writes: one that is full answers, and is up.", writable)
    yield _gauge("supervisord_up", "Whether supervisord answers the manager.", not shown.supervisor_trouble)
    yield _counter("alerts_sent", "Alerts that the webhook took.", snapshot.alerts_sent)
    yield _counter("alerts_dropped", "Alerts given up.", snapshot.alerts_dropped)


def _collectors(judgements: Iterable[Judgement]) -> Iterator[Metric]:
    judgements = list(judgements)
    up = _family(GaugeMetricFamily, "up", "1 while it is healthy, a quiet market included.")
    desired = _family(GaugeMetricFamily, "desired", "1 while it should run.")
    for judgement in judgements:
        up.add_metric([str(judgement.id)], judgement.well)
        desired.add_metric([str(judgement.id)], judgement.config.enabled)
    yield up
    yield desired
    if judgements:  # those of ``up``, not of the last survey: a page must not contradict itself
        summary = summarise(judgements)
        yield _gauge("collectors_healthy", "Collectors that are well.", summary["healthy"])
        yield _gauge("collectors_failed", "Collectors that should run and do not work.", count_failed(summary))
    beats = [(str(each.id), beat) for each in judgements if (beat := living(each)) is not None]
    tables: tuple[tuple[_Kind, Mapping[str, tuple[str, _Read]] | Mapping[str, tuple[str, _ReadIfKnown]]], ...]
    tables = (GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)
    for kind, table in tables:
        for name, (text, read) in table.items():
            family = _family(kind, name, text)
            for collector, beat in beats:
                _add(family, read(beat), collector)
            yield family
    for kind, name, text, read_type in _BY_TYPE:
        family = _family(kind, name, text, "type")
        for collector, beat in beats:
            for data_type, progress in beat.progress.items():
                _add(family, read_type(progress), collector, data_type.value)
        yield family


def _figures(figures: Figures) -> Iterator[Metric]:
    restarts = _family(
        CounterMetricFamily, "restarts", "New processes after its first, as far back as the journal reaches."
    )
    for collector, each in figures.collectors.items():
        restarts.add_metric([collector], each.restarts)
    yield restarts
    yield from _streams(figures.collectors)
    for name, text, value in _machine(figures):
        if value is not None:
            yield _gauge(name, text, value)
    yield _counter("manager_cpu_seconds", "CPU time of the manager.", figures.system.manager_cpu_s)


def _streams(collectors: Mapping[str, CollectorFigures]) -> Iterator[Metric]:
    """By data type, in which the streams of all intervals count as one."""
    entries = _family(GaugeMetricFamily, "stream_entries", "Entries in its streams.", "type")
    now = _family(GaugeMetricFamily, "stream_bytes", "Memory of its streams.", "type")
    full = _family(GaugeMetricFamily, "stream_full_bytes", "Memory of its streams when they are full.", "type")
    for collector, each in collectors.items():
        for kind in dict.fromkeys(stream.kind for stream in each.streams):
            labels, of_kind = [collector, kind], [stream for stream in each.streams if stream.kind == kind]
            entries.add_metric(labels, sum(stream.entries for stream in of_kind))
            now.add_metric(labels, sum(stream.bytes for stream in of_kind))
            full.add_metric(labels, sum(stream.full_bytes for stream in of_kind))
    yield from (entries, now, full)


def _machine(figures: Figures) -> Iterator[tuple[str, str, float | None]]:
    system, memory = figures.system, figures.memory
    busy = None if system.cpu_percent is None else system.cpu_percent / 100
    yield "system_cpu_busy_ratio", "Share of the time in which the processors work.", busy
    yield "system_load1", "Processes that run or want to, over a minute.", system.load_1m
    yield "system_memory_bytes", "Memory of the machine.", system.memory_total_bytes
    yield "system_memory_available_bytes", "What can be had of it.", system.memory_available_bytes
    yield "uptime_seconds", "Time since supervisord started.", system.uptime_s
    yield "disk_size_bytes", "The disk that var/ lies on.", system.disk_total_bytes
    yield "disk_free_bytes", "What is free of it.", system.disk_free_bytes
    yield "manager_resident_memory_bytes", "Memory of the manager.", system.manager_rss_bytes
    yield "redis_memory_used_bytes", "What Redis uses.", system.redis_used_bytes
    yield "redis_memory_max_bytes", "Its maxmemory, where it has one.", system.redis_max_bytes
    if memory is not None:
        yield "redis_memory_full_bytes", "What it will use when all streams are full.", memory.redis_full_bytes
        yield "redis_memory_limit_bytes", "What it may use: maxmemory, else what is free.", memory.limit_bytes


def _family(kind: _Kind, name: str, text: str, *labels: str) -> GaugeMetricFamily | CounterMetricFamily:
    return kind(f"tickfleet_collector_{name}", text, labels=["collector", *labels])


def _add(family: GaugeMetricFamily | CounterMetricFamily, value: float | None, *labels: str) -> None:
    if value is not None:
        family.add_metric(labels, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tickfleet_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"tickfleet_{name}", text, value=value)
