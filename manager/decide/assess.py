"""Pure judgement: what is wanted, what the heartbeats say and what supervisord says become one verdict each.

Three questions, asked in this order. Is there a process (supervisord's view)? Does its loop turn (the heartbeat's age)?
Does data flow (``data_flow``)? Without supervisord, as on another host, the heartbeat has to answer the first too.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.decide.data_flow import judge_flow
from manager.decide.start_limits import start_limits_s
from manager.model.formatting import clock_time, one_line, span
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Pulse, Verdict
from manager.settings import ManagerSettings
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import EXIT_BAD_CONFIGURATION

_Finding = tuple[Verdict, str]

_DISABLED = "disabled in the fleet file"

_NOT_RUNNING = {
    ProcessState.STOPPED: "its process was stopped",
    ProcessState.STOPPING: "its process is being stopped",
    ProcessState.BACKOFF: "its process ended within seconds of its start",
    ProcessState.FATAL: "its process ended within seconds of its start",
}

_QUICKLY = frozenset({ProcessState.BACKOFF, ProcessState.FATAL})
_KILLED = "killed by "


def assess(
    desired: Iterable[ExchangeCollectorConfig],
    pulses: Mapping[CollectorId, Pulse],
    processes: Mapping[str, Process] | None,
    parked: Mapping[CollectorId, int],
    settings: ManagerSettings,
) -> list[Judgement]:
    """Judge every collector of the fleet.

    Args:
        desired: The fleet; the verdicts come in its order.
        pulses: What is known of the heartbeats; a collector may be absent.
        processes: supervisord's processes by program name, or None where it cannot be asked.
        parked: Collectors that were restarted too often and are left alone, with the time (ns) of their next try.
        settings: The limits.
    """
    fleet = [
        (config, pulses.get(config.id, Pulse()), None if processes is None else processes.get(config.id.program))
        for config in desired
    ]
    limits_s = start_limits_s(((config.id, pulse, process) for config, pulse, process in fleet), settings)
    judgements = []
    for config, pulse, process in fleet:
        own = replace(settings, start_limit_s=limits_s[config.id.exchange])
        verdict, why = _judge(config, pulse, process, processes is not None, own)
        if verdict is Verdict.DEAD and config.id in parked:
            verdict, why = Verdict.CRASH_LOOPING, f"restarted too often; next try at {clock_time(parked[config.id])}"
        if verdict is Verdict.DEAD and process is not None and process.started_s and not config.auto_restart:
            why += f"; nobody starts it again (auto_restart = false): manager-cli start {config.id}"
        on_absence = (
            verdict is Verdict.HUNG
            or (verdict is Verdict.STARTING and not _is_of(process, pulse))
            or (verdict is Verdict.DEAD and processes is None and not _has_ended(pulse))
        )
        judgements.append(
            Judgement(config=config, verdict=verdict, why=why, pulse=pulse, process=process, on_absence=on_absence)
        )
    return judgements


def _is_of(process: Process | None, pulse: Pulse) -> bool:
    """Whether a heartbeat is there that is this process' own, not that of the run before."""
    return pulse.heartbeat is not None and (process is None or pulse.heartbeat.pid == process.pid)


def _has_ended(pulse: Pulse) -> bool:
    """Whether its last heartbeat says so."""
    return pulse.heartbeat is not None and pulse.heartbeat.exit_code is not None


def blind(desired: Iterable[ExchangeCollectorConfig]) -> list[Judgement]:
    """The verdicts while Redis, and with it every heartbeat, is away."""
    return [
        Judgement(config=config, verdict=Verdict.UNKNOWN, why="Redis does not answer")
        if config.enabled
        else Judgement(config=config, verdict=Verdict.DISABLED, why=_DISABLED)
        for config in desired
    ]


def _judge(
    config: ExchangeCollectorConfig, pulse: Pulse, process: Process | None, supervised: bool, settings: ManagerSettings
) -> _Finding:
    if not config.enabled:
        return Verdict.DISABLED, _DISABLED
    if not supervised:
        return _by_heartbeat_alone(config, pulse, settings)
    if process is None:
        return Verdict.DEAD, "supervisord does not know its program"
    if process.alive:
        return _running(config, pulse, process, settings)
    return _not_running(config, pulse, process)


def _not_running(config: ExchangeCollectorConfig, pulse: Pulse, process: Process) -> _Finding:
    if pulse.heartbeat is not None and _refused(config, pulse.heartbeat):
        return _misconfigured(pulse.heartbeat)
    if process.state is ProcessState.UNKNOWN:
        return Verdict.UNKNOWN, "supervisord does not know the state of its process"
    if process.state is ProcessState.EXITED:
        # A new configuration means a new program, so this exit is always one of the present configuration.
        if process.exit_status == EXIT_BAD_CONFIGURATION:
            return Verdict.MISCONFIGURED, "it refused its configuration; its log says why"
        signal = process.ended.removeprefix(_KILLED) if process.ended.startswith(_KILLED) else "a signal"
        how = f"with exit code {process.exit_status}" if process.exit_status >= 0 else f"by {signal}"
        return Verdict.DEAD, f"its process ended {how}"
    if process.started_s == 0:
        return Verdict.DEAD, "not started yet"
    how = f" ({process.ended})" if process.ended and process.state in _QUICKLY else ""
    return Verdict.DEAD, f"{_NOT_RUNNING[process.state]}{how}"


def _running(config: ExchangeCollectorConfig, pulse: Pulse, process: Process, settings: ManagerSettings) -> _Finding:
    if not pulse.readable:
        return Verdict.UNKNOWN, _unreadable(pulse)
    heartbeat = pulse.heartbeat
    if heartbeat is None or not _is_of(process, pulse):
        if process.uptime_s < settings.start_limit_s:
            return Verdict.STARTING, f"started {span(process.uptime_s)} ago, no heartbeat yet"
        return Verdict.HUNG, f"no heartbeat {span(process.uptime_s)} after its start"
    if pulse.age_s > settings.hung_after_s:
        return Verdict.HUNG, f"no heartbeat for {span(pulse.age_s)}"
    return judge_flow(config, heartbeat, settings)


def _by_heartbeat_alone(config: ExchangeCollectorConfig, pulse: Pulse, settings: ManagerSettings) -> _Finding:
    if not pulse.readable:
        return Verdict.UNKNOWN, _unreadable(pulse)
    heartbeat = pulse.heartbeat
    if heartbeat is None:
        return Verdict.DEAD, "no heartbeat"
    if _refused(config, heartbeat):
        return _misconfigured(heartbeat)
    if heartbeat.exit_code is not None:
        return Verdict.DEAD, f"its process ended with exit code {heartbeat.exit_code}"
    if pulse.age_s > settings.hung_after_s:
        return Verdict.DEAD, f"no heartbeat for {span(pulse.age_s)}"
    return judge_flow(config, heartbeat, settings)


def _unreadable(pulse: Pulse) -> str:
    if pulse.refusal:
        return f"its heartbeat may not be read{pulse.refusal}"
    return "its heartbeat key holds something that is no heartbeat"


def _refused(config: ExchangeCollectorConfig, heartbeat: Heartbeat) -> bool:
    """Whether the last run ended because it could not work with the configuration as it still is."""
    return heartbeat.exit_code == EXIT_BAD_CONFIGURATION and heartbeat.config_id == config.fingerprint()


def _misconfigured(heartbeat: Heartbeat) -> _Finding:
    return Verdict.MISCONFIGURED, one_line(heartbeat.last_error) or "it refused its configuration; its log says why"
