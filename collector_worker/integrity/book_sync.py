"""Keeps one book in step with its exchange, or says that it is not. Pure: time comes in, requests go out.

  state      on                                              goes to
  SYNCING    snapshot                                        VALID
  VALID      gap, checksum, crossed book, bad level or
             too many, or the market has left what is known  SYNCING, asks for a resubscription
  any        disconnect                                      STALE
  STALE      subscription acknowledged                       SYNCING (a new connection starts from nothing)
  VALID      little is left of what is known                 VALID, asks for a snapshot by REST

Only a VALID book publishes deltas. In the other states the latest deltas that follow each other without a hole wait in
a bounded buffer, because a REST snapshot may be older than they are. A REST snapshot that ends before the deltas of the
connection is refused: it comes from a cache. A snapshot ahead of the connection waits until the connection gets there:
answers name no instrument, so its number may belong to another one. If there are no trades, it is accepted earlier: if
the connection has brought nothing, or if a second answer is the same. After any doubt the book is rebuilt from a
snapshot, never patched.

Continuity follows the protocol sheets: a delta follows if and only if its ``prev_seq`` is the last applied ``seq``. The
first delta after a REST snapshot, or from a connection that takes over, may overlap the known book (``prev_seq < last <
seq``); earlier deltas, which the book already has, are dropped. Sizes are absolute, so an overlapping delta takes the
book from ``last`` to ``seq``. It is published with these numbers, so in the stream each delta's ``prev_seq`` is the
``seq`` before it. A ``seq`` below ``prev_seq`` is a reset of the exchange's counter and is accepted by the same rule.
In a book seeded by REST the numbers only rise: a delta that the book already has is a repetition and is ignored
(Binance sheet, section 5.1, step 6). Frames of old recordings have no numbers: they are applied in order and checked
only by their checksum.

Known levels: a REST snapshot is cut at some number of levels, and resting levels beyond the cut that never change are
unknown (Binance sheet, section 5.3). If less than a quarter of that number is left on a side, a new snapshot is
requested; deltas that come meanwhile are applied on top of it, and it is published and replaces the old book. If
nothing is left, the best price is uncertain: this is a doubt. A side with fewer levels than the cut may be complete, or
the snapshot may have been incomplete, from any source; a REST answer that agrees decides it. A snapshot without any bid
or ask is refused while the market shows that there are some.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from math import inf
from operator import le

from msgspec import Struct
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book import MAX_LEVELS, Book, BookLevelError
from tickfleet._util.backoff import GrowingPause
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

FETCH_PAUSE_S = 1.0
REST_RETRY_CAP_S = 60.0
_BUFFER_FRAMES = 2_000
"""Over three minutes of a book at ten updates a second."""

_BUFFER_LEVELS = 4 * MAX_LEVELS
"""And no more levels in them, which is what needs the memory."""

_FRAMES_BEHIND_REST = 50
"""How far the socket may be behind a REST snapshot, and how much of what the book has had it may send again: five
seconds. More means that the exchange has reset its counter, and to drop on would leave an old book that looks valid."""

_FRAMES_BEHIND_ANOTHER = 300
"""How far a successor may be behind: it holds back what it reads while it is made ready, half a minute at most. More
means that its counter is lower, and to drop on would leave an old book that looks valid."""

_NARROW = 4
"""A book is narrow where less than one in so many of the seeded levels is left on a side: time for a new seed, and
still far more than most readers look at."""

_BAD_SNAPSHOTS = 2
"""So many snapshots in a row that fail their own checksum are no fault of a transmission."""

Checksum = Callable[[Sequence[Level], Sequence[Level]], int]


NO_SNAPSHOT = "no snapshot has come"

BAD_LEVEL = BookLevelError.reason
"""The doubt about a book one of whose levels is no number."""


class BookRequest(Enum):
    """What the book needs from the session."""

    RESUBSCRIBE = "resubscribe"
    FETCH_SNAPSHOT = "fetch_snapshot"


class BookResult(Struct, frozen=True):
    """The result of a frame: the events to publish, in order, and requests to the outside."""

    events: tuple[BookSnapshot | BookDelta, ...] = ()
    request: BookRequest | None = None
    out_of_sync: str = ""


NOTHING = BookResult()


class _Answer(Struct, frozen=True):
    """A REST snapshot, with the arguments of ``BookSync.on_rest_snapshot``."""

    snapshot: BookSnapshot
    seq: int
    cut_at: int
    traded: bool

    def is_same(self, other: "_Answer") -> bool:
        """Whether both describe the same book."""
        mine, others = self.snapshot, other.snapshot
        return (self.seq, mine.bids, mine.asks) == (other.seq, others.bids, others.asks)


class BookSync:
    """The state machine of one book.

    Attributes:
        why: Why the book is not VALID.
        book: The present levels; a new object after each new seed.
        checksum_unusable: Snapshots fail their own checksum, so its meaning has changed: it is not used until a
            snapshot passes again.
        crossed_is_legal: In the instrument's state, a bid above an ask is not an error.
    """

    def __init__(self, checksum: Checksum, checksum_depth: int, *, crossed_is_legal: bool = False) -> None:
        self.book = Book()
        self.state = BookState.SYNCING
        self.checksum_unusable = False
        self.why = NO_SNAPSHOT
        self._checksum = checksum
        self._checksum_depth = checksum_depth
        self.crossed_is_legal = crossed_is_legal
        self._bad_snapshots = 0
        self._last_seq: int | None = None
        self._highest: int | None = None  # number that this connection has brought
        self._latest: tuple[int, int] | None = None  # numbers of the last delta that was applied
        self._again = 0  # deltas that were ignored since, as sent again, and that follow each other
        self._ignored_seq = 0  # of the last one that was
        self._held_left: int | None = None  # deltas the book holds already that may still come; None: nor an overlap
        self._reason = "subscribe"
        self._waiting: deque[tuple[BookDelta, int | None]] = deque(maxlen=_BUFFER_FRAMES)
        self._ahead: _Answer | None = None  # what waits until the socket gets there
        self._fetch_at_s: float | None = None
        self._fetch_pause = GrowingPause(FETCH_PAUSE_S, REST_RETRY_CAP_S)
        self._seed_levels = 0
        self._full_levels = 0
        self._reseeding = False  # deltas are applied and wait for the new seed, too
        self._unsure = False  # the seed had so few levels that it may be half of one
        self._reseed_at_s = -inf
        self._reseed_pause = GrowingPause(FETCH_PAUSE_S, REST_RETRY_CAP_S)

    # --- connections ---------------------------------------------------------------------------------------------

    def subscribed(self, now_s: float, snapshot_wait_s: float, full_levels: int = 0) -> None:
        """The subscription was confirmed: a snapshot should come by itself within ``snapshot_wait_s``.

        Args:
            now_s: Monotonic time.
            snapshot_wait_s: As in ``Channel``.
            full_levels: As in ``Channel``.
        """
        self._full_levels = full_levels
        if self.state is not BookState.VALID:
            self.state = BookState.SYNCING
            self._fetch_pause.reset()
            self._fetch_at_s = now_s + snapshot_wait_s

    def disconnected(self) -> None:
        """The socket is gone: the next data is a new beginning."""
        self._out_of_sync("reconnect")
        self._forget_connection()

    def connected(self) -> None:
        """A connection begins: data of earlier connections does not count."""
        reason = self._reason
        self._out_of_sync(reason)
        self._forget_connection()

    def _forget_connection(self) -> None:
        self.state = BookState.STALE
        self.why = NO_SNAPSHOT
        self._highest = None
        self._fetch_at_s = None

    def renewed(self, *, joins: bool) -> None:
        """A second connection takes over without a hole.

        Args:
            joins: Its deltas continue the present book; else it brings a snapshot, which will replace the book.
        """
        self._ahead = None  # what waits was compared with what the connection before brought
        if not joins:
            self._reason = "reconnect"
        elif self.state is BookState.VALID:
            self._held_left = _FRAMES_BEHIND_ANOTHER
        else:
            self._waiting.clear()  # cut elsewhere than those to come: a snapshot cannot be joined to both

    # --- frames and snapshots ------------------------------------------------------------------------------------

    def due(self, now_s: float) -> BookRequest | None:
        """The requests that are due now: a REST snapshot, each time after a longer pause.

        It is requested if none came by itself, or if few known levels are left.
        """
        if self.state is BookState.VALID:
            return self._reseed_due(now_s)
        if self._fetch_at_s is None or now_s < self._fetch_at_s:
            return None
        self._fetch_at_s = now_s + self._fetch_pause.after_attempt(now_s)
        return BookRequest.FETCH_SNAPSHOT

    def _reseed_due(self, now_s: float) -> BookRequest | None:
        depth = self.book.known_depth
        self._reseeding = self._unsure or (depth is not None and depth * _NARROW < self._seed_levels)
        if not self._reseeding:
            self._waiting.clear()
            return None
        if now_s < self._reseed_at_s:
            return None
        self._reseed_at_s = now_s + self._reseed_pause.after_attempt(now_s)
        return BookRequest.FETCH_SNAPSHOT

    def on_frame(self, frame: BookFrame, *, traded: bool = False) -> BookResult:
        """Check and apply a frame from the socket; ``traded`` as in ``on_rest_snapshot``."""
        if isinstance(frame.event, BookSnapshot):
            if self._full_levels and self._lacks_a_side(frame.event, traded=traded):
                self.why = "the snapshot of the socket lacks bids or asks although the market moves"
                return NOTHING
            return self._on_snapshot(frame.event, frame.checksum)
        if self.state is BookState.VALID:
            result = self._on_delta(frame.event, frame.checksum)
        else:
            self._gather(frame.event, frame.checksum)
            result = NOTHING
        answer = self._ahead
        if answer is None or result.request is not None or self._is_ahead(answer):
            return result
        self._ahead = None
        seeded = self._on_answer(answer)
        return replace(seeded, events=result.events + seeded.events)

    def _keep(self, delta: BookDelta, checksum: int | None) -> None:
        """Add a delta to the waiting ones; the oldest make room."""
        self._waiting.append((delta, checksum))
        kept = sum(map(_size, self._waiting))
        while kept > _BUFFER_LEVELS:
            kept -= _size(self._waiting.popleft())

    def _gather(self, delta: BookDelta, checksum: int | None) -> None:
        """Keep a delta for the coming snapshot, with the earlier ones that it follows."""
        if self._waiting and delta.prev_seq != self._waiting[-1][0].seq:
            if any((known.prev_seq, known.seq) == (delta.prev_seq, delta.seq) for known, _ in self._waiting):
                return  # it is sent again
            self._waiting.clear()  # no snapshot joins what is before a hole
        self._keep(delta, checksum)
        if delta.seq is None or delta.prev_seq is None:
            return
        if delta.seq < delta.prev_seq:
            self._ahead = None  # it is of the counter before
        # What is far ahead of all that follows was garbage, or has been followed by a reset of the counter.
        refuted = len(self._waiting) > 1 or delta.seq < delta.prev_seq
        if refuted or self._highest is None or delta.seq > self._highest:
            self._highest = delta.seq

    def on_rest_snapshot(self, snapshot: BookSnapshot, cut_at: int = 0, *, traded: bool = False) -> BookResult:
        """Check a requested snapshot; if it is not usable, `due` requests another and `why` has the reason.

        Args:
            snapshot: The answer of REST.
            cut_at: The exchange has cut it at so many levels per side; 0: it has all levels of the channel.
            traded: There were trades a moment ago, so bids and asks must exist.
        """
        if snapshot.seq is None or self.state is BookState.STALE:
            return NOTHING  # the connection that it was asked for is gone
        answer, before = _Answer(snapshot, snapshot.seq, cut_at, traded), self._ahead
        self._ahead = None
        is_same = before is not None and before.is_same(answer)
        waits = traded or (bool(self._waiting) and not is_same)
        if waits and self._is_ahead(answer) and not self._lacks_a_side(snapshot, traded=traded):
            self._ahead = answer
            self.why = "the snapshot of REST is ahead of the socket"
            return NOTHING
        return self._on_answer(answer)

    def _is_ahead(self, answer: _Answer) -> bool:
        """Whether the answer's number is ahead: the socket has brought neither it nor a later one."""
        highest = self._last_seq if self.state is BookState.VALID else self._highest
        return (highest is None or highest < answer.seq) and self._waiting_after(answer.seq) == []

    def _on_answer(self, answer: _Answer) -> BookResult:
        """Check a REST answer against the data of the socket."""
        snapshot, seq, cut_at, traded = answer.snapshot, answer.seq, answer.cut_at, answer.traded
        hollow = self._lacks_a_side(snapshot, traded=traded)
        if self.state is BookState.VALID:  # one has come by itself, unless a wider one was asked for
            useful = self._reseeding and not hollow
            return self._reseed(snapshot, seq, cut_at) if useful else NOTHING
        newer = self._waiting_after(seq)
        reached = seq if not newer else newer[-1][0].seq
        if newer is None or (self._highest is not None and reached is not None and reached < self._highest):
            self.why = "the snapshots of REST are older than what the socket has brought"
            return NOTHING
        if hollow:
            self.why = "the snapshots of REST lack bids or asks although the market moves"
            return NOTHING
        result = self._on_snapshot(snapshot, None, cut_at)
        if result.request is not None:
            return result
        self._held_left = _FRAMES_BEHIND_REST
        events = list(result.events)
        for delta, checksum in newer:
            result = self._on_delta(delta, checksum)
            events += result.events
            if result.request is not None:
                break
        return replace(result, events=tuple(events))

    def _reseed(self, snapshot: BookSnapshot, seq: int, cut_at: int) -> BookResult:
        """Rebuild the book from the answer and later deltas; a useless answer does no harm, `due` asks again."""
        newer = self._waiting_after(seq)
        if newer is None:
            return NOTHING
        reached = newer[-1][0].seq if newer else seq
        if reached is None or self._last_seq is None or reached < self._last_seq:
            return NOTHING  # from before the question, out of some cache
        wider = Book()
        try:
            wider.replace(snapshot.bids, snapshot.asks, cut_at)
            for delta, _ in newer:
                wider.apply(delta.bids, delta.asks)
        except BookLevelError:
            return NOTHING
        if wider.known_depth == 0 or (wider.crossed and not self.crossed_is_legal):
            return NOTHING
        if self._unsure and reached == self._last_seq and wider.has_prices_of(self.book):
            self._believe()
            return NOTHING
        if self._unsure and reached > self._last_seq and all(map(le, wider.sizes, self.book.sizes)):
            return NOTHING  # no wider, and of a later moment: nothing can be told from it
        self.book = wider
        self._seed_levels = cut_at
        self._unsure = self._is_short(snapshot)
        self._last_seq = reached
        self._held_left = None if newer else _FRAMES_BEHIND_REST
        self._latest = self._latest if newer else None
        self._reseeding = False
        self._waiting.clear()
        return BookResult((replace(snapshot, bids=wider.bids(), asks=wider.asks(), seq=reached, reason="reseed"),))

    def _believe(self) -> None:
        """Note that a second answer agrees with the book: there are no more levels."""
        self.book.believe()
        self._unsure = self._reseeding = False
        self._waiting.clear()

    def _lacks_a_side(self, snapshot: BookSnapshot, *, traded: bool) -> bool:
        """Whether a side is empty although the market shows that it cannot be."""
        told = [delta for delta, _ in self._waiting]
        bids = traded or _leaves_levels(delta.bids for delta in told)
        asks = traded or _leaves_levels(delta.asks for delta in told)
        return (not snapshot.bids and bids) or (not snapshot.asks and asks)

    def _is_short(self, snapshot: BookSnapshot) -> bool:
        """Whether a side has so few levels that the snapshot may be incomplete.

        Not checked for books without numbers: they cannot be compared with a REST answer.
        """
        levels = min(len(snapshot.bids), len(snapshot.asks))
        return snapshot.seq is not None and levels * _NARROW < max(self._seed_levels, self._full_levels)

    def _waiting_after(self, seq: int) -> list[tuple[BookDelta, int | None]] | None:
        """The buffered deltas behind a snapshot; None if there is a hole between it and them."""
        waiting = list(self._waiting)
        if waiting and waiting[-1][0].seq == seq:
            return []
        for position, (delta, _) in enumerate(waiting):  # an exact seam first: it holds behind a reset, too
            if delta.prev_seq == seq:
                return waiting[position:]
        newer = [(delta, checksum) for delta, checksum in waiting if delta.seq is not None and delta.seq > seq]
        return None if newer and (newer[0][0].prev_seq or 0) > seq else newer

    def _on_snapshot(self, snapshot: BookSnapshot, checksum: int | None, cut_at: int = 0) -> BookResult:
        try:
            self.book.replace(snapshot.bids, snapshot.asks, cut_at)
        except BookLevelError as error:
            self.book = Book()
            return self._fail(error.reason)
        if self.book.crossed and not self.crossed_is_legal:
            return self._fail("crossed")
        if checksum is not None and not self._is_believable(checksum):
            return self._fail("checksum")
        event = snapshot if snapshot.reason else replace(snapshot, reason=self._reason)
        self.state = BookState.VALID
        self._last_seq = snapshot.seq
        self._seed_levels = cut_at
        self._unsure = self._is_short(snapshot)
        self._latest = None
        self._held_left = None
        self._ahead = None
        self._reseeding = False
        self._waiting.clear()
        self._fetch_at_s = None
        return BookResult((event,))

    def _is_believable(self, checksum: int) -> bool:
        """Whether a snapshot may be used, judged by its own checksum.

        A failure is not an error of our bookkeeping. The first time, the data may have been damaged on the way, so the
        snapshot is requested again. After that the checksum's meaning must have changed, and more requests would resync
        for ever.
        """
        self._bad_snapshots = 0 if self._matches(checksum) else self._bad_snapshots + 1
        self.checksum_unusable = self._bad_snapshots >= _BAD_SNAPSHOTS
        return self.checksum_unusable or self._bad_snapshots == 0

    def _on_delta(self, delta: BookDelta, checksum: int | None) -> BookResult:
        if self._is_held_already(delta) or self._came_again(delta):
            return NOTHING
        if not self._follows(delta):
            result = self._fail("sequence_gap")
            self._gather(delta, checksum)
            return result
        before, self._last_seq, self._again = self._last_seq, delta.seq, 0
        self._latest = None if delta.prev_seq is None or delta.seq is None else (delta.prev_seq, delta.seq)
        try:
            self.book.apply(delta.bids, delta.asks)
        except BookLevelError as error:
            self.book = Book()
            return self._fail(error.reason)
        if self.book.crossed and not self.crossed_is_legal:
            return self._fail("crossed")
        if self.book.known_depth == 0:
            return self._fail("out_of_range")
        if checksum is not None and not self.checksum_unusable and not self._matches(checksum):
            return self._fail("checksum")
        if delta.prev_seq != before:
            delta = replace(delta, prev_seq=before)
        if self._reseeding:
            self._keep(delta, checksum)
        self._held_left = None
        return BookResult((delta,))

    def _is_held_already(self, delta: BookDelta) -> bool:
        """Whether the book, which may be ahead of the socket, already has the delta (OKX sheet, section 5, rule 7)."""
        if self._held_left is None or delta.seq is None or self._last_seq is None:
            return False
        if delta.seq > self._last_seq or delta.prev_seq == self._last_seq:
            return False
        self._held_left -= 1
        return self._held_left >= 0

    def _came_again(self, delta: BookDelta) -> bool:
        """Whether a delta repeats changes that the book has, with numbers that only rise (Binance sheet, 5.1, step 6).

        Two cases are no repetition and make the book doubtful. First, a delta that begins where the last one began but
        ends before its end: one of the two is garbage. Second, a long row of such deltas that follow each other: the
        counter has begun anew, and ignoring them would leave an old book that looks valid.
        """
        if not self._seed_levels or self._latest is None or delta.seq is None or delta.prev_seq is None:
            return False
        begins, ends = self._latest
        if not delta.prev_seq <= delta.seq <= ends or begins == delta.prev_seq < delta.seq < ends:
            return False
        self._again = self._again + 1 if delta.prev_seq == self._ignored_seq < delta.seq else 1
        self._ignored_seq = delta.seq
        return self._again <= _FRAMES_BEHIND_REST

    def _follows(self, delta: BookDelta) -> bool:
        if delta.prev_seq is None or self._last_seq is None:
            return delta.prev_seq is None and self._last_seq is None
        if self._held_left is not None and delta.seq is not None and delta.prev_seq <= self._last_seq < delta.seq:
            return True
        return delta.prev_seq == self._last_seq

    def _matches(self, checksum: int) -> bool:
        depth = self._checksum_depth
        return self._checksum(self.book.bids(depth), self.book.asks(depth)) == checksum

    def _fail(self, reason: str) -> BookResult:
        self._out_of_sync(reason)
        return BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync=reason)

    def _out_of_sync(self, reason: str) -> None:
        self.state = BookState.SYNCING
        self.why = f"{NO_SNAPSHOT} since a doubt ({reason})"
        self._reason = reason
        self._highest = self._highest if self._last_seq is None else self._last_seq
        self._last_seq = self._latest = None
        self._again = 0
        self._unsure = False
        self._held_left = None
        self._ahead = None
        self._reseeding = False
        self._waiting.clear()


def _size(waiting: tuple[BookDelta, int | None]) -> int:
    delta, _ = waiting
    return len(delta.bids) + len(delta.asks)


def _leaves_levels(sides: Iterable[Sequence[Level]]) -> bool:
    """Whether, after the last delta, a level that the deltas have set is left."""
    net = {level.price: level.size for side in sides for level in side}
    return any(size.strip("0.") for size in net.values())
