"""Pure: points in time as an operator types them, and as he reads them."""

import re
from datetime import UTC, datetime, timedelta

from common.errors import UsageError
from manager.settings import NS_PER_S
from manager.words import span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_NS = 2**63 - 1
_NS_PER_MS = 1_000_000

_RELATIVE = re.compile(r"-([0-9]{1,9})([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

_UNIX = re.compile(r"[0-9]+", re.ASCII)
_UNIX_NS = {10: NS_PER_S, 13: _NS_PER_MS, 16: 1_000, 19: 1}
"""Nanoseconds in one unit by the number of digits, which tells the unit for every time from 2001 to 2262."""

KNOWN_FORMS = "2026-03-29T10:00, a unix time in s, ms, us or ns, or -1h (-30m, -45s, -2d)"


def parse_time(text: str, now_ns: int) -> int:
    """A point in time in ns: ISO 8601 (UTC where no zone is given), a unix time, or so long before now.

    Raises:
        UsageError: It is none of these, or lies before 1970 or after 2262.
    """
    at_ns = _read(text.strip(), now_ns)
    if at_ns is None or not 0 <= at_ns <= _LATEST_NS:
        raise UsageError(f"{text[:40]!r} is not a time; known are {KNOWN_FORMS}")
    return at_ns


def _read(text: str, now_ns: int) -> int | None:
    if text == "now":
        return now_ns
    if match := _RELATIVE.fullmatch(text):
        return now_ns - int(match[1]) * _UNIT_S[match[2]] * NS_PER_S
    if _UNIX.fullmatch(text):
        unit_ns = _UNIX_NS.get(len(text))
        return None if unit_ns is None else int(text) * unit_ns
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def date_time(at_ns: int) -> str:
    """A point in time in UTC to the millisecond, e.g. ``2026-03-29 10:00:00.123``."""
    at = _EPOCH + timedelta(milliseconds=at_ns // _NS_PER_MS)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def length(ns: int) -> str:
    """A length of time for people: ``<1 ms``, ``120 ms``, ``45 s``, ``12 min``."""
    if ns < _NS_PER_MS:
        return "<1 ms"
    return f"{ns // _NS_PER_MS} ms" if ns < NS_PER_S else span(ns / NS_PER_S)
