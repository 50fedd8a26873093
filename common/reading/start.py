"""Where a reader begins in a stream. Pure.

| start | begins |
| --- | --- |
| ``new`` | behind what is there now |
| ``oldest`` | with the oldest entry that is there |
| ``1767225600000-17`` | behind that entry |
| a ``datetime`` | with the first entry of that time or later |
| a ``Position`` | behind it; streams that it does not know with their oldest entry |

A stream that appears later, or is not there yet, is read from its beginning: all in it is new.
"""

from datetime import UTC, datetime, timedelta

from common.errors import InvalidConfigurationError
from common.reading.cursor import Facts
from common.reading.names import StreamName
from common.reading.position import BEGINNING, Mark, Position, id_order

Start = str | datetime | Position

NEW = "new"
OLDEST = "oldest"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_OF_A_MS = 2**64 - 1


def check_start(start: Start) -> Start:
    """The start, if it is one.

    Raises:
        InvalidConfigurationError: It is not.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise InvalidConfigurationError("a start needs a time zone: datetime(..., tzinfo=UTC)")
        if start <= _EPOCH:
            raise InvalidConfigurationError("a start must be after 1970-01-01")
    elif isinstance(start, str) and start not in (NEW, OLDEST):
        try:
            id_order(start)
        except ValueError as error:
            raise InvalidConfigurationError(
                f"a start is new, oldest, an entry id such as 1767225600000-0, a time or a position, not {start[:40]!r}"
            ) from error
    return start


def first_mark(name: StreamName, start: Start, facts: Facts | None) -> Mark:
    """Where to begin in one stream.

    Args:
        name: The stream.
        start: What was asked for.
        facts: The stream as it is; None where it is not there.
    """
    if isinstance(start, Position):
        known = start.marks.get(name)
        return first_mark(name, OLDEST, facts) if known is None else _still_true(known, facts)
    if isinstance(start, str) and start in (NEW, OLDEST):
        if facts is None:
            return Mark(BEGINNING, 0)
        return Mark(facts.last_id, facts.added) if start == NEW else Mark(BEGINNING, facts.removed)
    return _still_true(Mark(_id_before(start) if isinstance(start, datetime) else start), facts)


def _still_true(mark: Mark, facts: Facts | None) -> Mark:
    """The mark, with what the stream as it is tells of it."""
    if facts is None or id_order(mark.id) < id_order(facts.last_id):
        return mark
    # Beyond the end (Redis lost what was there) nobody knows how many will come before its place.
    return Mark(mark.id, facts.added if id_order(mark.id) == id_order(facts.last_id) else None)


def _id_before(time: datetime) -> str:
    """The highest id before those of a time. Ids have ms; what is asked for with µs begins with its millisecond."""
    ms = (time - _EPOCH) // timedelta(milliseconds=1)
    return f"{ms - 1}-{_LAST_OF_A_MS}"
