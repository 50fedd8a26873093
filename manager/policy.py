"""Pure decisions: verdicts and history become actions.

| verdict | action |
| --- | --- |
| dead, its process ended or never started | start; ``auto_restart = false`` allows the first start only |
| hung | kill: a hung process would not obey TERM; supervisord restarts what dies by a signal |
| any, restarted too often | park: stopped where it still runs, left alone until its next try is due |
| disabled, its process runs | stop |
| misconfigured, crash_looping, unknown, silent, and all who are well | none |

A restart is granted while fewer than ``restarts_max`` lie within the window. The one that would be too many parks the
collector instead. After each pause it has one try; when that fails too, the next pause is twice as long, until the
collector has been well for ``forgive_after_s``.
"""

from collections.abc import Iterable, Set
from enum import Enum

from msgspec import Struct

from common.identity import CollectorId
from manager.history import History, Track, forgiven, in_force
from manager.processes import STARTABLE, ProcessState
from manager.settings import ManagerSettings, to_ns
from manager.verdicts import Judgement, Verdict
from manager.words import clock_time, span


class ActionKind(Enum):
    """What can be done."""

    START = "start"
    KILL = "kill"
    PARK = "park"
    STOP = "stop"


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
    """What stands in the way of some actions. While the manager is blind or late the loop asks for none at all.

    Attributes:
        settling: Redis was away, or we were late, until a moment ago: a missing heartbeat proves nothing yet.
        busy: Collectors that an action is under way for.
    """

    settling: bool = False
    busy: Set[CollectorId] = frozenset()


def decide(
    judgements: Iterable[Judgement],
    history: History,
    now_ns: int,
    conditions: Conditions,
    settings: ManagerSettings,
) -> list[Action]:
    """The actions for this round, at most one per collector."""
    judgements = list(judgements)
    actions, starts = [], []
    for judgement in judgements:
        if judgement.id in conditions.busy:
            continue
        track = forgiven(history.get(str(judgement.id), Track()), now_ns, settings)
        action = _decide_one(judgement, track, now_ns, conditions, settings)
        if action is not None and action.kind is ActionKind.START:
            starts.append((len(track.restarts_ns), action))
        elif action is not None:
            actions.append(action)
    starts.sort(key=lambda start: start[0])  # who fails often waits behind who does not
    free = settings.starting_max - sum(_in_its_start(j, conditions, settings) for j in judgements)
    return actions + [action for _, action in starts[: max(0, free)]]


def _decide_one(
    judgement: Judgement, track: Track, now_ns: int, conditions: Conditions, settings: ManagerSettings
) -> Action | None:
    process, verdict = judgement.process, judgement.verdict
    if process is None:
        return None
    if verdict is Verdict.DISABLED:
        if process.alive or process.state is ProcessState.BACKOFF:
            return Action(kind=ActionKind.STOP, collector=judgement.id, why=judgement.why, pid=process.pid)
        return None
    if verdict is Verdict.DEAD and process.state in STARTABLE:
        if process.started_s and not judgement.config.auto_restart:
            return None
        return _again(ActionKind.START, judgement, track, now_ns, settings)
    if verdict is Verdict.HUNG:
        just_killed = process.pid == track.killed_pid and now_ns - track.killed_at_ns < to_ns(settings.rekill_after_s)
        if conditions.settling or just_killed or not judgement.config.auto_restart:
            return None
        return _again(ActionKind.KILL, judgement, track, now_ns, settings)
    if process.alive and not judgement.well and _recent(track, now_ns, settings) > settings.restarts_max:
        return _park(judgement, track, now_ns, settings)  # supervisord restarts it faster than we allow
    return None


def _again(
    kind: ActionKind, judgement: Judgement, track: Track, now_ns: int, settings: ManagerSettings
) -> Action | None:
    """A start or a kill where the budget allows it, else a park, or nothing while one lasts."""
    if in_force(track, now_ns, settings):
        return None
    if track.tried or _recent(track, now_ns, settings) >= settings.restarts_max:
        return _park(judgement, track, now_ns, settings)
    pid = judgement.process.pid if judgement.process else 0
    return Action(kind=kind, collector=judgement.id, why=judgement.why, pid=pid)


def _park(judgement: Judgement, track: Track, now_ns: int, settings: ManagerSettings) -> Action:
    pause_s = min(settings.park_first_s * 2.0 ** min(track.parks, 30), settings.park_max_s)
    until_ns = now_ns + to_ns(pause_s)
    cause = (
        f"its try number {track.parks} did not hold"
        if track.parks
        else f"restarted {_recent(track, now_ns, settings)} times within {span(settings.restart_window_s)}"
    )
    return Action(
        kind=ActionKind.PARK,
        collector=judgement.id,
        why=f"{cause} ({judgement.why}); next try at {clock_time(until_ns)}",
        pid=judgement.process.pid if judgement.process else 0,
        until_ns=until_ns,
        parks=track.parks + 1,
    )


def _recent(track: Track, now_ns: int, settings: ManagerSettings) -> int:
    """Restarts within the window."""
    return sum(at_ns > now_ns - to_ns(settings.restart_window_s) for at_ns in track.restarts_ns)


def _in_its_start(judgement: Judgement, conditions: Conditions, settings: ManagerSettings) -> bool:
    if judgement.id in conditions.busy:
        return True
    process = judgement.process
    young = process is not None and process.alive and process.uptime_s < settings.start_limit_s
    return young and judgement.verdict is Verdict.STARTING
