"""Pure: when many collectors start at once, which ones may begin now, and how long may a start take?

For example, supervisord itself restarts two hundred processes: they share the processors, and the collectors of one
exchange share its limit for new connections. If an exchange cannot be reached, its collectors stay in their start for
long. Collectors of other exchanges must not wait for them, nor get a longer limit because of them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from manager.decide.data_flow import is_connected
from manager.model.processes import Process
from manager.model.verdicts import Pulse
from manager.settings import NS_PER_S, ManagerSettings
from tickfleet.contract.health import Heartbeat, WorkerState
from tickfleet.contract.identity import CollectorId

_ON_THE_WAY = frozenset(set(WorkerState) - {WorkerState.RUNNING, WorkerState.STOPPED, WorkerState.ERROR})


def share(exchanges: Iterable[str], settings: ManagerSettings) -> int:
    """How many collectors of each exchange may be in their start at once, whatever other exchanges do."""
    return max(1, settings.starting_max // max(1, len(set(exchanges))))


def turns(
    waiting: Sequence[CollectorId], in_start: Iterable[CollectorId], settings: ManagerSettings
) -> set[CollectorId]:
    """Which of the waiting collectors, in their order, may begin now.

    Each exchange has its share, even if another one uses more than its own. All may use what is left over.
    """
    busy = Counter(collector.exchange for collector in in_start)
    least = share((*busy, *(collector.exchange for collector in waiting)), settings)
    granted = set[CollectorId]()
    for limit, total in ((least, None), (None, settings.starting_max)):
        for collector in waiting:
            own_is_free = limit is None or busy[collector.exchange] < limit
            if collector not in granted and own_is_free and (total is None or busy.total() < total):
                granted.add(collector)
                busy[collector.exchange] += 1
    return granted


def start_limits_s(
    fleet: Iterable[tuple[CollectorId, Pulse, Process | None]], settings: ManagerSettings
) -> dict[str, float]:
    """By exchange: ``start_limit_s``, or longer in proportion if more than ``starting_max`` are in their start.

    Collectors of other exchanges count only if they started a moment ago: those need the processors.
    """
    exchanges, starting, young = set[str](), Counter[str](), Counter[str]()
    for collector, pulse, process in fleet:
        exchanges.add(collector.exchange)
        if _starts(pulse, process):
            starting[collector.exchange] += 1
            young[collector.exchange] += _age_s(pulse, process) < settings.start_limit_s
    return {
        exchange: settings.start_limit_s * max(1.0, start_limits / settings.starting_max)
        for exchange in exchanges
        for start_limits in (starting[exchange] + young.total() - young[exchange],)
    }


def _starts(pulse: Pulse, process: Process | None) -> bool:
    if process is not None and not process.alive:
        return False
    heartbeat = pulse.heartbeat
    if heartbeat is None or (process is not None and heartbeat.pid != process.pid):
        return process is not None
    return heartbeat.state in _ON_THE_WAY and not is_connected(heartbeat) and not _has_had_data(heartbeat)


def _age_s(pulse: Pulse, process: Process | None) -> float:
    if process is not None:
        return process.uptime_s
    heartbeat = pulse.heartbeat
    return 0.0 if heartbeat is None else (heartbeat.beat_at - heartbeat.started_at) / NS_PER_S


def _has_had_data(heartbeat: Heartbeat) -> bool:
    return any(progress.last_event_at for progress in heartbeat.progress.values())
