"""Pure: a completeness ledger becomes the answer to what an operator asked, as JSON or as rows for tables."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from manager.cli.data.kept import KeptData, Removed, removed
from manager.cli.times import date_time, length
from manager.model.formatting import one_line, span
from manager.settings import NS_PER_S
from tickfleet.contract.coverage import Interval, LedgerEntry, State, clip, intervals, is_complete, up_to
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.contract.suggestions import of_known
from tickfleet.errors import UsageError

BEFORE, AFTER = "before the ledger begins", "after the ledger ends"
"""Reasons why nothing is known."""


_REASONS = {
    State.FILLED: "fetched afterwards",
    State.LOST: "could not be fetched",
    State.OPEN: "being fetched",
    State.UNKNOWN: "nobody collected",
}
"""Why, where the ledger does not say it."""


class Subject(Struct, frozen=True):
    """A kind of data that has a coverage of its own: a data type, or candles of one interval."""

    data_type: DataType
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.data_type.value} {self.interval}".rstrip()


class CoverageAnswer(Struct, frozen=True, kw_only=True):
    """What is known of one subject in the asked range.

    Attributes:
        from_ts, to_ts: The range, ns. A bound that was not asked for is that of the known time (0 if nothing is known).
            The range is empty if retention has left only the running bar, which the ledger does not list yet.
        parts: The whole range, also where the ledger says nothing.
        complete: Whether all of the range was published, and is still kept.
        removed: What was published and is no longer kept. If the range begins with the oldest kept data, it also lists
            what was before.
        up_to: See ``tickfleet.contract.coverage.up_to``; of all that is known, not of the range.
    """

    subject: Subject
    from_ts: int
    to_ts: int
    parts: list[Interval]
    complete: bool
    up_to: int
    removed: Sequence[Removed] = ()


class CoverageRow(Struct, frozen=True, kw_only=True):
    """One line of a table, all texts."""

    from_ts: str
    to_ts: str
    length: str
    state: State
    ids: str
    reason: str


def parse_data_types(names: Sequence[str]) -> list[DataType]:
    """Data types by name, each argument one or several with commas.

    Raises:
        UsageError: There is no such data type.
    """
    known = [data_type.value for data_type in DataType]
    chosen = []
    for name in (part.strip() for argument in names for part in argument.split(",")):
        if name not in known:
            raise UsageError(f"there is no data type {name!r}{of_known(name, known)}")
        chosen.append(DataType(name))
    return chosen


def subjects(
    entries: Sequence[LedgerEntry], config: ExchangeCollectorConfig | None, data_types: Sequence[DataType]
) -> list[Subject]:
    """What the answer is about: what the collector is to collect, or what is asked for.

    A collector that has left the fleet (``config`` is None), or a data type that it no longer collects, is judged by
    what the ledger holds.
    """
    noted = sorted({Subject(entry.data_type, entry.interval) for entry in entries}, key=_order)
    wanted = noted if config is None else _configured(config)
    if not data_types:
        return wanted
    chosen = []
    for data_type in dict.fromkeys(data_types):
        found = [one for one in wanted if one.data_type is data_type]
        found = found or [one for one in noted if one.data_type is data_type]
        chosen += found or [Subject(data_type)]
    return chosen


def _configured(config: ExchangeCollectorConfig) -> list[Subject]:
    found = []
    for data_type in config.data_types:
        of_candles = data_type is DataType.CANDLES
        found += [Subject(data_type, interval) for interval in (config.candle_intervals if of_candles else ("",))]
    return found


def _order(subject: Subject) -> tuple[int, int]:
    return list(DataType).index(subject.data_type), INTERVAL_S.get(subject.interval, 0)


def answer(
    entries: Sequence[LedgerEntry],
    subject: Subject,
    from_ts: int | None,
    to_ts: int | None,
    now_ns: int,
    kept: KeptData,
) -> CoverageAnswer:
    """What is known of one subject from one time to another (None: the last known).

    Where no beginning is asked for it is the first time that is known and that retention has left.

    If the range begins after the last known time and has no end, all of it up to now is unknown, and is reported so.
    """
    known = intervals(entries, subject.data_type, subject.interval)
    start, end = (known[0].from_ts, known[-1].to_ts) if known else (0, 0)
    gone = removed(clip(known, start if from_ts is None else from_ts, end if to_ts is None else to_ts), kept)
    if from_ts is not None:
        start = from_ts
    elif kept.full:
        start = min(max(start, kept.from_ns), end)
    known_to, told_to = end, up_to(known)
    only_running = from_ts is None and to_ts is None and _is_running_bar(subject, kept, known_to)
    if to_ts is not None:
        end = to_ts
    elif known and start >= end and not only_running:
        end = now_ns
    all_there = told_to == known_to if only_running else is_complete(known, start, end)
    return CoverageAnswer(
        subject=subject,
        from_ts=start,
        to_ts=max(start, end),
        parts=_padded(known, start, end),
        complete=all_there and all(span.to_ts <= start or span.from_ts >= end for span in gone),
        up_to=told_to,
        removed=gone,
    )


def _is_running_bar(subject: Subject, kept: KeptData, known_to: int) -> bool:
    """Whether retention has left nothing but pushes of the bar that opens where the ledger ends.

    The ledger takes a bar once it is closed: up to then nobody can confirm it, and nothing is wrong.
    """
    return subject.data_type is DataType.CANDLES and kept.full and kept.from_ns == known_to


def _padded(known: Sequence[Interval], from_ts: int, to_ts: int) -> list[Interval]:
    """The intervals within the range, and the time before the first and after the last."""
    if not known:
        return []
    first, last = known[0].from_ts, known[-1].to_ts
    outside = (
        Interval(from_ts, min(first, to_ts), State.UNKNOWN, reason=BEFORE),
        Interval(max(last, from_ts), to_ts, State.UNKNOWN, reason=AFTER),
    )
    before, after = ([part] if part.from_ts < part.to_ts else [] for part in outside)
    return [*before, *clip(known, from_ts, to_ts), *after]


def all_complete(answers: Sequence[CoverageAnswer], unreadable: int) -> bool:
    """Whether everything asked for is complete. False if an entry cannot be read, as it might have reported a hole."""
    return bool(answers) and not unreadable and all(one.complete for one in answers)


def to_json(collector: str, answers: Sequence[CoverageAnswer], unreadable: int) -> dict[str, Any]:
    """The document of ``coverage --json``; times are ns since the epoch."""
    return {
        "id": collector,
        "complete": all_complete(answers, unreadable),
        "unreadable_entries": unreadable,
        "coverage": [
            {
                "data_type": one.subject.data_type.value,
                "interval": one.subject.interval,
                "from_ts": one.from_ts,
                "to_ts": one.to_ts,
                "complete": one.complete,
                "complete_up_to": one.up_to,
                "intervals": [msgspec.to_builtins(part) for part in one.parts],
                "no_longer_kept": [msgspec.to_builtins(span) for span in one.removed],
            }
            for one in answers
        ],
    }


def to_rows(parts: Sequence[Interval]) -> list[CoverageRow]:
    """The rows of one table. Texts from the ledger are made fit to print: anybody may have written that key."""
    return [
        CoverageRow(
            from_ts=date_time(part.from_ts),
            to_ts=date_time(part.to_ts),
            length=length(part.to_ts - part.from_ts),
            state=part.state,
            ids=_ids(part),
            reason=one_line(part.reason) or _REASONS.get(part.state, ""),
        )
        for part in parts
    ]


def _ids(part: Interval) -> str:
    """First and last id of an interval, both inclusive; for a hole, the first and last missing id."""
    inward = 0 if part.state is State.COMPLETE else 1
    first = "" if part.from_id is None else str(int(part.from_id) + inward)
    last = "" if part.to_id is None else str(int(part.to_id) - inward)
    return f"{first} … {last}".strip() if first or last else ""


def up_to_line(one: CoverageAnswer, now_ns: int) -> str:
    """``complete up to 2026-03-29 10:00:00.123Z (12 s ago)``."""
    if not one.up_to:
        return "nothing is known yet"
    return f"complete up to {date_time(one.up_to)} ({span((now_ns - one.up_to) / NS_PER_S)} ago)"


def removed_lines(one: CoverageAnswer) -> list[str]:
    """What was published and is not kept any more, a line each."""
    return [removed_line(span) for span in one.removed]


def removed_line(span: Removed) -> str:
    """``published, no longer kept from 2026-03-29 10:00:00.123Z to 2026-03-29 10:05:00.000Z``."""
    between = f"from {date_time(span.from_ts)} to {date_time(span.to_ts)}"
    if span.whole:
        return f"published, no longer kept {between}"
    return f"published, no longer kept in part {between}: somebody deleted single entries (XDEL)"


def verdict_line(answers: Sequence[CoverageAnswer], unreadable: int) -> str:
    """The answer in one line."""
    lacking = [str(one.subject) for one in answers if not one.complete]
    line = f"not complete: {', '.join(lacking)}" if lacking else "complete"
    if unreadable:
        line += f"\nentries of the ledger that cannot be read, and may tell of gaps: {unreadable}"
    return line
