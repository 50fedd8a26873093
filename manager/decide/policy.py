"""Pure decisions: verdicts and history become actions.

| verdict | action |
| --- | --- |
| dead, or waiting for its start | start; with ``auto_restart = false`` once after each order to run |
| hung | kill: a hung process would not obey TERM; supervisord restarts what dies by a signal |
| silent, for long enough, and a restart may help | restart |
| hung or silent again after ``recoveries_max`` of these did not hold | stand down |
| any, restarted too often | park: stopped where it still runs, left alone until its next try is due |
| exchange_outage | none, but one of the exchange's collectors is restarted now and then as a probe |
| disabled, its process runs | stop |
| misconfigured, crash_looping, unknown, and all who are well | none |

A restart is granted while fewer than ``restarts_max`` lie within the window. The next one would be too many: it parks
the collector instead. After each pause it has one try; when that fails too, the next pause is twice as long, until the
collector has been well for ``forgive_after_s``. Standing down ends in the same way, or when a person deals with the
collector; meanwhile a process that dies is still started.

Starts and restarts of all kinds wait in one queue. The collector whose last start is longest ago comes first, and the
number of collectors in their start is limited. Each exchange has its share of that, see
``manager.decide.start_limits``.
"""

from collections.abc import Iterable, Mapping, Set
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from manager.decide.bans import ban_of
from manager.decide.data_flow import can_be_cured
from manager.decide.history import CollectorPast, History, forgiven, in_force, is_ordered, recent_restarts
from manager.decide.outage import Outage, Outages
from manager.decide.start_limits import turns
from manager.model.formatting import clock_time, span
from manager.model.processes import STARTABLE, ProcessState
from manager.model.verdicts import Judgement, Verdict
from manager.settings import NS_PER_S, ManagerSettings, to_ns
from tickfleet.contract.identity import CollectorId


class ActionKind(Enum):
    """What can be done."""

    START = "start"
    KILL = "kill"
    RESTART = "restart"
    PROBE = "probe"
    PARK = "park"
    STOP = "stop"
    STAND_DOWN = "stand_down"


_BRINGS_UP = frozenset({ActionKind.START, ActionKind.KILL, ActionKind.RESTART, ActionKind.PROBE})

_IS_NOT_THERE = frozenset({Verdict.DEAD, Verdict.STARTING})
"""Verdicts after which supervisord may start it; a collector that waits for that is called starting, see
``manager.decide.turns``.
"""


class Action(Struct, frozen=True, kw_only=True):
    """One thing to do, with its reason.

    Attributes:
        pid: The process it is meant for; 0 where there is none.
        until_ns: For a park: when the next try is due.
        parks: For a park: how many in a row this makes.
    """

    kind: ActionKind
    collector: CollectorId
    why: str
    pid: int = 0
    until_ns: int = 0
    parks: int = 0


class Conditions(Struct, frozen=True, kw_only=True):
    """What prevents some actions. While the manager sees nothing or is late, the loop asks for no action at all.

    Attributes:
        settling: Redis was away, or we were late or not there, until a moment ago: a missing heartbeat proves nothing
            yet. A collector without a process is still started.
        refused: Redis refuses our writes: a collector that we start could not begin its work. Running processes can
            still be ended.
        busy: Collectors that an action is under way for.
    """

    settling: bool = False
    refused: bool = False
    busy: Set[CollectorId] = frozenset()


def decide(
    judgements: Iterable[Judgement],
    history: History,
    now_ns: int,
    conditions: Conditions,
    settings: ManagerSettings,
    outages: Outages | None = None,
) -> list[Action]:
    """The actions for this round, at most one per collector."""
    judgements = list(judgements)
    tracks = {each.id: forgiven(history.get(str(each.id), CollectorPast()), now_ns, settings) for each in judgements}
    actions = [
        action
        for each in judgements
        if each.id not in conditions.busy
        and (action := _decide_one(each, tracks[each.id], now_ns, conditions, settings)) is not None
    ]
    actions += _probes(judgements, tracks, now_ns, conditions, settings, outages or {})
    starts = [action for action in actions if action.kind in _BRINGS_UP and not conditions.refused]
    starts.sort(key=lambda start: _last_start_ns(tracks[start.collector]))
    in_start = (each.id for each in judgements if _in_its_start(each, conditions, settings))
    granted = turns([start.collector for start in starts], in_start, settings)
    return [action for action in actions if action.kind not in _BRINGS_UP] + [
        start for start in starts if start.collector in granted
    ]


def _decide_one(
    judgement: Judgement, track: CollectorPast, now_ns: int, conditions: Conditions, settings: ManagerSettings
) -> Action | None:
    process, verdict = judgement.process, judgement.verdict
    if process is None:
        return None
    if verdict is Verdict.DISABLED:
        if process.alive or process.state is ProcessState.BACKOFF:
            return Action(kind=ActionKind.STOP, collector=judgement.id, why=judgement.why, pid=process.pid)
        return None
    if verdict in _IS_NOT_THERE and process.state in STARTABLE:
        if process.started_s and not judgement.config.auto_restart:
            if not is_ordered(track, process):
                return None
            judgement = replace(judgement, why="it was told to run")
        return _again(ActionKind.START, judgement, track, now_ns, settings)
    if verdict is Verdict.HUNG:
        just_killed = process.pid == track.killed_pid and now_ns - track.killed_at_ns < to_ns(settings.rekill_after_s)
        return None if just_killed else _recover(ActionKind.KILL, judgement, track, now_ns, conditions, settings)
    if verdict is Verdict.UNKNOWN:
        return None
    if _is_restarted_too_often(judgement, track, now_ns, settings):
        return _park(judgement, track, now_ns, settings)
    if verdict is Verdict.SILENT and _is_confirmed(judgement, track, now_ns, settings):
        return _recover(ActionKind.RESTART, judgement, track, now_ns, conditions, settings)
    return None


