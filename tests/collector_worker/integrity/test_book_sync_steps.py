"""The state machine of a book, step by step."""

from collections.abc import Sequence

import pytest

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookResult, BookSync
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

BID, ASK = Level("10", "1"), Level("11", "1")


def best_bid(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """A checksum that can be done in the head: the price of the best bid."""
    return int(bids[0].price)


def whole(seq: int | None = 5, reason: str = "", bids: Sequence[Level] = (BID,)) -> BookSnapshot:
    return BookSnapshot(ts_event=1, ts_recv=2, bids=[*bids], asks=[ASK], reason=reason, seq=seq)


def delta(prev_seq: int | None, seq: int | None, *bids: Level) -> BookDelta:
    return BookDelta(ts_event=1, ts_recv=2, bids=[*bids], asks=[], seq=seq, prev_seq=prev_seq)


def valid_sync(*, crossed_is_legal: bool = False) -> BookSync:
    sync = BookSync(best_bid, 25, crossed_is_legal=crossed_is_legal)
    assert sync.on_frame(BookFrame(whole())) == BookResult((whole(5, "subscribe"),))
    return sync


def state_of(sync: BookSync) -> BookState:
    """Its state; a call, because mypy takes an attribute to stay what an assertion said."""
    return sync.state


def checksum_unusable(sync: BookSync) -> bool:
    """A call, for the same reason."""
    return sync.checksum_unusable


def put_out_of_sync(reason: str) -> BookResult:
    return BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync=reason)


DOUBTS = {
    "a hole": (BookFrame(delta(6, 7)), "sequence_gap"),
    "a number from the past": (BookFrame(delta(4, 6)), "sequence_gap"),
    "no number any more": (BookFrame(delta(None, None)), "sequence_gap"),
    "a crossed book": (BookFrame(delta(5, 6, Level("11", "1"))), "crossed"),
    "a level that is none": (BookFrame(delta(5, 6, Level("x", "1"))), "bad_level"),
    "a wrong checksum": (BookFrame(delta(5, 6), 99), "checksum"),
    "a crossed snapshot": (BookFrame(whole(bids=[Level("12", "1")])), "crossed"),
    "a snapshot with a level that is none": (BookFrame(whole(bids=[Level("-1", "1")])), "bad_level"),
}


@pytest.mark.parametrize(("frame", "reason"), DOUBTS.values(), ids=DOUBTS)
def test_a_doubt_ends_the_book_until_the_next_snapshot(frame: BookFrame, reason: str) -> None:
    sync = valid_sync()

    assert sync.on_frame(frame) == put_out_of_sync(reason)
    assert state_of(sync) is BookState.SYNCING
    assert sync.on_frame(BookFrame(delta(6, 7))) == NOTHING
    assert sync.on_frame(BookFrame(whole(9))) == BookResult((whole(9, reason),))
    assert state_of(sync) is BookState.VALID
    assert sync.on_frame(BookFrame(delta(9, 10))) == BookResult((delta(9, 10),))


def test_before_the_market_opens_a_crossed_book_is_legal() -> None:
    sync = valid_sync(crossed_is_legal=True)
    crossing = delta(5, 6, Level("11", "1"))

    assert sync.on_frame(BookFrame(crossing)) == BookResult((crossing,))


def test_zero_is_a_number() -> None:
    sync = valid_sync()

    assert sync.on_frame(BookFrame(delta(5, 0))) == BookResult((delta(5, 0),))
    assert sync.on_frame(BookFrame(delta(0, 3))) == BookResult((delta(0, 3),))
    assert sync.on_frame(BookFrame(delta(None, 4))) == put_out_of_sync("sequence_gap")


def test_frames_without_sequence_numbers_apply_in_order_under_the_checksum() -> None:
    sync = BookSync(best_bid, 25)

    assert sync.on_frame(BookFrame(whole(None), 10)) == BookResult((whole(None, "subscribe"),))
    lower = delta(None, None, Level("9", "1"))
    assert sync.on_frame(BookFrame(lower, 10)) == BookResult((lower,))
    assert sync.on_frame(BookFrame(delta(None, None, Level("10", "0")), 10)) == put_out_of_sync("checksum")
    assert sync.on_frame(BookFrame(whole(None), 10)) == BookResult((whole(None, "checksum"),))


