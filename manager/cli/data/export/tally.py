"""Pure: what an export wrote, and what an operator has to know of it."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from manager.cli.times import date_time
from manager.model.formatting import phrase
from tickfleet.reading.entries import Entry


class ExportFacts(Struct, frozen=True):
    """What is known beside the entries.

    Attributes:
        trimmed_to_ns: Retention had removed what stood before this time, which lies in the range; None: it had not.
        ended: The stream was deleted or trimmed while it was read, and ended before its end.
        ledger: Why the range is not complete by the completeness ledger; empty: it is.
        vouched_ns: Up to when it is, by the ledger; 0: not even in part.
        odd: How many entries stand in the range by their ids and bear a time far from it: they are not in the file.
    """

    trimmed_to_ns: int | None = None
    ended: bool = False
    ledger: str = ""
    vouched_ns: int = 0
    odd: int = 0


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

    def doubts(self, facts: ExportFacts) -> list[str]:
        """Why the file may lack something of the range, a line each; none: nobody knows of a reason."""
        found = list[str]()
        if facts.trimmed_to_ns is not None:
            found.append(
                f"retention had removed what the stream held before {date_time(facts.trimmed_to_ns)}:"
                " the beginning of the range may be missing"
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
                f"complete by the coverage ledger only up to {date_time(facts.vouched_ns)}: more may still come"
                if facts.vouched_ns
                else f"the coverage ledger does not vouch for the whole range ({phrase(facts.ledger)})"
            )
        return found
