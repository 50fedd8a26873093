"""The completeness ledger of a collector: which data its streams hold, which is missing, which is being fetched.

A consumer checks it before using a span of time: ``is_complete(intervals(entries, DataType.TRADE), ten, eleven)``. The
collector appends entries (a Redis stream, see ``keys.coverage``), a reader folds them into intervals:

| kind | says |
| --- | --- |
| ``opened`` | a run collects from ``from_ts`` on; ``continues`` where nothing is missing behind what was complete |
| ``complete`` | since the last ``opened``, ``complete`` or gap all is there up to ``to_ts``, except for the gaps |
| ``gap_opened`` | what lies between ``from_ts`` and ``to_ts`` is missing and being fetched |
| ``gap_filled`` | it is in the stream now; a gap may be filled in several pieces |
| ``gap_lost`` | it is missing for good, with the ``reason`` |

Times are the exchange's, ns since the epoch. Ids exist for numbered items only: ``opened`` has the id of the first
item, ``complete`` of the last one. A gap has the ids and times of the items on its two sides, which are not missing
themselves. If a gap of numbered items has no ids (reason ``id_reset``), the exchange began to number anew: do not
compare ids across it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from tickfleet.contract.codec import Fields
from tickfleet.contract.coverage_fold import Interval, Span, State, Timeline, number_of
from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError

__all__ = [
    "Interval",
    "LedgerEntry",
    "LedgerKind",
    "State",
    "believed_from",
    "clip",
    "complete_up_to",
    "decode",
    "encode",
    "intervals",
    "is_complete",
    "note",
    "read_entry",
    "up_to",
]  # fmt: skip

Ns = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Nanoseconds since the Unix epoch, UTC."""


class LedgerKind(Enum):
    """What an entry says; see the module."""

    OPENED = "opened"
    COMPLETE = "complete"
    GAP_OPENED = "gap_opened"
    GAP_FILLED = "gap_filled"
    GAP_LOST = "gap_lost"


_NEEDED = {LedgerKind.OPENED: ("from_ts",), LedgerKind.COMPLETE: ("to_ts",)}
_GAP_STATES = {LedgerKind.GAP_OPENED: State.OPEN, LedgerKind.GAP_FILLED: State.FILLED, LedgerKind.GAP_LOST: State.LOST}
_GOOD = (State.COMPLETE, State.FILLED)


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """One entry of the ledger; see the module.

    Attributes:
        kind: What it says.
        at: When it was written, the collector's own clock, ns since the Unix epoch.
        run_id: The run that wrote it.
        data_type: The data type that the entry is about.
        interval: Of candles, e.g. ``1m``; empty for other data.
        from_ts: From when, ns since the Unix epoch; ``opened`` and the gaps have it.
        to_ts: Up to when, ns since the Unix epoch; ``complete`` and the gaps have it.
        from_id, to_id: The ids of the numbered items at these times.
        reason: Why something is lost.
        continues: Only for ``opened``: nothing is missing behind what was complete.

    Raises:
        ValueError: A time that this kind needs is missing.
    """

    kind: LedgerKind
    at: Ns
    run_id: str
    data_type: DataType
    interval: str = ""
    from_ts: Ns | None = None
    to_ts: Ns | None = None
    from_id: str | None = None
    to_id: str | None = None
    reason: str = ""
    continues: bool = False

    def __post_init__(self) -> None:
        for name in _NEEDED.get(self.kind, ("from_ts", "to_ts")):
            if getattr(self, name) is None:
                raise ValueError(f"a ledger entry of kind {self.kind.value} needs {name}")


def encode(entry: LedgerEntry) -> Fields:
    """The entry for XADD: names and values in turn, without fields that do not apply."""
    fields: Fields = ["kind", entry.kind.value, "at", entry.at, "run_id", entry.run_id]
    fields += ("data_type", entry.data_type.value, "interval", entry.interval)
    for name in ("from_ts", "to_ts", "from_id", "to_id"):
        value = getattr(entry, name)
        if value is not None:
            fields += (name, value)
    if entry.reason:
        fields += ("reason", entry.reason)
    if entry.kind is LedgerKind.OPENED:
        fields += ("continues", int(entry.continues))
    return fields


_KINDS = {kind.value for kind in LedgerKind}
_CONTINUES = {"0": False, "1": True}


def decode(fields: Mapping[str, str]) -> LedgerEntry:
    """The ledger entry from the fields of a stream entry; unknown fields are skipped.

    Raises:
        UndecodableFrameError: Unknown ``kind``, or a field is missing or malformed.
    """
    kind = fields.get("kind", "")
    if kind not in _KINDS:
        raise UndecodableFrameError(f"ledger entry of unknown kind {kind[:40]!r}")
    try:
        continues = _CONTINUES[fields.get("continues", "0")]
        entry = msgspec.convert({**fields, "continues": continues}, LedgerEntry, strict=False)
    except (msgspec.MsgspecError, KeyError, UnicodeError) as error:
        raise UndecodableFrameError(f"ledger entry of kind {kind} lacks a field or holds a malformed one") from error
    if _is_reversed(entry):
        raise UndecodableFrameError(f"ledger entry of kind {kind} ends before it begins")
    return entry


