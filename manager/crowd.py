"""Pure: how long a start may take while many collectors start at once.

As when supervisord itself restarts two hundred processes: they share the processors, and the permits to connect.
"""

from collections.abc import Iterable

from common.health import Heartbeat, WorkerState
from manager.processes import Process
from manager.settings import ManagerSettings
from manager.verdicts import Pulse

_ON_THE_WAY = frozenset(set(WorkerState) - {WorkerState.RUNNING, WorkerState.STOPPED, WorkerState.ERROR})


def start_limit_s(fleet: Iterable[tuple[Pulse, Process | None]], settings: ManagerSettings) -> float:
    """``start_limit_s`` where up to ``starting_max`` are on their way to their first data, in proportion beyond."""
    starting = sum(_starts(pulse, process) for pulse, process in fleet)
    return settings.start_limit_s * max(1.0, starting / settings.starting_max)


def _starts(pulse: Pulse, process: Process | None) -> bool:
    if process is not None and not process.alive:
        return False
    heartbeat = pulse.heartbeat
    if heartbeat is None or (process is not None and heartbeat.pid != process.pid):
        return process is not None
    return heartbeat.state in _ON_THE_WAY and not _has_had_data(heartbeat)


def _has_had_data(heartbeat: Heartbeat) -> bool:
    return any(progress.last_event_at for progress in heartbeat.progress.values())
