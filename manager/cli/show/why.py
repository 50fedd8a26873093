"""Pure: why a collector is in its state: what is known about it now, and what led to it."""

from typing import Any

from msgspec import Struct

from manager.cli.show.event_format import Event
from manager.cli.show.event_format import to_json as event_to_json
from manager.decide.bans import ban_of
from manager.decide.history import CollectorPast, forgiven, in_force, recent_restarts
from manager.model.formatting import clock_time, one_line, span
from manager.model.processes import ProcessState
from manager.model.verdicts import Judgement
from manager.settings import NS_PER_S, ManagerSettings


class Story(Struct, frozen=True, kw_only=True):
    """What there is to tell of one collector.

    Attributes:
        facts: Label and text, in the order in which one would ask.
        events: Oldest first.
        earlier: Events that were left out.
    """

    judgement: Judgement
    facts: list[tuple[str, str]]
    events: list[Event]
    earlier: int = 0


def facts(judgement: Judgement, track: CollectorPast, now_ns: int, settings: ManagerSettings) -> list[tuple[str, str]]:
    """Process, heartbeat, data, and what the manager's policy will do."""
    return [
        ("process", _process(judgement)),
        *_heartbeat(judgement, now_ns),
        ("restarts", _restarts(forgiven(track, now_ns, settings), now_ns, settings)),
    ]


def _process(judgement: Judgement) -> str:
    process = judgement.process
    if process is None:
        return "not known: supervisord cannot be asked, or has no such program"
    if process.alive:
        return f"{process.state.value.lower()}, pid {process.pid}, up {span(process.uptime_s)}"
    known = process.state is ProcessState.EXITED and process.exit_status >= 0  # of shorter runs supervisord keeps none
    ended = f", exit code {process.exit_status}" if known else ""
    return f"{process.state.value.lower()}{ended}"


def _heartbeat(judgement: Judgement, now_ns: int) -> list[tuple[str, str]]:
    beat = judgement.pulse.heartbeat
    if beat is None or judgement.pulse.expired:
        return [("heartbeat", "none")]
    age_s = (now_ns - beat.beat_at) / NS_PER_S
    found = [("heartbeat", f"{beat.state.value}, {span(age_s)} old, run {beat.run_id}")]
    if (ban := ban_of(beat)) is not None:
        found.append(("exchange", f"{ban}; manager-cli unban {ban.exchange}"))
    if beat.last_error:
        found.append(("last error", one_line(beat.last_error)))
    for data_type, progress in beat.progress.items():
        since = (
            f"last {span((now_ns - progress.last_event_at) / NS_PER_S)} ago" if progress.last_event_at else "none yet"
        )
        limit = f" (silent after {span(progress.silence_limit / NS_PER_S)})" if progress.silence_limit else ""
        found.append((data_type.value, f"{since}{limit}, {progress.count} in this run"))
    if beat.book_state is not None:
        found.append(("order book", beat.book_state.value))
    return found


def _restarts(track: CollectorPast, now_ns: int, settings: ManagerSettings) -> str:
    count = recent_restarts(track, now_ns, settings)
    text = f"{count} of {settings.restarts_max} allowed within {span(settings.restart_window_s)}"
    if track.parks:
        text += f", counted anew since it was left alone for the {_ordinal(track.parks)} time"
    if in_force(track, now_ns, settings):
        text += f"; next try at {clock_time(track.parked_until_ns)}"
    return text


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def to_json(story: Story) -> dict[str, Any]:
    """The document of ``why --json``."""
    return {
        "id": str(story.judgement.id),
        "verdict": story.judgement.verdict.value,
        "why": story.judgement.why,
        "facts": dict(story.facts),
        "events": [event_to_json(event) for event in story.events],
        "earlier": story.earlier,
    }
