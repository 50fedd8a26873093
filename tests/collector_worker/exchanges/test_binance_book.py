"""Binance's order book through adapter and ``BookSync``: the recipe of the protocol sheet, section 5.1."""

import json

import pytest

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookSync
from tests.support.binance_adapter import DEPTH, INSTRUMENT, RECV, binance, new_adapter, pushed
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

SNAPSHOT_ID = 100


class Book:
    """A book of Binance, the seed of which has the id 100."""

    def __init__(self) -> None:
        self.exchange = binance()
        self.adapter = new_adapter()
        self.channel = next(c for c in self.exchange.feeds()[0].channels if c.data_type is DataType.ORDERBOOK)
        self.sync = BookSync(self.exchange.book_checksum, self.exchange.checksum_depth)
        self.sync.subscribed(0.0, 0.5)
        self.said: list[str] = []

    def push(self, first: int, last: int, bid_size: str = "1.00000000") -> None:
        """An update with the ids from first to last, which sets the best bid's size."""
        row = {**DEPTH, "U": first, "u": last, "b": [["10.00000000", bid_size]], "a": []}
        (frame,) = self.adapter.on_frame(pushed("depth@100ms", row), RECV)
        assert isinstance(frame, BookFrame)
        self._keep(self.sync.on_frame(frame))

    def seed(self, last_id: int = SNAPSHOT_ID) -> None:
        """The answer of REST."""
        body = {"lastUpdateId": last_id, "bids": [["10.00000000", "9.00000000"]], "asks": [["11.00000000", "1.0"]]}
        snapshot = self.exchange.read_book(json.dumps(body).encode(), INSTRUMENT, RECV)
        self._keep(self.sync.on_rest_snapshot(snapshot, self.channel.seed_levels))

    def _keep(self, result: object) -> None:
        if result is NOTHING:
            self.said.append("nothing")
            return
        for event in getattr(result, "events", ()):
            if isinstance(event, BookSnapshot):
                self.said.append(f"snapshot {event.seq} {event.reason}")
            elif isinstance(event, BookDelta):
                self.said.append(f"delta {event.prev_seq} {event.seq}")
        out_of_sync = getattr(result, "out_of_sync", "")
        if out_of_sync:
            self.said.append(out_of_sync)

    @property
    def state(self) -> BookState:
        return self.sync.state


SEED = f"snapshot {SNAPSHOT_ID} subscribe"

FIRST = {
    "it begins right behind the seed": ([(95, 100), (101, 105)], [SEED, "delta 100 105"]),
    "the seed lies within it": ([(95, 98), (99, 105), (106, 107)], [SEED, "delta 100 105", "delta 105 107"]),
    "the seed is the one before its last": ([(99, 101)], [SEED, "delta 100 101"]),
    "all are older": ([(90, 95), (96, 100)], [SEED]),
    "none has come": ([], [SEED]),
    "the seed is older than the first": ([(102, 105)], ["nothing"]),
    "the seed is much older": ([(150, 160), (161, 170)], ["nothing"]),
}


@pytest.mark.parametrize(("updates", "said"), FIRST.values(), ids=FIRST)
def test_what_was_gathered_joins_the_seed(updates: list[tuple[int, int]], said: list[str]) -> None:
    book = Book()
    for first, last in updates:
        book.push(first, last)
    book.said.clear()
    book.seed()
    assert book.said == said
    assert book.state is (BookState.SYNCING if said == ["nothing"] else BookState.VALID)


@pytest.mark.parametrize("size", ["", ".", "..", "0.", ".0", "0..0", "-0", "0e0", "\u0660", "0" * 41])
def test_a_size_that_is_no_number_removes_nothing(size: str) -> None:
    """It is a doubt, whether it comes behind the seed or waits for it."""
    book = Book()
    book.seed()
    book.push(101, 101, size)
    assert (book.said, book.state) == ([SEED, "bad_level"], BookState.SYNCING)
    book.push(102, 102, size)
    book.seed(101)
    assert book.said == [SEED, "bad_level", "nothing", "snapshot 101 bad_level", "bad_level"]
    assert book.state is BookState.SYNCING


def test_a_seed_is_requested_after_the_first_updates_and_again_unanswered() -> None:
    book = Book()
    assert [book.sync.due(now_s) for now_s in (0.0, 0.4, 0.5, 0.6)] == [None, None, BookRequest.FETCH_SNAPSHOT, None]
    book.push(102, 105)
    book.seed()
    assert [book.sync.due(now_s) for now_s in (1.4, 1.5)] == [None, BookRequest.FETCH_SNAPSHOT]
    book.seed(101)
    assert book.said == ["nothing", "nothing", "snapshot 101 subscribe", "delta 101 105"]


def test_the_socket_may_be_behind_the_seed() -> None:
    book = Book()
    book.seed()
    for first, last in ((90, 95), (96, 100), (101, 103)):
        book.push(first, last)
    assert book.said == [SEED, "nothing", "nothing", "delta 100 103"]


@pytest.mark.parametrize(
    ("first", "last"), [(107, 110), (104, 110), (150, 160)], ids=["one lost", "again", "many lost"]
)
def test_later_updates_must_follow_each_other(first: int, last: int) -> None:
    book = Book()
    book.seed()
    book.push(101, 105)
    book.push(first, last)
    assert book.said == [SEED, "delta 100 105", "sequence_gap"]
    assert book.state is BookState.SYNCING

    book.sync.subscribed(10.0, 0.0)  # what the connection does where there is nothing to send
    assert book.sync.due(10.0) is BookRequest.FETCH_SNAPSHOT
    book.push(161, 165)
    book.seed(160)
    assert book.said[3:] == ["nothing", "snapshot 160 sequence_gap", "delta 160 165"]


def test_sizes_are_absolute_and_nothing_removes() -> None:
    book = Book()
    book.seed()
    assert book.sync.book.bids() == [Level("10.00000000", "9.00000000")]
    book.push(101, 101, "2.50000000")
    assert book.sync.book.bids() == [Level("10.00000000", "2.50000000")]
    book.push(102, 102, "0.00000000")
    assert book.sync.book.bids() == []


SUCCESSOR = {
    "it begins right behind": ([(106, 108)], ["delta 105 108"]),
    "it was cut elsewhere": ([(96, 99), (100, 103), (104, 108), (109, 110)], ["delta 105 108", "delta 108 110"]),
    "it is still behind": ([(96, 99), (100, 105), (106, 106)], ["delta 105 106"]),
    "it begins behind a hole": ([(107, 108)], ["sequence_gap"]),
    "it loses one later": ([(104, 108), (110, 111)], ["delta 105 108", "sequence_gap"]),
}


@pytest.mark.parametrize(("updates", "said"), SUCCESSOR.values(), ids=SUCCESSOR)
def test_a_second_connection_joins_the_book(updates: list[tuple[int, int]], said: list[str]) -> None:
    """It cuts its windows elsewhere (section 7); sizes are absolute, so the one that overlaps may be applied."""
    book = Book()
    book.seed()
    book.push(101, 105)
    book.said.clear()
    book.sync.renewed(joins=book.channel.seed_levels > 0)
    for first, last in updates:
        book.push(first, last)
    assert [each for each in book.said if each != "nothing"] == said
    assert book.state is (BookState.SYNCING if "sequence_gap" in said else BookState.VALID)
