"""What must hold of what readers were handed while the faults happened. Pure: in come records, out come complaints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tickfleet.contract.events import Level, Trade
from tickfleet.reading.entries import Entry, Missed, Rewound

Record = Mapping[str, Any]


class Handed:
    """What a reader was handed.

    Attributes:
        trades: The ids of the trades, in the order in which they came.
        prices: Price and size of each trade, by its id.
        told: How often it was told that entries are gone.
        read_to: The last entry that was read of each stream, by its key.
    """

    def __init__(self) -> None:
        self.trades: list[int] = []
        self.prices: dict[int, tuple[str, str]] = {}
        self.told = 0
        self.read_to: dict[str, str] = {}

    def note(self, entries: Iterable[Entry]) -> None:
        """Keep what is to be judged."""
        for entry in entries:
            if isinstance(entry.event, Trade):
                self.trades.append(int(entry.event.trade_id))
                self.prices[self.trades[-1]] = entry.event.price, entry.event.size
            elif isinstance(entry.event, (Missed, Rewound)):
                self.told += 1


class BookSeen(NamedTuple):
    """What a live book showed that it called valid."""

    seq: int
    bids: Sequence[Level]
    asks: Sequence[Level]


def handed_faults(who: str, handed: Handed, there: Iterable[int], record: Iterable[Record], *, once: bool) -> list[str]:
    """Good trades are delivered in order and as they were; what is not delivered is reported.

    Args:
        who: The reader.
        handed: What it was handed.
        there: Ids of the trades that were ever seen in the stream.
        record: What the exchange traded.
        once: Whether none may come twice.
    """
    complaints = [f"{who} gets trade {b} behind {a}" for a, b in pairwise(handed.trades) if once and b <= a]
    made = {int(row["id"]): (row["px"], row["sz"]) for row in record}
    complaints += [
        f"{who} gets trade {number} as {got}" for number, got in handed.prices.items() if made.get(number) != got
    ]
    if not handed.told:
        began = min(handed.trades, default=0)  # what users had deleted before that was not there for it
        lacking = sorted(number for number in {*there} - {*handed.trades} if number > began)
        complaints += [f"{who} does not get trade {number}" for number in lacking]
    return complaints


def live_book_faults(seen: Iterable[BookSeen], record_of: Callable[[int], Record | None], levels: int) -> list[str]:
    """A book that is called valid is the exchange's.

    Args:
        seen: Each time that it was looked at.
        record_of: The exchange's book at a number; None where there is none.
        levels: How many of a side are compared.
    """
    complaints: list[str] = []
    for book in seen:
        record = record_of(book.seq)
        expected = record and [[tuple(level[:2]) for level in record[side]][:levels] for side in ("bids", "asks")]
        if [[(level.price, level.size) for level in side][:levels] for side in (book.bids, book.asks)] != expected:
            complaints.append(f"a live book calls valid at {book.seq} what is not the exchange's book")
    return complaints