def read_entry(fields: Mapping[str, str], now_ns: int) -> LedgerEntry:
    """As ``decode``, for readers of a ledger; ``decode`` is for the collector that wrote it.

    An entry is believed up to its own time, so this time must not lie in the future.

    Args:
        fields: See ``decode``.
        now_ns: The reader's clock, ns since the Unix epoch.

    Raises:
        UndecodableFrameError: As ``decode``; or the entry's time is further in the future than clocks may differ.
    """
    entry = decode(fields)
    if now_ns < believed_from(entry):
        raise UndecodableFrameError(f"ledger entry of kind {entry.kind.value} lies in the future")
    return entry


def believed_from(entry: LedgerEntry) -> int:
    """The first time, by the reader's clock (ns), at which an entry does not lie in the future."""
    return entry.at - MAX_CLOCK_DIFFERENCE_NS


def _is_reversed(entry: LedgerEntry) -> bool:
    """Whether the ids that bound a gap are in the wrong order: such a gap would look as if nothing were missing.

    Only ids are checked. Times may be in the wrong order: an exchange's clock can go back between two items.
    """
    from_id, to_id = number_of(entry.from_id), number_of(entry.to_id)
    return entry.kind in _GAP_STATES and from_id is not None and to_id is not None and from_id >= to_id


def intervals(entries: Iterable[LedgerEntry], data_type: DataType, interval: str = "") -> list[Interval]:
    """What is known about one data type, from the oldest time to the newest, with no hole between two intervals.

    The intervals are half-open, sorted and do not overlap; neighbours differ in state or reason. If the beginning of
    the ledger was trimmed away, they begin with the first time that the remaining entries confirm.

    Args:
        entries: The ledger in its order; entries about other data are skipped.
        data_type: Whose coverage.
        interval: Of candles, e.g. ``1m``.
    """
    timeline = Timeline()
    for entry in entries:
        if entry.data_type is data_type and entry.interval == interval:
            note(timeline, entry)
    return timeline.intervals()


def note(timeline: Timeline, entry: LedgerEntry) -> None:
    """Add the next ledger entry to the timeline of its data; for readers that follow a ledger.

    Nobody can confirm a time in the future: times after the entry's own time are not believed.
    """
    # ``LedgerEntry`` has checked that the times are there.
    from_ts, to_ts = entry.from_ts or 0, entry.to_ts or 0
    from_id, to_id = number_of(entry.from_id), number_of(entry.to_id)
    if entry.kind is LedgerKind.OPENED:
        from_ts = min(from_ts, entry.at + MAX_CLOCK_DIFFERENCE_NS)
        timeline.open(entry.run_id, from_ts, from_id, entry.at, continues=entry.continues)
    elif entry.kind is LedgerKind.COMPLETE:
        timeline.complete(entry.run_id, min(to_ts, entry.at), to_id)
    else:
        timeline.gap(Span.between(_GAP_STATES[entry.kind], from_ts, to_ts, from_id, to_id, entry.reason), entry.at)


def complete_up_to(entries: Iterable[LedgerEntry], data_type: DataType, interval: str = "") -> int:
    """See ``up_to``."""
    return up_to(intervals(entries, data_type, interval))


def up_to(known: Sequence[Interval]) -> int:
    """The time (exclusive, ns) up to which a reader of the stream has all it will ever get; 0: unknown.

    Look at the intervals after the last ``unknown`` one, or at all of them if none is ``unknown``. The answer is the
    start of the first ``open`` interval there, else their end. Lost data does not hold the answer back: it never comes.
    """
    unknown = [index for index, part in enumerate(known) if part.state is State.UNKNOWN]
    newest = known[unknown[-1] + 1 :] if unknown else known
    being_fetched = next((part.from_ts for part in newest if part.state is State.OPEN), None)
    return being_fetched if being_fetched is not None else known[-1].to_ts if known else 0


def is_complete(known: Iterable[Interval], from_ts: int, to_ts: int) -> bool:
    """Whether every item with a time in ``[from_ts, to_ts)`` is in the stream; False for an empty span."""
    parts = clip(known, from_ts, to_ts)
    covered = bool(parts) and parts[0].from_ts == from_ts and parts[-1].to_ts == to_ts
    return covered and all(part.state in _GOOD for part in parts)


def clip(known: Iterable[Interval], from_ts: int, to_ts: int) -> list[Interval]:
    """The intervals within ``[from_ts, to_ts)``. If an interval is cut, the id on that side is unknown."""
    return [
        replace(
            part,
            from_ts=max(part.from_ts, from_ts),
            to_ts=min(part.to_ts, to_ts),
            from_id=part.from_id if part.from_ts >= from_ts else None,
            to_id=part.to_id if part.to_ts <= to_ts else None,
        )
        for part in known
        if max(part.from_ts, from_ts) < min(part.to_ts, to_ts)
    ]
