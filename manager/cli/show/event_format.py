"""Pure: entries of the journal as people and machines read them.

The manager rebuilds its memory only from entries that it knows. A reader shows every entry, even one that a later
version or somebody else wrote.
"""

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from manager.cli.times import date_time
from manager.model.formatting import clock_time, one_line
from manager.model.journal_entries import JournalEntry, What, from_fields

_OWN_FIELDS = frozenset({"at", "who", "what", "collector", "why"})
_NS_PER_MS = 1_000_000
_INTERNAL = frozenset({"asked", "started_s", "serves", "versions"})
"""Details that only the manager needs, or that the reason contains already."""

_NS_DIGITS = 19
"""Of a time in ns between 2001 and 2262."""

INDENT = len("2026-03-29 10:00:00.123Z  ")
"""Where a line continues that is too long for the terminal."""

_GOOD = frozenset({"healthy", "quiet", "done", "disabled"})
_GOOD_EVENTS = frozenset({What.FLEET_APPLIED.value})
_NEUTRAL_EVENTS = frozenset(
    {What.RUN_SEEN.value, What.MANAGER_STARTED.value, What.MANAGER_STOPPED.value, What.VERSIONS_SEEN.value}
)
_BAD_EVENTS = frozenset({What.PARKED.value, What.FLEET_REJECTED.value, What.APPLY_FAILED.value})


class Mood(Enum):
    """What an event means for the fleet."""

    GOOD = "good"
    BAD = "bad"
    PASSING = "passing"
    NONE = "none"


class Event(Struct, frozen=True, kw_only=True):
    """One entry of the journal.

    Attributes:
        entry_id: Its id in the stream.
        at_ns: The writer's wall clock; that of Redis where the entry has none.
        collector: Empty where it concerns the fleet.
        details: All other fields.
    """

    entry_id: str
    at_ns: int
    who: str
    what: str
    collector: str
    why: str
    details: dict[str, str]

    @property
    def mood(self) -> Mood:
        """For its colour."""
        end = self.details.get("to") or self.details.get("outcome", "").partition(":")[0]  # "done: running after 2 s"
        if end in _GOOD or self.what in _GOOD_EVENTS:
            return Mood.GOOD
        if end == "starting":
            return Mood.PASSING
        if self.what in _BAD_EVENTS or (end and self.what not in _NEUTRAL_EVENTS):
            return Mood.BAD
        return Mood.NONE


def read_event(entry_id: str, fields: Mapping[str, str]) -> Event:
    """The event of an entry, whatever is in it."""
    at = fields.get("at", "")
    ms = entry_id.partition("-")[0]
    return Event(
        entry_id=entry_id,
        at_ns=int(at) if _is_time(at) else int(ms) * _NS_PER_MS,
        who=fields.get("who", ""),
        what=fields.get("what", ""),
        collector=fields.get("collector", ""),
        why=fields.get("why", ""),
        details={name: value for name, value in fields.items() if name not in _OWN_FIELDS},
    )


def to_entry(event: Event) -> JournalEntry | None:
    """The entry as the manager reads it; None where it means nothing to this version."""
    own = {"at": str(event.at_ns), "who": event.who, "what": event.what, "collector": event.collector, "why": event.why}
    return from_fields({**event.details, **own})


def concerns(event: Event, pattern: str) -> bool:
    """Whether an event concerns the collectors that a pattern names; an event of the whole fleet concerns each."""
    if not event.collector:
        return _touches(event, pattern)
    return fnmatchcase(event.collector, pattern)


def _touches(event: Event, pattern: str) -> bool:
    named = [name for part in ("added", "changed", "removed") for name in event.details.get(part, "").split()]
    if named:
        return any(fnmatchcase(name, pattern) for name in named)
    exchange = event.details.get("exchange")
    return exchange is None or fnmatchcase(f"{exchange}:", pattern.partition(":")[0] + ":")


def sentence(event: Event) -> str:
    """What happened, in one line: ``verdict: healthy -> dead, its process ended by a signal``."""
    details = dict(event.details)
    head = event.what.replace("_", " ")
    if event.what == What.VERDICT_CHANGED.value:
        head = f"verdict: {details.pop('from', '') or 'new'} -> {details.pop('to', '')}"
    elif event.what == What.ACTION.value:
        cause = f" because {event.why}" if event.why else ""
        head = f"{details.pop('action', 'action')}{cause}: {details.pop('outcome', '')}"
    elif event.what == What.ORDERED.value:
        head = f"asked to {details.pop('command', '')}"
    if event.why and event.what != What.ACTION.value:
        head += f", {event.why}"
    shown = {name: value for name, value in details.items() if value not in ("", "0") and name not in _INTERNAL}
    facts = ", ".join(f"{name} {_shown(value)}" for name, value in sorted(shown.items()))
    return one_line(head) + (f"  [{one_line(facts)}]" if facts else "")


def line(event: Event) -> str:
    """An event as one line of text."""
    about, who = one_line(event.collector) or "fleet", one_line(event.who)
    return f"{date_time(event.at_ns)}  {about}  {sentence(event)}  ({who})"


def to_json(event: Event) -> dict[str, Any]:
    """An event for machines."""
    return {
        "id": event.entry_id,
        "at": event.at_ns,
        "who": event.who,
        "what": event.what,
        "collector": event.collector,
        "why": event.why,
        "details": event.details,
    }


def _shown(value: str) -> str:
    return clock_time(int(value)) if _is_time(value) else value


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) == _NS_DIGITS