def _is_restarted_too_often(judgement: Judgement, track: CollectorPast, now_ns: int, settings: ManagerSettings) -> bool:
    """Whether supervisord restarts it faster than we allow; without ``auto_restart`` only persons restart it."""
    lives = judgement.process is not None and judgement.process.alive
    may = not lives or judgement.well or not judgement.config.auto_restart
    return not may and recent_restarts(track, now_ns, settings) > settings.restarts_max


def _is_confirmed(judgement: Judgement, track: CollectorPast, now_ns: int, settings: ManagerSettings) -> bool:
    """Whether a silence has lasted for long enough, and a restart may end it."""
    heartbeat = judgement.pulse.heartbeat
    if heartbeat is None or not can_be_cured(heartbeat):
        return False
    return 0 < track.silent_since_ns <= now_ns - to_ns(settings.silent_confirm_s)


def _recover(
    kind: ActionKind,
    judgement: Judgement,
    track: CollectorPast,
    now_ns: int,
    conditions: Conditions,
    settings: ManagerSettings,
) -> Action | None:
    """Kill or restart a living process, unless earlier restarts did not help."""
    if conditions.settling or not judgement.config.auto_restart or track.stood_down_ns:
        return None
    if track.recoveries >= settings.recoveries_max and not in_force(track, now_ns, settings):
        why = f"{track.recoveries} restarts did not hold ({judgement.why}); left alone until a person restarts it"
        return Action(kind=ActionKind.STAND_DOWN, collector=judgement.id, why=why)
    return _again(kind, judgement, track, now_ns, settings)


def _again(
    kind: ActionKind, judgement: Judgement, track: CollectorPast, now_ns: int, settings: ManagerSettings
) -> Action | None:
    """A start, a kill or a restart where the budget allows it, else a park, or nothing while one lasts."""
    if in_force(track, now_ns, settings):
        return None
    if track.tried or recent_restarts(track, now_ns, settings) >= settings.restarts_max:
        return _park(judgement, track, now_ns, settings)
    pid = judgement.process.pid if judgement.process else 0
    return Action(kind=kind, collector=judgement.id, why=judgement.why, pid=pid)


def _park(judgement: Judgement, track: CollectorPast, now_ns: int, settings: ManagerSettings) -> Action:
    pause_s = min(settings.park_first_s * 2.0 ** min(track.parks, 30), settings.park_max_s)
    until_ns = now_ns + to_ns(pause_s)
    cause = (
        f"its try number {track.parks} did not hold"
        if track.parks
        else f"restarted {recent_restarts(track, now_ns, settings)} times within {span(settings.restart_window_s)}"
    )
    return Action(
        kind=ActionKind.PARK,
        collector=judgement.id,
        why=f"{cause} ({judgement.why}); next try at {clock_time(until_ns)}",
        pid=judgement.process.pid if judgement.process else 0,
        until_ns=until_ns,
        parks=track.parks + 1,
    )


def _probes(
    judgements: list[Judgement],
    tracks: Mapping[CollectorId, CollectorPast],
    now_ns: int,
    conditions: Conditions,
    settings: ManagerSettings,
    outages: Outages,
) -> list[Action]:
    """One restart per outage where one is due, and the last one is through its start."""
    if conditions.settling:
        return []
    actions = []
    for exchange, outage in outages.items():
        members = [each for each in judgements if each.id.exchange == exchange]
        if not outage.lasts or not _is_probe_due(outage, now_ns, settings):
            continue
        if any(str(each.id) == outage.probed and _in_its_start(each, conditions, settings) for each in members):
            continue
        fit = [each for each in members if _may_probe(each, tracks[each.id], now_ns, conditions, settings)]
        if fit:
            chosen = min(fit, key=lambda each: (str(each.id) <= outage.probed, str(each.id)))  # each in turn
            pid = chosen.process.pid if chosen.process else 0
            why = f"to see whether {exchange} is back for a new process"
            actions.append(Action(kind=ActionKind.PROBE, collector=chosen.id, why=why, pid=pid))
    return actions


def _is_probe_due(outage: Outage, now_ns: int, settings: ManagerSettings) -> bool:
    """A pause that seems longer than the longest possible comes from a clock that was set back."""
    return not 0 < outage.next_probe_ns(settings) - now_ns <= to_ns(settings.probe_max_s)


def _may_probe(
    judgement: Judgement, track: CollectorPast, now_ns: int, conditions: Conditions, settings: ManagerSettings
) -> bool:
    return (
        judgement.verdict is Verdict.EXCHANGE_OUTAGE
        and judgement.process is not None
        and judgement.process.alive
        and judgement.config.auto_restart
        and judgement.id not in conditions.busy
        and not _is_banned(judgement)
        and not track.stood_down_ns
        and not track.tried
        and not in_force(track, now_ns, settings)
        and recent_restarts(track, now_ns, settings) < settings.restarts_max
    )


def _is_banned(judgement: Judgement) -> bool:
    """Whether its exchange has turned the machine away: a new process would have to wait as well."""
    heartbeat = judgement.pulse.heartbeat
    return heartbeat is not None and ban_of(heartbeat) is not None


def _last_start_ns(track: CollectorPast) -> int:
    """When somebody last started it or tried to: collectors take turns, so none waits for ever."""
    return max(track.run_started_s * NS_PER_S, track.acted_ns)


def _in_its_start(judgement: Judgement, conditions: Conditions, settings: ManagerSettings) -> bool:
    if judgement.id in conditions.busy:
        return True
    process = judgement.process
    young = process is not None and process.alive and process.uptime_s < settings.start_limit_s
    return young and judgement.verdict is Verdict.STARTING
