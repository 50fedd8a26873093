"""Where a reader begins in a stream. Pure.

| start | begins |
| --- | --- |
| ``new`` | behind what is there now |
| ``oldest`` | with the oldest entry that is there |
| ``1767225600000-17`` | behind that entry |
| a ``datetime``, or a time as text (``10m``: so long ago) | with the first entry of that time or later |
| a ``Position`` | behind it; streams that it does not know with their oldest entry |

See ``tickfleet._util.times`` for times as text. A stream that appears later, or does not exist yet, is read from its
beginning: all its entries are new.
"""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from tickfleet._util.clock import SystemClock
from tickfleet._util.times import NEW, OLDEST, not_a_time, read_time
from tickfleet.errors import InvalidConfigurationError
from tickfleet.reading.position import BEGINNING, LAST_OF_A_MS, Mark, Position, id_order
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.cursor import StreamFacts

Start = str | datetime | Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_start(start: Start, now_ns: int | None = None) -> Start:
    """The checked start; a time as text becomes a ``datetime``.

    Args:
        start: What was asked for.
        now_ns: The time from which ``10m`` counts back; else now.

    Raises:
        InvalidConfigurationError: It is none.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise InvalidConfigurationError("a start needs a time zone: datetime(..., tzinfo=UTC)")
        if start <= _EPOCH:
            raise InvalidConfigurationError("a start must be after 1970-01-01")
        return start
    if isinstance(start, Position) or start.strip() in (NEW, OLDEST):
        return start.strip() if isinstance(start, str) else start
    now_ns = SystemClock().now_ns() if now_ns is None else now_ns
    at_ns = None if _is_id(start) else read_time(start, now_ns)
    if at_ns is not None:
        return max(_EPOCH + timedelta(microseconds=at_ns // 1_000), _EPOCH + timedelta(milliseconds=1))
    if not _is_id(start):
        raise InvalidConfigurationError(f"a start is new, oldest, a position, or a time: {not_a_time(start, now_ns)}")
    return start.strip()


def _is_id(text: str) -> bool:
    """Whether a text is a full id. Redis also accepts a bare number, but from a person a 5 may mean anything."""
    try:
        parts = id_order(text.strip())
    except ValueError:
        return False
    return "-" in text and max(parts) < 2**64  # more than that Redis refuses, again and again


def first_mark(name: StreamName, start: Start, facts: StreamFacts | None) -> Mark:
    """Where to begin in one stream.

    Args:
        name: The stream.
        start: What was asked for.
        facts: The stream as it is; None if it does not exist.
    """
    if isinstance(start, Position):
        known = start.marks.get(name)
        return first_mark(name, OLDEST, facts) if known is None else _still_true(known, facts)
    if isinstance(start, str) and start in (NEW, OLDEST):
        if facts is None:
            return Mark(BEGINNING, 0)
        return Mark(facts.last_id, facts.added) if start == NEW else Mark(BEGINNING, facts.removed)
    return _still_true(Mark(_id_before(start) if isinstance(start, datetime) else start, chosen=True), facts)


def _still_true(mark: Mark, facts: StreamFacts | None) -> Mark:
    """The mark, corrected by the present facts of the stream."""
    if facts is None or id_order(mark.id) < id_order(facts.last_id):
        return mark
    if id_order(mark.id) == id_order(facts.last_id):
        return replace(mark, added=facts.added, chosen=False)
    return Mark(
        mark.id, chosen=mark.chosen, item=mark.item
    )  # beyond the end nobody knows how many will come before its place


def _id_before(time: datetime) -> str:
    """The highest id before a time. Ids have ms, so a time with µs begins with its millisecond."""
    ms = (time - _EPOCH) // timedelta(milliseconds=1)
    return f"{ms - 1}-{LAST_OF_A_MS}"
