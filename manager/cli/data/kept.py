"""Pure: what a stream still keeps of what its ledger says was published.

The ledger says what was published; retention, XDEL, XTRIM, DEL and eviction remove entries without a word to it. Two
questions are asked per stream, however long it is: what its oldest data is, mostly among the first entries, and the
highest id that XDEL ever removed (``max-deleted-entry-id``, Redis 7.0). Which entries were removed one by one is not
known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tickfleet.contract.coverage import Interval, State
from tickfleet.contract.coverage_fold import number_of

ROWS = 100
"""Entries to read at once, from a stream's beginning up to its first data."""

_NS_PER_MS = 1_000_000
_NEVER_NS = 2**63 - 1
_GOOD = (State.COMPLETE, State.FILLED)

Rows = Sequence[tuple[str, Mapping[str, str]]]
"""Entries of a stream, with their fields."""


class KeptData(Struct, frozen=True):
    """What a stream still keeps.

    Attributes:
        from_ns: The time of its oldest data, ns; beyond all times where there is none.
        deleted_to_ns: Up to then single entries were deleted; 0: none behind the oldest one.
        full: Whether it is as long as its bound, so that retention has removed what is not there.
    """

    from_ns: int = _NEVER_NS
    deleted_to_ns: int = 0
    full: bool = False


class Removed(Struct, frozen=True):
    """A span of time, ns, of which not all is kept; ``whole``: nothing of it."""

    from_ts: int
    to_ts: int
    whole: bool


def read_on(rows: Rows) -> str | None:
    """The id after which to read on. None if these entries (``ROWS`` at once) include data, or no more follow."""
    return rows[-1][0] if len(rows) >= ROWS and _first_data(rows) is None else None


def kept_data(info: Mapping[str, Any], rows: Rows, bound: int) -> KeptData:
    """What a stream keeps.

    Args:
        info: What XINFO STREAM says; empty: there is no stream.
        rows: The first of its entries with data among them, oldest first; see ``read_on``.
        bound: How many entries it keeps at least.
    """
    first = _first_data(rows)
    if first is None:
        return KeptData()
    (first_ms, first_n), (ms, n) = _place(first[0]), _place(str(info.get("max-deleted-entry-id") or "0-0"))
    return KeptData(
        from_ns=first[1],
        deleted_to_ns=(ms + 1) * _NS_PER_MS if (ms, n) > (first_ms, first_n) else 0,
        full=int(info.get("length", 0)) >= bound,
    )


def removed(parts: Sequence[Interval], kept: KeptData) -> list[Removed]:
    """What was published, by these parts of a ledger, but is no longer kept; adjacent spans are merged."""
    found = list[Removed]()
    for part in parts:
        if part.state not in _GOOD:
            continue
        start = max(part.from_ts, kept.from_ns)
        spans = (
            Removed(part.from_ts, min(part.to_ts, kept.from_ns), whole=True),
            Removed(start, min(part.to_ts, max(start, kept.deleted_to_ns)), whole=False),
        )
        for span in spans:
            if span.from_ts >= span.to_ts:
                continue
            if found and (found[-1].to_ts, found[-1].whole) == (span.from_ts, span.whole):
                found[-1] = Removed(found[-1].from_ts, span.to_ts, span.whole)
            else:
                found.append(span)
    return found


def _first_data(rows: Rows) -> tuple[str, int] | None:
    """Id and time of the oldest data."""
    return next(((entry_id, at_ns) for entry_id, fields in rows if (at_ns := _time_of(fields)) is not None), None)


def _time_of(fields: Mapping[str, str]) -> int | None:
    """The earliest time under which the ledger may list this data; None if the entry is not data."""
    kind, opened = fields.get("type"), number_of(fields.get("open_time"))
    if kind == "candle":
        return opened
    event_ns, recv_ns = number_of(fields.get("ts_event")), number_of(fields.get("ts_recv"))
    if kind in (None, "gap", "feed_status") or event_ns is None or recv_ns is None:
        return None
    return min(event_ns, recv_ns)


def _place(entry_id: str) -> tuple[int, int]:
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n)