def test_a_snapshot_that_fails_its_own_checksum_is_asked_for_again() -> None:
    """Once it may have been spoilt on the way."""
    sync = BookSync(best_bid, 25)

    assert sync.on_frame(BookFrame(whole(), 99)) == put_out_of_sync("checksum")
    assert sync.on_frame(BookFrame(whole(6), 10)) == BookResult((whole(6, "checksum"),))
    assert sync.on_frame(BookFrame(whole(7), 99)) == put_out_of_sync("checksum")
    assert not sync.checksum_unusable


def test_a_checksum_that_fails_two_snapshots_is_ignored_until_it_holds() -> None:
    sync = BookSync(best_bid, 25)
    sync.on_frame(BookFrame(whole(), 99))

    assert sync.on_frame(BookFrame(whole(6), 98)) == BookResult((whole(6, "checksum"),))
    assert checksum_unusable(sync)
    assert sync.on_frame(BookFrame(delta(6, 7), 97)) == BookResult((delta(6, 7),))

    sync.on_frame(BookFrame(whole(8), 10))
    assert not checksum_unusable(sync)
    assert sync.on_frame(BookFrame(delta(8, 9), 97)) == put_out_of_sync("checksum")


def test_a_snapshot_without_a_checksum_tells_nothing_about_checksums() -> None:
    sync = BookSync(best_bid, 25)
    sync.on_frame(BookFrame(whole(), 99))
    sync.on_frame(BookFrame(whole(6)))

    assert sync.on_frame(BookFrame(whole(7), 99)) == BookResult((whole(7, "checksum"),))
    assert sync.checksum_unusable


def test_a_checksum_covers_the_best_levels() -> None:
    seen: list[tuple[int, int]] = []

    def count(bids: Sequence[Level], asks: Sequence[Level]) -> int:
        seen.append((len(bids), len(asks)))
        return 7

    sync = BookSync(count, 3)
    sync.on_frame(BookFrame(whole(bids=[Level(str(price), "1") for price in range(1, 9)]), 7))
    assert seen == [(3, 1)]


def test_channels_that_always_send_the_whole_book() -> None:
    sync = BookSync(best_bid, 25)
    pushes = [whole(seq, "push") for seq in (5, 6, 4)]

    assert [sync.on_frame(BookFrame(push)) for push in pushes] == [BookResult((push,)) for push in pushes]


# --- connection -------------------------------------------------------------------------------------------------------


def test_a_lost_connection_makes_the_book_stale_until_a_reconnect_snapshot() -> None:
    sync = valid_sync()
    sync.disconnected()
    assert state_of(sync) is BookState.STALE

    sync.subscribed(0.0, 5.0)
    assert state_of(sync) is BookState.SYNCING
    assert sync.on_frame(BookFrame(delta(5, 6))) == NOTHING
    assert sync.on_frame(BookFrame(whole(9))) == BookResult((whole(9, "reconnect"),))


def test_the_first_snapshot_may_come_before_the_acknowledgement() -> None:
    sync = valid_sync()
    sync.disconnected()

    assert sync.on_frame(BookFrame(whole(9))) == BookResult((whole(9, "reconnect"),))
    sync.subscribed(0.0, 5.0)
    assert state_of(sync) is BookState.VALID
    assert sync.due(1_000.0) is None


def test_what_waited_on_a_lost_connection_is_forgotten() -> None:
    sync = BookSync(best_bid, 25)
    sync.on_frame(BookFrame(delta(5, 6)))
    sync.disconnected()
    sync.subscribed(0.0, 5.0)

    assert sync.on_rest_snapshot(whole(5)) == BookResult((whole(5, "reconnect"),))


def test_a_second_connection_takes_over_with_a_snapshot_of_its_own() -> None:
    sync = valid_sync()
    sync.renewed(joins=False)

    assert state_of(sync) is BookState.VALID
    assert sync.on_frame(BookFrame(whole(4))) == BookResult((whole(4, "reconnect"),))
    assert sync.on_frame(BookFrame(delta(4, 6))) == BookResult((delta(4, 6),))


