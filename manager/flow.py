"""Pure judgement of a collector whose loop turns: does the data flow that should?

All ages are differences between times in one heartbeat, so they are the worker's own clock and no other clock matters.
"""

from common.config import ExchangeCollectorConfig
from common.health import BookState, Heartbeat, Progress, WorkerState
from common.identity import DataType
from manager.settings import NS_PER_S, ManagerSettings
from manager.verdicts import Verdict
from manager.words import phrase, span

_ON_THE_WAY = {
    WorkerState.STARTING: "starting",
    WorkerState.CONNECTING: "connecting",
    WorkerState.SUBSCRIBING: "subscribing",
}


def judge_flow(config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings) -> tuple[Verdict, str]:
    """Verdict and reason for a collector with a fresh heartbeat."""
    state, error = heartbeat.state, phrase(heartbeat.last_error)
    if state in (WorkerState.STOPPING, WorkerState.STOPPED) or heartbeat.exit_code is not None:
        return Verdict.DEAD, "its process is ending" + (f": {error}" if error else "")
    if state is WorkerState.CATCHING_UP:
        return _catching_up(config, heartbeat, settings)
    if state in _ON_THE_WAY:
        # A lost connection is given the same time as a start, counted from the last frame.
        age_s = _since_s(heartbeat, heartbeat.started_at, heartbeat.last_frame_at)
        doing = f"{_ON_THE_WAY[state]} for {span(age_s)}" + (f": {error}" if error else "")
        return (Verdict.STARTING if age_s < settings.start_limit_s else Verdict.SILENT), doing
    if state in (WorkerState.DEGRADED, WorkerState.ERROR):
        return Verdict.SILENT, error or "part of what it should collect does not arrive"
    return _running(config, heartbeat)


def _catching_up(
    config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings
) -> tuple[Verdict, str]:
    age_s = _since_s(heartbeat, heartbeat.started_at, heartbeat.connected_since)
    verdict = Verdict.STARTING if age_s < settings.start_limit_s + config.max_backfill_wait else Verdict.SILENT
    return verdict, f"fetching missed data for {span(age_s)}"


def _running(config: ExchangeCollectorConfig, heartbeat: Heartbeat) -> tuple[Verdict, str]:
    if heartbeat.book_state is BookState.STALE:
        return Verdict.SILENT, "its order book is stale"
    silences = {
        data_type: age_s
        for data_type in config.data_types
        if (age_s := _silence_s(config, heartbeat, data_type)) is not None
    }
    if not silences:
        return Verdict.HEALTHY, "data flows"
    missing = ", ".join(f"no {data_type.value} for {span(age_s)}" for data_type, age_s in silences.items())
    if len(silences) == len(config.data_types):
        return Verdict.SILENT, missing
    if DataType.ORDERBOOK in silences:  # a book moves even when nobody trades
        return Verdict.SILENT, missing
    return Verdict.QUIET, f"{missing}; other data flows"


def _silence_s(config: ExchangeCollectorConfig, heartbeat: Heartbeat, data_type: DataType) -> float | None:
    """Seconds without data where that is longer than usual, else None."""
    progress = heartbeat.progress.get(data_type, Progress())
    limit_s = progress.silence_limit / NS_PER_S or config.health_check_interval
    since = progress.last_event_at or max(heartbeat.started_at, heartbeat.connected_since)
    age_s = _since_s(heartbeat, since)
    return age_s if age_s > limit_s else None


def _since_s(heartbeat: Heartbeat, *times_ns: int) -> float:
    return (heartbeat.beat_at - max(times_ns)) / NS_PER_S
