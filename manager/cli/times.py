"""Pure: points in time as an operator types them, and as he reads them."""

from datetime import UTC, datetime, timedelta
from typing import cast

from manager.model.formatting import in_zone, span, zone_of
from manager.settings import NS_PER_S
from tickfleet._util.times import not_a_time, read_time
from tickfleet.errors import InvalidConfigurationError, UsageError
from tickfleet.reading.streams.start import check_start

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_MS = 1_000_000
_AHEAD_NS = 60 * NS_PER_S
"""How far the clocks of exchanges and collectors, whose times are typed here, may be ahead of ours."""


def parse_time(text: str, now_ns: int) -> int:
    """A point in time, ns since the epoch, as ``tickfleet._util.times`` has it.

    Raises:
        UsageError: It is none.
    """
    at_ns = read_time(text, now_ns)
    if at_ns is None:
        raise UsageError(not_a_time(text, now_ns))
    return at_ns


def parse_past(option: str, text: str, now_ns: int) -> int:
    """The beginning of a range: a time that is not in the future. ``option`` names where it was typed.

    Raises:
        UsageError: It is none.
    """
    return _come(option, text, parse_time(text, now_ns), now_ns)


def parse_start(option: str, text: str, now_ns: int) -> str | datetime:
    """Where a view of a stream begins: ``new``, ``oldest``, an entry id, or a time that has come.

    Raises:
        UsageError: It is none of these.
    """
    try:
        start = check_start(text, now_ns)
    except InvalidConfigurationError as error:
        raise UsageError(not_a_time(text, now_ns)) from error
    if isinstance(start, str):
        return start
    at = cast(datetime, start)
    _come(option, text, (at - _EPOCH) // timedelta(microseconds=1) * 1_000, now_ns)
    return at


def _come(option: str, text: str, at_ns: int, now_ns: int) -> int:
    if at_ns > now_ns + _AHEAD_NS:
        raise UsageError(f"{option} {text}: that time has not come yet, it is {date_time(now_ns)} now")
    return at_ns


def date_time(at_ns: int) -> str:
    """A point in time to the millisecond with its zone, e.g. ``2026-03-29 10:00:00.123Z``, or ``…+02:00`` if local."""
    at = in_zone(at_ns)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ns % NS_PER_S // _NS_PER_MS:03d}{zone_of(at) or 'Z'}"


def length(ns: int) -> str:
    """A length of time for people: ``<1 ms``, ``120 ms``, ``45 s``, ``12 min``."""
    if ns < _NS_PER_MS:
        return "<1 ms"
    return f"{ns // _NS_PER_MS} ms" if ns < NS_PER_S else span(ns / NS_PER_S)