def test_only_the_first_delta_of_a_connection_that_joins_may_overlap() -> None:
    sync = valid_sync()
    sync.renewed(joins=True)

    assert sync.on_frame(BookFrame(delta(1, 3))) == NOTHING
    assert sync.on_frame(BookFrame(delta(3, 5))) == NOTHING
    assert sync.on_frame(BookFrame(delta(4, 7))) == BookResult((delta(5, 7),))
    assert sync.on_frame(BookFrame(delta(7, 8))) == BookResult((delta(7, 8),))
    assert sync.on_frame(BookFrame(delta(7, 9))) == put_out_of_sync("sequence_gap")


def test_a_joined_connection_with_only_old_sequence_numbers_is_out_of_sync() -> None:
    """Numbers that began anew while nobody looked: to drop for ever would leave an old book that looks valid."""
    sync = valid_sync()
    sync.renewed(joins=True)

    result = [sync.on_frame(BookFrame(delta(1, 2))) for _ in range(301)]
    assert result == [*([NOTHING] * 300), put_out_of_sync("sequence_gap")]


# --- snapshots by REST ------------------------------------------------------------------------------------------------


def test_a_missing_snapshot_is_fetched_over_rest_with_growing_pauses() -> None:
    sync = BookSync(best_bid, 25)
    assert sync.due(1_000.0) is None  # not subscribed yet

    sync.subscribed(100.0, 5.0)
    asked_s = [now_s for now_s in range(100, 400) if sync.due(float(now_s)) is BookRequest.FETCH_SNAPSHOT]
    assert asked_s == [105, 106, 108, 112, 120, 136, 168, 228, 288, 348]


@pytest.mark.parametrize("how", ["snapshot", "disconnect"])
def test_rest_is_not_asked_once_it_is_of_no_use(how: str) -> None:
    sync = BookSync(best_bid, 25)
    sync.subscribed(100.0, 5.0)
    if how == "snapshot":
        sync.on_frame(BookFrame(whole()))
    else:
        sync.disconnected()

    assert sync.due(1_000.0) is None


def test_after_a_doubt_rest_is_asked_only_behind_the_new_acknowledgement() -> None:
    sync = valid_sync()
    sync.on_frame(BookFrame(delta(6, 7)))
    assert sync.due(1_000.0) is None

    sync.subscribed(1_000.0, 5.0)
    assert [sync.due(now_s) for now_s in (1_004.9, 1_005.0)] == [None, BookRequest.FETCH_SNAPSHOT]


def test_a_rest_answer_that_comes_too_late_changes_nothing() -> None:
    sync = valid_sync()
    assert sync.on_rest_snapshot(whole(9)) == NOTHING

    sync.disconnected()
    assert sync.on_rest_snapshot(whole(9)) == NOTHING
    assert state_of(sync) is BookState.STALE


def test_a_rest_answer_without_a_number_is_of_no_use() -> None:
    assert BookSync(best_bid, 25).on_rest_snapshot(whole(None)) == NOTHING


def test_a_bad_rest_answer_is_a_doubt() -> None:
    sync = BookSync(best_bid, 25)

    assert sync.on_rest_snapshot(whole(5, bids=[Level("12", "1")])) == put_out_of_sync("crossed")
    assert state_of(sync) is BookState.SYNCING
    assert sync.on_frame(BookFrame(whole(5))) == BookResult((whole(5, "crossed"),))


def test_checksums_of_waiting_deltas_are_judged_too() -> None:
    sync = BookSync(best_bid, 25)
    sync.on_frame(BookFrame(delta(5, 6), 10))
    sync.on_frame(BookFrame(delta(6, 7), 99))

    assert sync.on_rest_snapshot(whole(5)) == BookResult(
        (whole(5, "subscribe"), delta(5, 6)), request=BookRequest.RESUBSCRIBE, out_of_sync="checksum"
    )


def test_only_the_first_delta_may_overlap_a_rest_snapshot() -> None:
    sync = BookSync(best_bid, 25)
    sync.on_rest_snapshot(whole(5))

    assert sync.on_frame(BookFrame(delta(3, 5))) == NOTHING  # the snapshot holds it
    assert sync.on_frame(BookFrame(delta(4, 7))) == BookResult((delta(5, 7),))  # from where the readers are
    assert sync.on_frame(BookFrame(delta(6, 8))) == put_out_of_sync("sequence_gap")
