"""Between good frames of a book come others, and runs are killed. What is called valid is the exchange's book."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.exchanges.adapter import Adapter, BookFrame
from collector_worker.integrity.book_sync import BookRequest, BookResult, BookSync
from tests.support import binance_adapter, okx_adapter, okx_wire
from tests.support.book_exchange import EMPTY, Change, Levels, applied, asks, bids, joined, replayed, snapshot
from tests.support.clock import ManualClock
from tests.support.run_rig import Runs
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

FIRST = 1_000
UNSENT = 8
"""Entries that Redis has not taken yet at any time."""
HEALED_S = 130
"""Twice the longest pause between two questions of REST."""
ANOTHERS = 1_500_000
"""How far the numbers of another instrument are ahead; no false frame of the socket has the very same by chance."""
NO_NUMBERS = ["", "abc", "NaN", "Infinity", "1E+999999", "-1", "1_0", "\uff11", "0x1", "1e5"]

Sides = tuple[tuple[Level, ...], tuple[Level, ...]]
Step = tuple[str, int, Sides]
sides = st.tuples(bids, asks)
reached = st.sampled_from(["good", "good", "good", "lost", "again"])
broken = st.sampled_from(["cut", "killed", "REST is old", "REST is empty", "REST is another's", "REST fails"])
styles = st.sampled_from(
    ["garbage", "another's", "ahead", "far ahead", "far behind", "no number", "crossed", "no beginning"]
)
steps = st.lists(st.tuples(st.one_of(reached, reached, broken, styles), st.integers(0, 39), sides), max_size=30)


class Market(ABC):
    """An exchange, the way to it, and a book that a collector keeps of it as its connection does."""

    native: ClassVar[str]
    snapshot_wait_s: ClassVar[float]
    seed_levels: ClassVar[int]
    full_levels: ClassVar[int]

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.changes = [
            Change(FIRST - 2, FIRST, (Level("10", "1"), Level("9", "2")), (Level("31", "1"), Level("32", "3")))
        ]
        self.truth: dict[int, Levels] = {FIRST: applied(EMPTY, self.changes[0])}
        self.runs = Runs(self.clock, DataType.ORDERBOOK)
        self.published: list[BookSnapshot | BookDelta] = []
        self.read: Levels = EMPTY
        self.sent = [*self.changes]
        self.brought = 0
        self.adapter = self.new_adapter()
        self.connect()

    # --- how an exchange speaks ----------------------------------------------------------------------------------

    @abstractmethod
    def new_adapter(self) -> Adapter:
        """That of a new connection."""

    @abstractmethod
    def push(self, change: Change, native: str = "") -> bytes:
        """A frame with this change."""

    @abstractmethod
    def begin_channel(self) -> None:
        """The channel begins on this connection."""

    @abstractmethod
    def false_snapshot(self, sides: Sides) -> bytes:
        """A frame that calls itself the whole book and cannot be it."""

    # --- the way -------------------------------------------------------------------------------------------------

    @property
    def sync(self) -> BookSync:
        """The book of the run that lives."""
        return self.runs.book

    @property
    def last(self) -> int:
        return self.changes[-1].seq

    def connect(self) -> None:
        self.adapter = self.new_adapter()
        self.brought = 0
        self.sync.connected()
        self.begin_channel()

    def happen(self, number: int, sides: Sides) -> Change:
        """The book changes, up to three times: what a frame tells of that."""
        before = self.last
        for _ in range(1 + number % 3):
            change = Change(self.last, self.last + 2, *sides)
            self.truth[change.seq] = applied(self.truth[self.last], change)
            self.changes.append(change)
            sides = (sides[0][1:], sides[1][:-1])
        self.sent.append(reduce(joined, [change for change in self.changes if change.seq > before]))
        return self.sent[-1]

    def bring_true(self, change: Change) -> None:
        self.brought = max(self.brought, change.seq)
        self.bring(self.push(change))

    def bring(self, frame: bytes) -> None:
        for output in self.adapter.on_frame(frame, self.clock.now_ns()):
            if isinstance(output, BookFrame):
                self.publish(self.sync.on_frame(output))

    def publish(self, result: BookResult) -> None:
        self.runs.router.on_result(result)
        for event in result.events:
            if isinstance(event, BookDelta):
                assert event.prev_seq == self.published[-1].seq, "who reads the stream sees a hole"
            self.read = replayed([event], self.read)
            self.published.append(event)
        self.check()
        if result.request is BookRequest.RESUBSCRIBE:
            self.begin_channel()

    def serve(self, answer: str = "") -> None:
        """A second passes; REST answers what is due."""
        self.clock.advance(1.0)
        if self.sync.due(self.clock.monotonic_s()) is not BookRequest.FETCH_SNAPSHOT or answer == "REST fails":
            return
        seq = self.changes[-6:][0].seq if answer == "REST is old" else self.last
        told = snapshot(self.truth[seq], seq)
        if answer == "REST is empty":
            told = replace(told, bids=[], asks=told.asks if seq % 4 else [])
        if answer == "REST is another's":
            told = replace(snapshot(self.truth[FIRST], self.last + ANOTHERS), bids=[Level("7", "1")])
        self.publish(self.sync.on_rest_snapshot(told, self.seed_levels, traded=True))

    def check(self) -> None:
        """What is called valid is the exchange's book of a number, as new as what has come; readers have the same."""
        if self.sync.state is BookState.VALID:
            seq = self.published[-1].seq or 0
            assert self.held == self.read == self.truth[seq]
            assert seq >= self.brought

    @property
    def held(self) -> Levels:
        book = self.sync.book
        return {
            side: {each.price: each.size for each in levels}
            for side, levels in (("bids", book.bids()), ("asks", book.asks()))
        }

    def step(self, what: str, number: int, sides: Sides) -> None:
        """One thing happens, and then a second passes."""
        match what:
            case "good":
                self.bring_true(self.happen(number, sides))
            case "lost":
                self.happen(number, sides)
            case "again":
                self.bring_true(self.sent[-1 - number % len(self.sent)])
            case "cut":
                self.sync.disconnected()
                self.connect()
            case "killed":
                self.runs.kill(unsent=number % UNSENT)
                self.published = [each for each in self.runs.events() if isinstance(each, (BookSnapshot, BookDelta))]
                self.read = replayed(self.published, EMPTY)
                self.connect()
            case _ if not what.startswith("REST"):
                self.bring(self.hostile(what, number, sides))
                self.check()
                self.bring_true(self.happen(number, sides))
        self.check()
        self.serve(what)
        self.check()
        self.runs.send(UNSENT)
        self.runs.check_ledger()

    def hostile(self, what: str, number: int, sides: Sides) -> bytes:
        """A frame that the exchange has not sent, or that tells nothing true."""
        last = self.last
        match what:
            case "garbage":
                good = self.push(Change(last, last + 2, *sides))
                return [b"", b"\xff\xfe", b"null", b"[" * 5_000, good[: len(good) // 2], b'{"data":[]}'][number % 6]
            case "another's":
                return self.push(Change(last, last + 2, *sides), "ETH")
            case "ahead":
                return self.push(Change(last + 1 + number, last + 2 + 2 * number, *sides))
            case "far ahead":
                return self.push(Change(last + 10**6, last + 10**6 + 1 + number, *sides))
            case "far behind":
                return self.push(Change(number, number + 1, *sides))
            case "no number":
                text = NO_NUMBERS[number % len(NO_NUMBERS)]
                level = Level(text, "1") if number % 4 < 2 else Level("30", text)
                return self.push(Change(last, last + 2, *((level,), ()) if number % 2 else ((), (level,))))
            case "crossed":
                return self.push(Change(last, last + 2, (Level("25", "1"),), (Level("25", "1"),)))
        return self.false_snapshot(sides)


class Okx(Market):
    """Sends a snapshot for each subscription."""

    snapshot_wait_s, seed_levels, full_levels = 5.0, 0, 400

    def new_adapter(self) -> Adapter:
        return okx_adapter.new_adapter()

    def push(self, change: Change, native: str = "") -> bytes:
        return self._book("update", change.seq, change.prev_seq, (change.bids, change.asks), native)

    def begin_channel(self) -> None:
        self.sync.subscribed(self.clock.monotonic_s(), self.snapshot_wait_s, self.full_levels)
        whole = snapshot(self.truth[self.last], self.last)
        self.bring(self._book("snapshot", self.last, -1, (tuple(whole.bids), tuple(whole.asks))))

    def false_snapshot(self, sides: Sides) -> bytes:
        return self._book("snapshot", self.last + 2, self.last, sides)

    @staticmethod
    def _book(action: str, seq: int, prev_seq: int, sides: Sides, native: str = "") -> bytes:
        told_bids, told_asks = ([[level.price, level.size] for level in levels] for levels in sides)
        frame = okx_wire.book(action, seq, prev_seq, okx_adapter.RECV // 10**6, told_bids, told_asks)
        return frame.replace(okx_adapter.NATIVE, native or okx_adapter.NATIVE).encode()


class Binance(Market):
    """Has its snapshots asked for."""

    snapshot_wait_s, seed_levels, full_levels = 0.5, 5_000, 5_000

    def new_adapter(self) -> Adapter:
        return binance_adapter.new_adapter()

    def push(self, change: Change, native: str = "") -> bytes:
        levels = {
            side: [[level.price, level.size] for level in getattr(change, name)]
            for side, name in (("b", "bids"), ("a", "asks"))
        }
        facts = {"U": change.prev_seq + 1, "u": change.seq, "s": native or binance_adapter.DEPTH["s"]}
        return binance_adapter.pushed("depth@100ms", {**binance_adapter.DEPTH, **facts, **levels})

    def begin_channel(self) -> None:
        self.sync.subscribed(self.clock.monotonic_s(), self.snapshot_wait_s, self.full_levels)

    def false_snapshot(self, sides: Sides) -> bytes:
        return self.push(Change(self.last, self.last - 5, *sides))


@pytest.mark.parametrize("exchange", [Okx, Binance])
@given(sent=steps)
def test_a_book_that_is_called_valid_is_the_exchanges(exchange: type[Market], sent: Sequence[Step]) -> None:
    market = exchange()
    for each in sent:
        market.step(*each)
    for second in range(HEALED_S):
        market.step("good", 0, ((Level("10", str(second + 1)),), (Level("31", "1"),)))
        if market.sync.state is BookState.VALID:
            break
    assert (market.sync.state, market.held) == (BookState.VALID, market.truth[market.last])
