"""Pure: where a view of a stream begins, as an operator types it."""

import re
from datetime import UTC, datetime, timedelta

from common.errors import UsageError
from common.reading.start import NEW, OLDEST
from manager.cli.times import parse_time

_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
_DURATION = re.compile(r"[0-9]{1,9}[smhdw]", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_since(text: str, now_ns: int) -> str | datetime:
    """``new``, ``oldest``, an entry id, a duration (``10m`` or ``-10m``: so long ago) or a time, as a reader starts.

    Raises:
        UsageError: It is none of these.
    """
    text = text.strip()
    if text in (NEW, OLDEST) or _ENTRY_ID.fullmatch(text):
        return text
    try:
        at_ns = parse_time(f"-{text}" if _DURATION.fullmatch(text) else text, now_ns)
    except UsageError as error:
        raise UsageError(
            f"--since {text[:40]!r} is none of: new, oldest, an entry id as 1767225600000-0, 10m, 2026-03-29T10:00"
        ) from error
    return max(_EPOCH + timedelta(microseconds=at_ns // 1_000), _EPOCH + timedelta(milliseconds=1))
