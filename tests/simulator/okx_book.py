"""The order-book channels of one OKX instrument (sheet, section 5)."""

from __future__ import annotations

from tests.simulator.book import Book
from tests.simulator.desk import Desk
from tests.simulator.events import BookChange, Change, Level, Side
from tests.simulator.okx_channels import Arg
from tests.simulator.okx_frames import Row, book_row, frame
from tests.simulator.window import Window

DEPTH = 400
HEARTBEAT_MS = 60_000
"""Quiet time after which an empty update, or the last snapshot, is sent."""
_NO_SNAPSHOT_BEFORE = -1


class BookChannel:
    """`books`: one series of updates for all connections, and the snapshots that fit into it.

    REST shows the book as of the last `refresh`, at a finer step than the pushes. So an update names every level
    that any state since the last update showed, even if it is back at its old size or gone again: only then may
    a client put the update on a REST snapshot taken in between (rule 7).

    Args:
        desk: The instrument.
        now_ms: Time of the first state.
    """

    def __init__(self, desk: Desk, now_ms: int) -> None:
        self.arg = Arg("books", inst_id=desk.instrument.name)
        self._desk = desk
        self._window = Window(desk.book, DEPTH)
        self._sent = Book(self._window.shown.levels())
        self.sent_seq = self._seen_seq = desk.seq
        """Sequence number of the last update."""
        self._sent_ms = self._seen_ms = now_ms
        self._touched: set[tuple[Side, int]] = set()
        self._pending: dict[tuple[Side, int], Change] = {}

    def note(self, change: BookChange) -> None:
        """Take notice of a change of the live book."""
        self._touched.update((level.side, level.price) for level in change.changes)

    def refresh(self, now_ms: int) -> None:
        """Bring the state that REST shows up to the live book."""
        if self._seen_seq == self._desk.seq:
            return
        for change in self._window.refresh(self._touched):
            self._pending[change.side, change.price] = change
        self._touched.clear()
        self._seen_seq = self._desk.seq
        self._seen_ms = now_ms

    def push(self, now_ms: int, *, wanted: bool) -> bytes | None:
        """The next update, None if nothing is to be said.

        Must be called at every period, wanted or not: the numbers are the same for all connections (rule 6).
        """
        self.refresh(now_ms)
        if not self._pending:
            return self._heartbeat(now_ms, wanted=wanted)
        previous, changes = self.sent_seq, list(self._pending.values())
        self._pending.clear()
        self._sent.apply(changes)
        self.sent_seq, self._sent_ms = self._seen_seq, now_ms
        return self._frame("update", changes, now_ms, previous) if wanted else None

    def snapshot(self, now_ms: int) -> bytes:
        """The state after the last update: the next update continues from it."""
        return self._frame("snapshot", self._sent.levels(), now_ms, _NO_SNAPSHOT_BEFORE)

    def rest(self, depth: int) -> Row:
        """The data of GET /market/books."""
        sides = {side: self._window.shown.side(side).top(depth) for side in Side}
        return book_row(self._desk.instrument, sides, self._seen_ms, self._seen_seq)

    def _heartbeat(self, now_ms: int, *, wanted: bool) -> bytes | None:
        if now_ms - self._sent_ms < HEARTBEAT_MS:
            return None
        self._sent_ms = now_ms
        return self._frame("update", [], now_ms, self.sent_seq) if wanted else None

    def _frame(self, action: str, changes: list[Change], now_ms: int, previous: int) -> bytes:
        sides: dict[Side, list[Level]] = {side: [] for side in Side}
        for change in sorted(changes, key=lambda change: -change.price if change.side is Side.BID else change.price):
            sides[change.side].append(Level(*change[1:]))
        row = book_row(self._desk.instrument, sides, now_ms, self.sent_seq)
        return frame(self.arg, [{**row, "checksum": 0, "prevSeqId": previous}], action)  # section 0: always 0


class TopChannel:
    """`books5` and `bbo-tbt`: the best levels in full, each time they change.

    Args:
        desk: The instrument.
        name: Channel.
        depth: Levels per side.
    """

    def __init__(self, desk: Desk, name: str, depth: int) -> None:
        self.arg = Arg(name, inst_id=desk.instrument.name)
        self._desk = desk
        self._depth = depth
        self._sent: dict[Side, list[Level]] = {}
        self._sent_ms = 0

    def push(self, now_ms: int) -> bytes | None:
        """The state if it differs from the last one sent, or if that is 60 s ago; else None."""
        if self._levels() == self._sent and now_ms - self._sent_ms < HEARTBEAT_MS:
            return None
        self._sent, self._sent_ms = self._levels(), now_ms
        return self.snapshot()

    def snapshot(self) -> bytes:
        """The state now. `ts` is the time of the book, not of the push (section 0)."""
        row = book_row(self._desk.instrument, self._levels(), self._desk.book_ms, self._desk.seq)
        return frame(self.arg, [row])

    def _levels(self) -> dict[Side, list[Level]]:
        return {side: self._desk.book.side(side).top(self._depth) for side in Side}
