"""Pure: what an export wrote, and what an operator has to know of it."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from manager.cli.data.coverage_answer import removed_line
from manager.cli.data.export.span import ExportSpan
from manager.cli.data.kept import Removed
from manager.cli.times import date_time
from manager.model.formatting import one_line
from tickfleet.contract.coverage_fold import number_of
from tickfleet.contract.events import FeedStatus, Gap, Trade
from tickfleet.reading.entries import Entry
from tickfleet.reading.position import id_order


class ExportFacts(Struct, frozen=True):
    """What is known beside the entries.

    Attributes:
        trimmed_to_ns: Retention had removed what stood before this time, which lies in the range; None: it had not.
        ended: The stream was deleted or trimmed while it was read, and ended before its end.
        ledger: Why the range is not complete by the completeness ledger; empty: it is.
        complete_to_ns: Up to when it is, by the ledger; 0: not even in part.
        odd: How many entries have an id in the range but a time far from their id: they are not in the file.
        removed: What was published, by the ledger, but is no longer in the stream.
        holes: See ``TradeNumbers.holes``.
    """

    trimmed_to_ns: int | None = None
    ended: bool = False
    ledger: str = ""
    complete_to_ns: int = 0
    odd: int = 0
    removed: Sequence[Removed] = ()
    holes: Sequence[tuple[int, int]] = ()


class TradeNumbers:
    """Whether the numbers of trades follow each other: if not, and no gap reports it, some were deleted.

    It gets everything that is read, also outside the range, as times need not rise with the numbers. A collector's
    trade has its number in its entry's id; an entry that another program added counts neither as a trade nor as a hole.
    """

    def __init__(self, span: ExportSpan) -> None:
        self._span = span
        self._last: tuple[int, int] | None = None
        self._found: list[tuple[int, int]] = []
        self._gaps: list[tuple[int, int]] = []

    def add(self, entries: Iterable[Entry]) -> None:
        """The next entries of the stream."""
        for entry in entries:
            event = entry.event
            if isinstance(event, Trade):
                number = number_of(event.trade_id)
                if number is not None and number == id_order(entry.id)[1]:  # else no collector wrote it
                    self._add(number, number_of(event.count) or 1, event.ts_event)
            elif not isinstance(event, FeedStatus):
                self._last = None  # it says itself that something is missing there
                if isinstance(event, Gap):
                    from_id, to_id = number_of(event.from_id), number_of(event.to_id)
                    if from_id is not None and to_id is not None:
                        self._gaps.append((from_id, to_id))

    def _add(self, number: int, count: int, ts: int) -> None:
        before, self._last = self._last, (number, ts)
        first = number - count + 1
        if before is None or before[0] + 1 >= first:
            return
        if max(before[1], ts) >= self._span.from_ns and min(before[1], ts) < self._span.to_ns:
            self._found.append((before[0], first))

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The trades on both sides of each hole that touches the range and that no gap reports, not even later."""
        return [(last, at) for last, at in self._found if not any(a <= last and at <= b for a, b in self._gaps)]


class Tally:
    """Counts what is written.

    Attributes:
        first_ns, last_ns: The times of the first and the last entry of data.
    """

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.first_ns = self.last_ns = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Entries that were written."""
        for entry in entries:
            kind = str(entry.event.__struct_config__.tag)
            self.types[kind] += 1
            if kind not in ("gap", "feed_status", "missed", "rewound", "unreadable"):
                self.first_ns = self.first_ns or entry.event.ts_event
                self.last_ns = entry.event.ts_event

    def summary(self, file: str) -> str:
        """One line: what is in the file."""
        said = [f"{count:,} {kind}" for kind, count in sorted(self.types.items(), key=lambda one: (-one[1], one[0]))]
        reach = f", {date_time(self.first_ns)} … {date_time(self.last_ns)}" if self.last_ns else ""
        return f"{file}: {self.types.total():,} entries" + (f" ({', '.join(said)})" if said else "") + reach

    def warnings(self, facts: ExportFacts) -> list[str]:
        """Why the file may lack something of the range, a line each; none: nobody knows of a reason."""
        found = list[str]()
        if facts.trimmed_to_ns is not None:
            found.append(
                f"retention had removed what the stream held before {date_time(facts.trimmed_to_ns)}:"
                " the beginning of the range may be missing"
            )
        else:
            found += map(removed_line, facts.removed)
        if holes := facts.holes:
            trades = sum(at - last - 1 for last, at in holes)
            found.append(
                f"{trades} trades are not in the stream, by their numbers, at {len(holes)} places (the first behind"
                f" {holes[0][0]}), and no gap says so: somebody deleted them"
            )
        if missed := self.types["missed"]:
            found.append(f"retention removed entries before they could be read, at {missed} places (type missed)")
        if self.types["rewound"]:
            found.append(
                "Redis came back older while it was read: what it lost may be in the file in part (type rewound)"
            )
        if gaps := self.types["gap"]:
            found.append(f"the collector marked {gaps} gaps: data that is missing for good (type gap)")
        if facts.ended:
            found.append("the stream was deleted or trimmed meanwhile: its end is missing")
        if unreadable := self.types["unreadable"]:
            found.append(f"{unreadable} entries cannot be read by this version: only their ids are there")
        if facts.odd:
            found.append(
                f"{facts.odd} entries stand in the range, but bear times more than five minutes off: they were left out"
            )
        if facts.ledger:
            found.append(
                f"complete by the coverage ledger only up to {date_time(facts.complete_to_ns)}: more may still come"
                if facts.complete_to_ns
                else f"the coverage ledger does not confirm the whole range ({one_line(facts.ledger)})"
            )
        return found
