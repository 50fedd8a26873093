"""Pure judgement of a collector whose loop turns: does the expected data flow?

| silent longer than usual | corroborated by | verdict |
| --- | --- | --- |
| anything | the worker has found that the exchange has newer data | silent |
| anything | a recent look by REST that found no newer trade | quiet |
| order book, candles | nothing | silent: a book moves without trades, bars come by the clock |
| trades, tickers | other data types of the collector flow | quiet |
| trades, tickers | frames still come in, keepalives at least | quiet |
| everything, frames too | nothing | silent |

All ages are differences between times in one heartbeat, so they are the worker's own clock and no other clock matters.
"""

from common.config.collector import ExchangeCollectorConfig
from manager.decide.bans import ban_of
from manager.model.formatting import one_line, span
from manager.model.verdicts import Verdict
from manager.settings import NS_PER_S, ManagerSettings
from tickfleet.contract.health import BookState, Heartbeat, Progress, RestLook, WorkerState
from tickfleet.contract.identity import DataType

_ON_THE_WAY = {
    WorkerState.STARTING: "starting",
    WorkerState.CONNECTING: "connecting",
    WorkerState.SUBSCRIBING: "subscribing",
}
_NEVER_QUIET = frozenset({DataType.ORDERBOOK, DataType.CANDLES})
"""By themselves. Some exchanges send neither while nobody trades (Binance), which only a look by REST can show."""

RECONNECTS_BEFORE_RESTART = 2
"""The worker's own step comes first: while it has connected a mute feed anew only once, that may still help."""


def judge_flow(config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings) -> tuple[Verdict, str]:
    """Verdict and reason for a collector with a fresh heartbeat."""
    ban = ban_of(heartbeat)
    state, error = heartbeat.state, one_line(heartbeat.last_error) if ban is None else str(ban)
    if state in (WorkerState.STOPPING, WorkerState.STOPPED) or heartbeat.exit_code is not None:
        return Verdict.DEAD, "its process is ending" + (f": {error}" if error else "")
    if heartbeat.mute:  # also while it connects anew for that
        return Verdict.SILENT, f"the exchange has newer data than its socket brings ({one_line(heartbeat.mute)})"
    if state is WorkerState.CATCHING_UP:
        return _catching_up(config, heartbeat, settings)
    if state is WorkerState.SUBSCRIBING and is_connected(heartbeat):
        return _unheard(config, heartbeat, settings, error)
    if state in _ON_THE_WAY:
        # A lost connection is given the same time as a start, counted from the last data: frames come on each new
        # connection, also where none lasts.
        newest = (progress.last_event_at for progress in heartbeat.progress.values())
        age_s = _since_s(heartbeat, heartbeat.started_at, *newest)
        doing = f"{_ON_THE_WAY[state]} for {span(age_s)}" + (f": {error}" if error else "")
        return (Verdict.STARTING if age_s < settings.start_limit_s else Verdict.SILENT), doing
    if state in (WorkerState.DEGRADED, WorkerState.ERROR):
        # At its start the sockets come up one after the other, and the first that runs makes the others a lack.
        young = not heartbeat.connected_since and _since_s(heartbeat, heartbeat.started_at) < settings.start_limit_s
        verdict = Verdict.STARTING if young and state is WorkerState.DEGRADED else Verdict.SILENT
        return verdict, error or "part of what it should collect does not arrive"
    return _running(config, heartbeat, settings)


def is_connected(heartbeat: Heartbeat) -> bool:
    """Whether all its sockets are there and have confirmed, also where one has brought nothing yet."""
    waits = heartbeat.state is WorkerState.SUBSCRIBING and heartbeat.connected_since > 0
    return waits or heartbeat.state is WorkerState.RUNNING


def can_be_cured(heartbeat: Heartbeat) -> bool:
    """Whether a restart may bring back the data of a silent collector.

    It cannot where there is no connection, which the worker keeps trying by itself for as long as it takes.
    """
    if not is_connected(heartbeat):
        return False
    return not heartbeat.mute or heartbeat.mute_reconnects >= RECONNECTS_BEFORE_RESTART


def first_data_limit_s(config: ExchangeCollectorConfig, start_limit_s: float) -> float:
    """How long a confirmed socket may bring nothing before this counts as a silence like any other."""
    return max(start_limit_s, config.health_check_interval)


def _unheard(
    config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings, error: str
) -> tuple[Verdict, str]:
    """All sockets have confirmed, but one of them has brought nothing yet; its data may be rare."""
    age_s = _since_s(heartbeat, heartbeat.connected_since)
    doing = f"subscribing for {span(age_s)}" + (f": {error}" if error else "")
    if age_s <= first_data_limit_s(config, settings.start_limit_s):
        return Verdict.STARTING, doing
    verdict, why = _running(config, heartbeat, settings)
    return (Verdict.QUIET, doing) if verdict is Verdict.HEALTHY else (verdict, why)


def _catching_up(
    config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings
) -> tuple[Verdict, str]:
    # counted from this hole, not from the connection: that may be days old
    since_ns = heartbeat.catching_up_since or max(heartbeat.started_at, heartbeat.connected_since)
    age_s = _since_s(heartbeat, since_ns)
    verdict = Verdict.STARTING if age_s < settings.start_limit_s + config.max_backfill_wait else Verdict.SILENT
    return verdict, f"fetching missed data for {span(age_s)}"


def _running(config: ExchangeCollectorConfig, heartbeat: Heartbeat, settings: ManagerSettings) -> tuple[Verdict, str]:
    if heartbeat.book_state is BookState.STALE:
        return Verdict.SILENT, "its order book is stale"
    silences = {
        data_type: age_s
        for data_type in config.data_types
        if (age_s := _silence_s(config, heartbeat, data_type)) is not None
    }
    missing = ", ".join(f"no {data_type.value} for {span(age_s)}" for data_type, age_s in silences.items())
    if not silences:
        return Verdict.HEALTHY, "data flows"
    if _market_rests(heartbeat, settings):
        return Verdict.QUIET, f"{missing}; the exchange has nothing newer"
    if _NEVER_QUIET & silences.keys():
        return Verdict.SILENT, missing
    if len(silences) < len(config.data_types):
        return Verdict.QUIET, f"{missing}; other data flows"
    if _since_s(heartbeat, heartbeat.last_frame_at) <= settings.socket_fresh_s:
        return Verdict.QUIET, f"{missing}; the socket lives"
    return Verdict.SILENT, missing


def _market_rests(heartbeat: Heartbeat, settings: ManagerSettings) -> bool:
    age_s = _since_s(heartbeat, heartbeat.rest_looked_at)
    return heartbeat.rest_look is RestLook.NOTHING_NEWER and age_s <= settings.look_holds_s


def _silence_s(config: ExchangeCollectorConfig, heartbeat: Heartbeat, data_type: DataType) -> float | None:
    """Seconds without data where that is longer than usual, else None."""
    progress = heartbeat.progress.get(data_type, Progress())
    limit_s = progress.silence_limit / NS_PER_S or config.health_check_interval
    since = progress.last_event_at or max(heartbeat.started_at, heartbeat.connected_since)
    age_s = _since_s(heartbeat, since)
    return age_s if age_s > limit_s else None


def _since_s(heartbeat: Heartbeat, *times_ns: int) -> float:
    return (heartbeat.beat_at - max(times_ns)) / NS_PER_S
