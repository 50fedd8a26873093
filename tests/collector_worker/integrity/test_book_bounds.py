"""A book that only grows, each change correctly numbered, is not believed beyond a bound, and is built anew."""

import pytest
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity import book, book_sync
from collector_worker.integrity.book_sync import BookRequest, BookResult, BookSync
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

MOST = 50


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MAX_LEVELS", MOST)
    monkeypatch.setattr(book_sync, "_BUFFER_LEVELS", 4 * MOST)


def levels(first: int, count: int) -> list[Level]:
    return [Level(str(1_000 + first + number), "1") for number in range(count)]


FIRST = BookSnapshot(ts_event=1, ts_recv=1, bids=[Level("1", "1")], asks=levels(0, 1), reason="", seq=0)


def delta(seq: int, asks: list[Level]) -> BookFrame:
    return BookFrame(BookDelta(ts_event=1, ts_recv=1, bids=[], asks=asks, seq=seq, prev_seq=seq - 1))


def synced() -> BookSync:
    sync = BookSync(lambda bids, asks: 0, 25)
    sync.subscribed(0.0, 1.0)
    sync.on_frame(BookFrame(FIRST))
    assert sync.state is BookState.VALID
    return sync


def test_a_book_that_only_grows_is_doubted_at_the_bound_and_begun_anew() -> None:
    sync = synced()
    result = [sync.on_frame(delta(seq, levels(seq, 1))) for seq in range(1, MOST + 1)]
    assert [each.out_of_sync for each in result] == [""] * (MOST - 1) + ["too_many_levels"]
    assert result[-1] == BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="too_many_levels")
    assert (sync.state, sync.book.asks()) == (BookState.SYNCING, [])
    (begun,) = sync.on_frame(BookFrame(replace(FIRST, seq=99))).events
    assert isinstance(begun, BookSnapshot)
    assert (begun.reason, sync.state) == ("too_many_levels", BookState.VALID)


def test_a_book_may_have_as_many_levels_as_the_bound() -> None:
    sync = synced()
    assert sync.on_frame(delta(1, levels(0, MOST))).out_of_sync == ""
    assert sync.on_frame(delta(2, [Level("1000", "0"), Level("1000.5", "2")])).out_of_sync == ""
    assert len(sync.book.asks()) == MOST


def test_a_snapshot_beyond_the_bound_is_none() -> None:
    sync = synced()
    result = sync.on_frame(BookFrame(replace(FIRST, asks=levels(0, MOST + 1))))
    assert result == BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="too_many_levels")


def test_what_waits_for_a_snapshot_is_bounded_by_its_levels() -> None:
    sync = BookSync(lambda bids, asks: 0, 25)
    sync.subscribed(0.0, 1.0)
    for seq in range(1, 101):
        sync.on_frame(delta(seq, levels(0, 10)))
    assert [each.seq for each, _ in sync._waiting] == list(range(81, 101))
