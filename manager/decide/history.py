"""What the manager remembers of each collector, as a fold over the journal.

A running manager, and one that reads the journal after a restart, use the same function, so they decide alike.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from manager.model.journal_entries import JournalEntry, What
from manager.model.processes import Process
from manager.model.verdicts import WELL, Judgement, Verdict
from manager.settings import NS_PER_S, ManagerSettings, to_ns
from tickfleet.contract.identity import CollectorId

RESTARTS_KEPT = 32
"""More than any restart budget counts."""

_ANEW = frozenset({"start", "enable", "add"})
"""Commands that end a park and a standing down."""

_RUNS_NOT = frozenset({each.value for each in (Verdict.DEAD, Verdict.CRASH_LOOPING, Verdict.MISCONFIGURED)})
"""Of one that runs an order to run asks for nothing."""

_WELL_NAMES = frozenset(verdict.value for verdict in WELL)


class CollectorPast(Struct, frozen=True, kw_only=True):
    """The past of one collector.

    Attributes:
        verdict: The last one in the journal (``healthy`` and ``quiet`` count as one).
        well_since_ns: Since when it is well; 0 while it is not.
        unwell_since_ns: Since when it is not, however its verdict changed since; 0 while it is well.
        silent_since_ns: Since when it is silent, or since the last restart for that was tried; 0 while it is not.
        run_started_s: The start of the last run seen, by supervisord's clock; 0 before the first.
        restarts_ns: When it was restarted or a start was refused, oldest first, since it was last parked or forgiven.
        parks: How often it was parked since it was last forgiven.
        parked_until_ns: When its next try is due; 0 where it was never parked.
        tried: Whether that try has been made.
        acted_ns: When it was last started, killed or restarted by us, or that was tried.
        killed_pid, killed_at_ns: The last process that was killed.
        recoveries: How often it was restarted because it was hung or silent, since it was last forgiven.
        ordered: Whether it has been told to run since its last run, or been told not to: its next start is a first one,
            which ``auto_restart = false`` allows. See also ``is_ordered``.
        ordered_ns: When it was last told to run.
        stood_down_ns: When we stood down: those recoveries did not hold. 0 where we have not, or were told to go on.
    """

    verdict: str = ""
    well_since_ns: int = 0
    unwell_since_ns: int = 0
    silent_since_ns: int = 0
    run_started_s: int = 0
    restarts_ns: tuple[int, ...] = ()
    parks: int = 0
    parked_until_ns: int = 0
    tried: bool = False
    acted_ns: int = 0
    killed_pid: int = 0
    killed_at_ns: int = 0
    recoveries: int = 0
    ordered: bool = False
    ordered_ns: int = 0
    stood_down_ns: int = 0


History = Mapping[str, CollectorPast]
"""Tracks by collector id."""

REFUSED = "refused"
"""First word of the outcome of an action that supervisord would not carry out."""


def remember(history: History, entry: JournalEntry, settings: ManagerSettings) -> History:
    """The history after one more entry; the one given stays as it is."""
    if entry.what is What.FLEET_APPLIED:
        touched = {name for part in ("added", "changed", "removed") for name in entry.details.get(part, "").split()}
        # who has waited for its program waits on: that is no news
        return {
            name: track
            for name, track in history.items()
            if name not in touched or (track.verdict == Verdict.STARTING.value and not track.run_started_s)
        }
    fold = _FOLDS.get(entry.what)
    if fold is None or not entry.collector:
        return history
    track = fold(history.get(entry.collector, CollectorPast()), entry, settings)
    return {**history, entry.collector: track}


def rebuild(entries: Iterable[JournalEntry], settings: ManagerSettings) -> History:
    """The history that a journal tells."""
    history: History = {}
    for entry in entries:
        history = remember(history, entry, settings)
    return history


def forgiven(track: CollectorPast, now_ns: int, settings: ManagerSettings) -> CollectorPast:
    """The track without its old trouble where the collector has been well for long enough."""
    if track.well_since_ns and now_ns - track.well_since_ns >= to_ns(settings.forgive_after_s):
        return _clean(track)
    return track


def stood_down(history: History, now_ns: int, settings: ManagerSettings) -> frozenset[str]:
    """Ids of the collectors that need a person: we do not restart them any more for being hung or silent."""
    return frozenset(name for name, track in history.items() if forgiven(track, now_ns, settings).stood_down_ns)


def parked(history: History, now_ns: int, settings: ManagerSettings) -> dict[CollectorId, int]:
    """The collectors that are left alone now, with the time (ns) of their next try."""
    return {
        CollectorId(*name.split(":", 1)): track.parked_until_ns
        for name, track in history.items()
        if ":" in name and in_force(track, now_ns, settings)  # anybody may have written the journal
    }


def recent_restarts(track: CollectorPast, now_ns: int, settings: ManagerSettings) -> int:
    """Restarts within the window that the budget is for."""
    return sum(at_ns > now_ns - to_ns(settings.restart_window_s) for at_ns in track.restarts_ns)


def in_force(track: CollectorPast, now_ns: int, settings: ManagerSettings) -> bool:
    """Whether a park still lasts.

    A park that seems longer than the longest possible comes from a clock that was set back.
    """
    return 0 < track.parked_until_ns - now_ns <= to_ns(settings.park_max_s)


def observe(judgements: Iterable[Judgement], history: History, now_ns: int, who: str) -> list[JournalEntry]:
    """What is new: runs not seen before, verdicts that changed. Turns between healthy and quiet are no news."""
    entries = []
    for judgement in judgements:
        track = history.get(str(judgement.id), CollectorPast())
        process = judgement.process
        if process is not None and process.started_s not in (0, track.run_started_s):
            details = {"pid": str(process.pid), "started_s": str(process.started_s)}
            before = f"the run before: {process.ended}" if process.ended and track.run_started_s else ""
            entries.append(
                JournalEntry(
                    at_ns=now_ns,
                    who=who,
                    what=What.RUN_SEEN,
                    collector=str(judgement.id),
                    why=before,
                    details=details,
                )
            )
        verdict = Verdict.HEALTHY if judgement.well else judgement.verdict
        if verdict.value != track.verdict:
            entries.append(
                JournalEntry(
                    at_ns=now_ns,
                    who=who,
                    what=What.VERDICT_CHANGED,
                    collector=str(judgement.id),
                    why=judgement.why,
                    details={"from": track.verdict, "to": verdict.value},
                )
            )
    return entries


def _verdict_changed(track: CollectorPast, entry: JournalEntry, settings: ManagerSettings) -> CollectorPast:
    verdict = entry.details.get("to", "")
    well = verdict in _WELL_NAMES
    if well and track.well_since_ns:
        return replace(track, verdict=verdict)
    return replace(
        forgiven(track, entry.at_ns, settings),
        verdict=verdict,
        well_since_ns=entry.at_ns if well else 0,
        unwell_since_ns=0 if well else track.unwell_since_ns or entry.at_ns,
        silent_since_ns=entry.at_ns if verdict == Verdict.SILENT.value else 0,
        ordered=track.ordered or verdict == Verdict.DISABLED.value,
    )


def _run_seen(track: CollectorPast, entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    first = track.run_started_s == 0
    disabled = track.verdict == Verdict.DISABLED.value  # a run that is not to be does not count
    seen = replace(track, run_started_s=_number(entry, "started_s"), ordered=disabled)
    return seen if first else _count(seen, entry.at_ns)


def _action(track: CollectorPast, entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    action, outcome = entry.details.get("action"), entry.details.get("outcome", "")
    if action in ("start", "kill", "restart", "probe"):
        track = replace(track, acted_ns=entry.at_ns)
    if action == "kill":
        pid = _number(entry, "pid")
        again = pid == track.killed_pid  # it was not reaped in time, or not killed at all
        recoveries = track.recoveries + (not again)
        return replace(track, killed_pid=pid, killed_at_ns=entry.at_ns, recoveries=recoveries)
    if action == "restart":
        since_ns = entry.at_ns if track.silent_since_ns else 0
        return replace(track, silent_since_ns=since_ns, recoveries=track.recoveries + (outcome == "done"))
    if action == "start" and outcome.startswith(REFUSED):
        return _count(track, entry.at_ns)
    return track


def _stood_down(track: CollectorPast, entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    return replace(track, stood_down_ns=entry.at_ns)


def _operated(track: CollectorPast, _entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    """A person has dealt with it: we go on."""
    return replace(track, recoveries=0, stood_down_ns=0)


def _parked(track: CollectorPast, entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    until, parks = _number(entry, "until"), _number(entry, "parks")
    return replace(track, parks=parks, parked_until_ns=until, tried=False, restarts_ns=())


def is_ordered(track: CollectorPast, process: Process) -> bool:
    """Whether somebody ordered its next start.

    The last verdict in the journal may be older than the end of its run: from the round before, or ``unknown``. So an
    order also counts if it came after that end and no start has followed. supervisord tells whole seconds: a start in
    the same second as the order counts as the ordered one.
    """
    if track.ordered or not process.stopped_s:
        return track.ordered
    return process.started_s < track.ordered_ns // NS_PER_S >= process.stopped_s


def _ordered(track: CollectorPast, entry: JournalEntry, _settings: ManagerSettings) -> CollectorPast:
    """Whoever orders it to run has dealt with the cause: earlier failures no longer count."""
    if entry.details.get("command") not in _ANEW:
        return track
    return replace(_clean(track), ordered=track.ordered or track.verdict in _RUNS_NOT, ordered_ns=entry.at_ns)


def _clean(track: CollectorPast) -> CollectorPast:
    return replace(track, restarts_ns=(), parks=0, parked_until_ns=0, tried=False, recoveries=0, stood_down_ns=0)


def _count(track: CollectorPast, at_ns: int) -> CollectorPast:
    """One more restart. After a park it counts as the try that was due, unless an operator made it before that time."""
    tried = track.tried or (track.parks > 0 and at_ns >= track.parked_until_ns)
    return replace(track, restarts_ns=(*track.restarts_ns, at_ns)[-RESTARTS_KEPT:], tried=tried)


def _number(entry: JournalEntry, name: str) -> int:
    text = entry.details.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


_FOLDS = {
    What.VERDICT_CHANGED: _verdict_changed,
    What.RUN_SEEN: _run_seen,
    What.ACTION: _action,
    What.PARKED: _parked,
    What.STOOD_DOWN: _stood_down,
    What.RESTARTED: _operated,
    What.ORDERED: _ordered,
}
