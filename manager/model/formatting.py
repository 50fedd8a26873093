"""Small texts for people: spans of time, points in time, and text from outside made fit to print."""

import re
from datetime import UTC, datetime, timedelta

from manager.settings import NS_PER_S

LONGEST_LINE = 200
"""Characters; what is longer was not meant to be shown in one line."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S = (datetime.max.replace(tzinfo=UTC) - _EPOCH - timedelta(days=1)) // timedelta(seconds=1)
"""No zone is more than a day ahead."""

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys instead of showing them: C0, C1, ends of lines, and changes of direction."""


def span(seconds: float) -> str:
    """A length of time in its largest sensible unit: ``45 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


class Zone:
    """In which zone this process shows times. Only a command sets it: what the manager writes is in UTC."""

    local = False


def clock_time(at_ns: int) -> str:
    """A point in time within a day, e.g. ``14:03:10 UTC``, or ``16:03:10+02:00`` if local."""
    at = in_zone(at_ns)
    return f"{at:%H:%M:%S}{zone_of(at) or ' UTC'}"


def date_and_time(at_ns: int) -> str:
    """A point in time of any day, e.g. ``2026-03-29 14:03 UTC``, or ``2026-03-29 16:03+02:00`` if local."""
    at = in_zone(at_ns)
    return f"{at:%Y-%m-%d %H:%M}{zone_of(at) or ' UTC'}"


def in_zone(at_ns: int) -> datetime:
    """A point in time, to the second, in the zone that is shown; what is later than all dates is the last one."""
    at = _EPOCH + timedelta(seconds=min(at_ns // NS_PER_S, _LAST_S))
    return at.astimezone() if Zone.local else at


def zone_of(at: datetime) -> str:
    """How far a local time is ahead of UTC, e.g. ``+02:00``; empty while UTC is shown."""
    offset = f"{at:%z}"
    return f"{offset[:3]}:{offset[3:5]}" if Zone.local else ""


def one_line(text: str) -> str:
    """Text from a heartbeat as one printable line of bounded length: anybody may have written that key."""
    line = "".join(c if c.isprintable() else " " for c in text[:LONGEST_LINE])
    return " ".join(line.split())


def visible(text: str, keep: str = "") -> str:
    r"""Text from outside, whole, with an escape such as ``\x1b`` in place of each character that a terminal obeys.

    Args:
        text: The text.
        keep: Those of them that may stay.
    """
    if text.isprintable():
        return text
    return OBEYED.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
