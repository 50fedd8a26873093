"""Keeps one book in step with its exchange, or says that it is not. Pure: time comes in, wishes go out.

  state      on                                              goes to
  SYNCING    snapshot                                        VALID
  VALID      gap, checksum, crossed book, bad level          SYNCING, wishes a resubscription
  any        disconnect                                      STALE
  STALE      subscription acknowledged                       SYNCING (a new connection starts from nothing)

Only a VALID book publishes deltas. Others wait in a bounded buffer, because a snapshot that comes by REST may be older
than they are. After any doubt the book is rebuilt from a snapshot, never patched.

Continuity, as the protocol sheets give it: a delta follows iff its ``prev_seq`` is the last applied ``seq``; only the
first one after a REST snapshot may overlap it (``prev_seq <= snapshot.seq < seq``), and those before that one, which
the snapshot holds already, are dropped. A ``seq`` below ``prev_seq`` is a reset of the exchange's counter and is
accepted by the same rule. Frames of old recordings carry no numbers: they are
taken in order and judged by their checksum alone.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from collector_worker.book import BadLevelError, Book
from collector_worker.exchanges.contract import BookFrame
from common.events import BookDelta, BookSnapshot, Level
from common.health import BookState

FETCH_PAUSE_S = 1.0
REST_RETRY_CAP_S = 60.0
_BUFFER_FRAMES = 2_000
"""Over three minutes of a book at ten updates a second."""

_FRAMES_BEHIND_REST = 50
"""How far the socket may be behind a REST snapshot: five seconds. More means that the exchange has reset its counter in
between, and to drop on would leave an old book that looks valid."""

Checksum = Callable[[Sequence[Level], Sequence[Level]], int]


class Wish(Enum):
    """What the book needs from the session."""

    RESUBSCRIBE = "resubscribe"
    FETCH_SNAPSHOT = "fetch_snapshot"


class Judged(Struct, frozen=True):
    """What became of a frame: the events to publish in order, and what is needed from outside."""

    events: tuple[BookSnapshot | BookDelta, ...] = ()
    wish: Wish | None = None
    doubt: str = ""


NOTHING = Judged()


class BookSync:
    """The state machine of one book."""

    def __init__(self, checksum: Checksum, checksum_depth: int, *, crossed_is_legal: bool = False) -> None:
        self.book = Book()
        self.state = BookState.SYNCING
        self.checksum_unusable = False
        self._checksum = checksum
        self._checksum_depth = checksum_depth
        self._crossed_is_legal = crossed_is_legal
        self._last_seq: int | None = None
        self._overlap_allowed = False
        self._frames_behind = 0
        self._reason = "subscribe"
        self._waiting: deque[tuple[BookDelta, int | None]] = deque(maxlen=_BUFFER_FRAMES)
        self._fetch_at_s: float | None = None
        self._fetch_pause_s = FETCH_PAUSE_S

    def subscribed(self, now_s: float, snapshot_wait_s: float) -> None:
        """The channel was acknowledged: a snapshot should come by itself within ``snapshot_wait_s``."""
        if self.state is not BookState.VALID:
            self.state = BookState.SYNCING
            self._fetch_pause_s = FETCH_PAUSE_S
            self._fetch_at_s = now_s + snapshot_wait_s

    def disconnected(self) -> None:
        """The socket is gone: whatever comes next is a new beginning."""
        self._doubt("reconnect")
        self.state = BookState.STALE
        self._fetch_at_s = None

    def begin(self) -> None:
        """A connection begins: nothing that an earlier one brought counts."""
        reason = self._reason
        self._doubt(reason)
        self.state = BookState.STALE
        self._fetch_at_s = None

    def renewed(self) -> None:
        """A second connection takes over without a hole: its snapshot will replace a book that was valid."""
        self._reason = "reconnect"

    def due(self, now_s: float) -> Wish | None:
        """What the passing of time asks for: a snapshot by REST where none came by itself, with growing pauses."""
        if self.state is BookState.VALID or self._fetch_at_s is None or now_s < self._fetch_at_s:
            return None
        self._fetch_at_s = now_s + self._fetch_pause_s
        self._fetch_pause_s = min(self._fetch_pause_s * 2, REST_RETRY_CAP_S)
        return Wish.FETCH_SNAPSHOT

    def on_frame(self, frame: BookFrame) -> Judged:
        """Judge a frame from the socket."""
        if isinstance(frame.event, BookSnapshot):
            return self._on_snapshot(frame.event, frame.checksum)
        if self.state is not BookState.VALID:
            self._waiting.append((frame.event, frame.checksum))
            return NOTHING
        return self._on_delta(frame.event, frame.checksum)

    def on_rest_snapshot(self, snapshot: BookSnapshot) -> Judged:
        """Judge a snapshot that was asked for; one that the buffered deltas cannot be joined to is asked for again."""
        if self.state is not BookState.SYNCING or snapshot.seq is None:
            return NOTHING  # one has come by itself, or the connection that it was asked for is gone
        newer = self._waiting_after(snapshot.seq)
        if newer is None:
            return NOTHING  # older than the oldest buffered delta: `due` asks again
        judged = self._on_snapshot(snapshot, None)
        self._overlap_allowed = True
        self._frames_behind = 0
        events = list(judged.events)
        for delta, checksum in newer if judged.wish is None else ():
            judged = self._on_delta(delta, checksum)
            events += judged.events
            if judged.wish is not None:
                break
        return replace(judged, events=tuple(events))

    def _waiting_after(self, seq: int) -> list[tuple[BookDelta, int | None]] | None:
        """The buffered deltas that a snapshot does not hold yet; None where there is a hole between it and them."""
        waiting = list(self._waiting)
        if waiting and waiting[-1][0].seq == seq:
            return []
        for position, (delta, _) in enumerate(waiting):  # an exact seam first: it holds behind a reset, too
            if delta.prev_seq == seq:
                return waiting[position:]
        newer = [(delta, checksum) for delta, checksum in waiting if delta.seq is not None and delta.seq > seq]
        return None if newer and (newer[0][0].prev_seq or 0) > seq else newer

    def _on_snapshot(self, snapshot: BookSnapshot, checksum: int | None) -> Judged:
        try:
            self.book.replace(snapshot.bids, snapshot.asks)
        except BadLevelError:
            return self._fail("bad_level")
        if self.book.crossed and not self._crossed_is_legal:
            return self._fail("crossed")
        if not self._checksum_holds(checksum):
            # A fresh snapshot that fails its own checksum is no fault of our bookkeeping: the checksum means
            # something else now. Checking on would resync for ever.
            self.checksum_unusable = True
        event = snapshot if snapshot.reason else replace(snapshot, reason=self._reason)
        self.state = BookState.VALID
        self._last_seq = snapshot.seq
        self._overlap_allowed = False
        self._waiting.clear()
        self._fetch_at_s = None
        return Judged((event,))

    def _on_delta(self, delta: BookDelta, checksum: int | None) -> Judged:
        if self._is_held_already(delta):
            return NOTHING
        if not self._follows(delta):
            return self._fail("sequence_gap")
        try:
            self.book.apply(delta.bids, delta.asks)
        except BadLevelError:
            return self._fail("bad_level")
        if self.book.crossed and not self._crossed_is_legal:
            return self._fail("crossed")
        if not self._checksum_holds(checksum):
            return self._fail("checksum")
        self._last_seq = delta.seq
        self._overlap_allowed = False
        return Judged((delta,))

    def _is_held_already(self, delta: BookDelta) -> bool:
        """Whether a REST snapshot, which may be ahead of the socket, holds the delta (section 5, rule 7)."""
        if not self._overlap_allowed or delta.seq is None or self._last_seq is None:
            return False
        if delta.seq > self._last_seq or delta.prev_seq == self._last_seq:
            return False
        self._frames_behind += 1
        return self._frames_behind <= _FRAMES_BEHIND_REST

    def _follows(self, delta: BookDelta) -> bool:
        if delta.prev_seq is None or self._last_seq is None:
            return delta.prev_seq is None and self._last_seq is None
        if self._overlap_allowed and delta.seq is not None and delta.prev_seq <= self._last_seq < delta.seq:
            return True
        return delta.prev_seq == self._last_seq

    def _checksum_holds(self, checksum: int | None) -> bool:
        if checksum is None or self.checksum_unusable:
            return True
        depth = self._checksum_depth
        return self._checksum(self.book.bids(depth), self.book.asks(depth)) == checksum

    def _fail(self, reason: str) -> Judged:
        self._doubt(reason)
        return Judged(wish=Wish.RESUBSCRIBE, doubt=reason)

    def _doubt(self, reason: str) -> None:
        self.state = BookState.SYNCING
        self._reason = reason
        self._last_seq = None
        self._overlap_allowed = False
        self._waiting.clear()
