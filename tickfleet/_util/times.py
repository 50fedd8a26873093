"""Points in time as people type them: one grammar for every command and for the start of every reader. Pure.

| typed | means |
| --- | --- |
| ``10m``, ``-10m``, ``2h30m``, ``1d12h`` | so long ago; units ``w d h m s``, the larger first |
| ``2026-03-29T10:00``, ``2026-03-29``, with ``Z`` or ``+02:00`` | ISO 8601; UTC where it names no zone |
| ``1774778400`` | a unix time in s, ms, us or ns: 10, 13, 16 or 19 digits |
| ``1774778400000-17`` | the time of an entry of a stream, by its id |
| ``now``, ``new`` | now |
| ``oldest``, ``0`` | the epoch: the beginning of whatever is there |
"""

import re
from datetime import UTC, datetime, timedelta

NEW, OLDEST = "new", "oldest"
KNOWN_FORMS = (
    "10m, -10m or 2h30m before now, 2026-03-29T10:00, a unix time in s, ms, us or ns, the id of an entry, now, oldest"
)

_NS_PER_S, _NS_PER_MS = 1_000_000_000, 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_NS = 2**63 - 1
_UNIT_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_AGO = re.compile("-?(?=[0-9])" + "".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNIT_S), re.ASCII)
_UNIX = re.compile(r"[0-9]+", re.ASCII)
_UNIX_NS = {10: _NS_PER_S, 13: _NS_PER_MS, 16: 1_000, 19: 1}
"""Nanoseconds in one unit by the number of digits, which tells the unit for every time from 2001 to 2262."""

_KEYWORDS = {NEW: False, "now": False, OLDEST: True, "0": True}
"""Whether it is the beginning, else now. Redis' own commands have 0 for it."""

_ENTRY_ID = re.compile(r"([0-9]{1,20})-[0-9]{1,20}", re.ASCII)

_SPOKEN = re.compile(r"-?\s*([0-9]{1,9})(?:\.([0-9]))?\s*([a-z]+?)s?(?:\s+ago)?", re.ASCII | re.IGNORECASE)
_SPOKEN_UNITS = {
    **dict.fromkeys(("w", "week"), "w"),
    **dict.fromkeys(("d", "day"), "d"),
    **dict.fromkeys(("h", "hr", "hour"), "h"),
    **dict.fromkeys(("m", "min", "minute"), "m"),
    **dict.fromkeys(("s", "sec", "second"), "s"),
}
_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)


def read_time(text: str, now_ns: int) -> int | None:
    """A point in time, ns since the epoch; None if the text is not a time, or is before 1970 or after 2262."""
    try:
        at_ns = _read(text.strip(), now_ns)
    except (ValueError, OverflowError):  # a date that does not exist
        return None
    return at_ns if at_ns is not None and 0 <= at_ns <= _LATEST_NS else None


def not_a_time(text: str, now_ns: int) -> str:
    """The message for a text that is not a time, with a suggestion."""
    hint = _meant(text.strip(), now_ns)
    return f"{text.strip()[:40]!r} is not a time{hint} (known: {KNOWN_FORMS})"


def _read(text: str, now_ns: int) -> int | None:
    if text in _KEYWORDS:
        return 0 if _KEYWORDS[text] else now_ns
    if found := _AGO.fullmatch(text):
        counts = zip(found.groups(), _UNIT_S.values(), strict=True)
        return now_ns - sum(int(count or 0) * unit_s for count, unit_s in counts) * _NS_PER_S
    if _UNIX.fullmatch(text):
        unit_ns = _UNIX_NS.get(len(text))
        return None if unit_ns is None else int(text) * unit_ns
    if found := _ENTRY_ID.fullmatch(text):
        return int(found[1]) * _NS_PER_MS
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def _meant(text: str, now_ns: int) -> str:
    """``; did you mean '10m'?`` for 10 minutes."""
    meant = {"yesterday": "1d", "today": _day(now_ns)}.get(text.lower(), "")
    if _TIME_OF_DAY.fullmatch(text):
        meant = f"{_day(now_ns)}T{text:0>{8 if text.count(':') == 2 else 5}}"
    elif (found := _SPOKEN.fullmatch(text)) and (unit := _SPOKEN_UNITS.get(found[3].lower())):
        seconds = int(found[1]) * _UNIT_S[unit] + int(found[2] or 0) * _UNIT_S[unit] // 10
        meant = f"{found[1]}{unit}" if not found[2] else _spelt(seconds)
    known = read_time(meant, now_ns) is not None
    return f"; did you mean {meant!r}?" if known else ""


def _spelt(seconds: int) -> str:
    parts = []
    for unit, unit_s in _UNIT_S.items():
        count, seconds = divmod(seconds, unit_s)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def _day(now_ns: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=now_ns // 1_000):%Y-%m-%d}"
