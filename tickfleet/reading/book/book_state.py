"""Follows a book in its stream, and says whether it can be trusted. Pure.

| state | on | becomes |
| --- | --- | --- |
| doubtful | a snapshot in the stream, or the ``:book`` hash as it was at the doubt or later | sure |
| sure | a delta that does not continue it (``prev_seq``), a feed that is stale or disconnected, a gap | doubtful |
| sure | entries that were missed, lost by Redis or cannot be read, a level that is no number | doubtful |
| sure | somebody bids as much as somebody else asks, where that is not legal | doubtful |

Deltas that come while the book is doubtful are skipped. ``tickfleet.reading.book.book_watch`` checks separately that
the collector lives and the stream is up to date.
"""

from collections.abc import Mapping

from msgspec import Struct

from tickfleet.contract.codec import decode
from tickfleet.contract.events import BookDelta, BookSnapshot, FeedState, FeedStatus, Gap
from tickfleet.contract.health import BookState
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.book.ladder import BadLevelError, Ladder
from tickfleet.reading.entries import Entry, Missed, Rewound
from tickfleet.reading.position import BEGINNING, id_order

__all__ = ["BookHash", "FollowedBook", "is_of", "read_book_hash"]

NOT_JOINED = "not joined yet"
_BAD_STATES = (FeedState.STALE, FeedState.DISCONNECTED)


class BookHash(Struct, frozen=True):
    """The content of the ``:book`` hash: the book right after the entry ``stream_id``."""

    stream_id: str
    book: BookSnapshot


def read_book_hash(fields: Mapping[str, str]) -> BookHash | None:
    """The book in the ``:book`` hash; None if the hash is marked as not valid, or is damaged."""
    if fields.get("state") != BookState.VALID.value:
        return None
    values = {**fields, "type": "book_snapshot", "reason": "join"}
    if not values.get("seq"):
        values.pop("seq", None)
    values.pop("prev_seq", None)
    try:
        book = decode(values)
        id_order(fields["stream_id"])
    except (UndecodableFrameError, KeyError, ValueError):
        return None
    return BookHash(fields["stream_id"], book) if isinstance(book, BookSnapshot) else None


def is_of(known: BookHash, fields: Mapping[str, str]) -> bool:
    """Whether the stream's entry with the hash's ``stream_id`` is the entry that the hash was written for."""
    try:
        event = decode(fields)
    except UndecodableFrameError:
        return False
    if not isinstance(event, (BookSnapshot, BookDelta)):
        return False
    return (event.seq, event.ts_event, event.ts_recv) == (known.book.seq, known.book.ts_event, known.book.ts_recv)


class FollowedBook:
    """The known levels, and what is wrong with them.

    Attributes:
        out_of_sync: Why the book cannot be trusted; empty: it can.
        stream_id: The entry that it corresponds to.
        seq: The exchange's number of that entry, if it gives one.
        ts_event, ts_recv: The times of that entry.
        based_at: ``ts_recv`` of the snapshot that it was built from.
        crossed_is_legal: Whether bids may be as high as asks: in an auction before trading begins.
    """

    def __init__(self) -> None:
        self.out_of_sync = NOT_JOINED
        self.stream_id = BEGINNING
        self.seq: int | None = None
        self.ts_event = 0
        self.ts_recv = 0
        self.based_at = 0
        self.crossed_is_legal = False
        self.bids = Ladder(highest_first=True)
        self.asks = Ladder(highest_first=False)
        self._read_to = BEGINNING
        self._out_of_sync_at = BEGINNING

    def join(self, known: BookHash) -> bool:
        """Begin with the hash; False if the hash is older than the doubt, and so may be wrong itself."""
        if id_order(known.stream_id) < id_order(self._out_of_sync_at):
            return False
        self._replace(known.stream_id, known.book)
        return not self.out_of_sync

    def out_of_sync_it(self, reason: str, read_to: str = "") -> None:
        """Stop trusting the book from here on; ``read_to`` is the last entry that was read, if it was not an event."""
        self._read_to = read_to or self._read_to
        self.out_of_sync, self._out_of_sync_at = reason, self._read_to

    def apply(self, entry: Entry) -> None:
        """Take the next entry of the stream."""
        event = entry.event
        self._read_to = entry.id
        if isinstance(event, BookSnapshot):
            self._replace(entry.id, event)
        elif isinstance(event, BookDelta):
            if not self.out_of_sync:
                self._update(entry.id, event)
        elif isinstance(event, Rewound):
            self.out_of_sync_it("Redis came back older")
        elif isinstance(event, Missed):
            self.out_of_sync_it(f"entries were missed ({event.reason})")
        elif isinstance(event, Gap):
            self.out_of_sync_it(f"gap ({event.reason})")
        elif isinstance(event, FeedStatus) and event.state in _BAD_STATES:
            self.out_of_sync_it(f"feed {event.state.value} ({event.reason})")

    def _replace(self, entry_id: str, snapshot: BookSnapshot) -> None:
        self._read_to = entry_id
        try:
            self.bids = Ladder(snapshot.bids, highest_first=True)
            self.asks = Ladder(snapshot.asks, highest_first=False)
        except BadLevelError:
            self.out_of_sync_it("bad level")
            return
        self.based_at = snapshot.ts_recv
        self.out_of_sync = ""
        self._reached(entry_id, snapshot)

    def _update(self, entry_id: str, delta: BookDelta) -> None:
        if delta.prev_seq != self.seq:
            self.out_of_sync_it(f"sequence gap: {delta.prev_seq} does not continue {self.seq}")
            return
        try:
            self.bids.apply(delta.bids)
            self.asks.apply(delta.asks)
        except BadLevelError:
            self.out_of_sync_it("bad level")
            return
        self._reached(entry_id, delta)

    def _reached(self, entry_id: str, event: BookSnapshot | BookDelta) -> None:
        self.stream_id, self.seq = entry_id, event.seq
        self.ts_event, self.ts_recv = event.ts_event, event.ts_recv
        bid, ask = self.bids.best_price, self.asks.best_price
        if bid is not None and ask is not None and bid >= ask and not self.crossed_is_legal:
            self.out_of_sync_it("crossed")
