import pytest

from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC_BOOK, delta, snapshot
from tickfleet.contract.events import Event, FeedState, FeedStatus, Gap, Level, Ticker
from tickfleet.reading.book.book_state import NOT_JOINED, FollowedBook, read_book_hash
from tickfleet.reading.entries import Entry, Missed

HASH = {
    "state": "valid",
    "stream_id": "1-7",
    "seq": "7",
    "ts_event": "1",
    "ts_recv": "2",
    "bids": '[["99","7"]]',
    "asks": '[["101","7"]]',
}


def status(state: FeedState) -> FeedStatus:
    return FeedStatus(ts_event=1, ts_recv=1, state=state, reason="x")


MISSED = Missed(ts_event=1, ts_recv=1, count=3, after_id="1-7", before_id="1-11", reason="trimmed")
GAP = Gap(ts_event=1, ts_recv=1, reason="buffer_full")


def followed(*events: Event | Missed) -> FollowedBook:
    """A book that has read these, after a snapshot with the number 7."""
    book = FollowedBook()
    for number, event in enumerate([snapshot(7), *events], start=7):
        book.apply(Entry(BTC_BOOK, f"1-{number}", event))
    return book


def tops(book: FollowedBook) -> tuple[Level | None, Level | None]:
    return book.bids.best, book.asks.best


def test_a_book_nobody_has_seen_is_doubtful() -> None:
    book = FollowedBook()
    book.apply(Entry(BTC_BOOK, "1-1", delta(8, 7)))
    assert (book.out_of_sync, tops(book)) == (NOT_JOINED, (None, None))


def test_snapshot_and_deltas_make_the_book() -> None:
    book = followed(delta(8, 7), status(FeedState.CONNECTED), status(FeedState.RESYNCED), delta(9, 8, recv=5))
    assert (book.out_of_sync, book.seq, book.stream_id) == ("", 9, "1-11")
    assert tops(book) == (Level("99", "9"), Level("101", "9"))
    assert (book.ts_event, book.ts_recv, book.based_at) == (START_NS, START_NS + 5, START_NS)
    assert book.bids.top() == [Level("99", "9"), Level("98", "2")]


@pytest.mark.parametrize(
    ("event", "out_of_sync"),
    [
        (delta(9, 8), "sequence gap: 8 does not continue 7"),
        (delta(7, 6), "sequence gap: 6 does not continue 7"),
        (status(FeedState.STALE), "feed stale (x)"),
        (status(FeedState.DISCONNECTED), "feed disconnected (x)"),
        (GAP, "gap (buffer_full)"),
        (MISSED, "entries were missed (trimmed)"),
    ],
)
def test_a_doubt_lasts_until_the_next_snapshot(event: Event | Missed, out_of_sync: str) -> None:
    book = followed(event, delta(8, 7))
    assert (book.out_of_sync, book.seq) == (out_of_sync, 7)
    book.apply(Entry(BTC_BOOK, "1-20", snapshot(20)))
    assert (book.out_of_sync, book.seq, tops(book)) == ("", 20, (Level("99", "20"), Level("101", "20")))


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_level_that_is_no_number_is_a_doubt(side: str) -> None:
    for event in (snapshot(8), delta(8, 7)):
        getattr(event, side)[:] = [Level("99", "x")]
        assert followed(event).out_of_sync == "bad level"


def test_a_delta_without_numbers_does_not_continue_a_book_that_has_them() -> None:
    bare = delta(8, 7)
    assert (
        followed(type(bare)(ts_event=1, ts_recv=1, bids=[], asks=[])).out_of_sync
        == "sequence gap: None does not continue 7"
    )


def test_other_events_in_the_stream_change_nothing() -> None:
    assert followed(Ticker(ts_event=1, ts_recv=1)).out_of_sync == ""


# --- joining by the hash ---------------------------------------------------------------------------------------------


def test_a_book_is_joined_by_the_hash() -> None:
    known = read_book_hash(HASH)
    book = FollowedBook()
    assert known is not None
    assert book.join(known)
    assert (book.out_of_sync, book.stream_id, book.seq, book.based_at) == ("", "1-7", 7, 2)
    book.apply(Entry(BTC_BOOK, "1-8", delta(8, 7)))
    assert (book.out_of_sync, tops(book)) == ("", (Level("99", "8"), Level("101", "8")))


def test_a_hash_without_a_number_is_that_of_a_book_without_numbers() -> None:
    known = read_book_hash({**HASH, "seq": ""})
    assert known is not None
    assert known.book.seq is None


@pytest.mark.parametrize(("doubtful_at", "joined"), [("1-6", True), ("1-7", True), ("1-8", False), ("2-0", False)])
def test_a_hash_from_before_the_doubt_is_not_believed(doubtful_at: str, joined: bool) -> None:
    known, book = read_book_hash(HASH), FollowedBook()
    assert known is not None
    book.apply(Entry(BTC_BOOK, doubtful_at, status(FeedState.STALE)))
    assert (book.join(known), book.out_of_sync == "") == (joined, joined)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {**HASH, "state": "syncing"},
        {**HASH, "state": "stale"},
        {**HASH, "bids": "[["},
        {**HASH, "bids": '[["99","x"]]'},
        {**HASH, "stream_id": "latest"},
        {name: text for name, text in HASH.items() if name != "asks"},
        {name: text for name, text in HASH.items() if name != "stream_id"},
    ],
)
def test_a_hash_that_is_not_valid_or_damaged_is_none(fields: dict[str, str]) -> None:
    assert read_book_hash(fields) is None
