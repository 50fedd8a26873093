"""Snapshots by REST that are not to be believed, and deltas that say so."""

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookResult, BookSync
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

CUT = 8
FETCH = BookRequest.FETCH_SNAPSHOT
GAP = BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap")
OLD = "the snapshots of REST are older than what the socket has brought"
HOLLOW = "the snapshots of REST lack bids or asks although the market moves"
SIDE = tuple(Level(str(rank), "1") for rank in range(1, CUT + 1))
FAR = 10**17


def delta(prev_seq: int, seq: int, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> BookDelta:
    return BookDelta(ts_event=1, ts_recv=2, bids=list(bids), asks=list(asks), seq=seq, prev_seq=prev_seq)


def answer(seq: int, bids: int = CUT, asks: int = CUT) -> BookSnapshot:
    """What REST says: so many bids from 100 downwards, and so many asks from 101 upwards."""
    return BookSnapshot(
        ts_event=3, ts_recv=3, seq=seq, reason="",
        bids=[Level(str(100 - rank), "1") for rank in range(bids)],
        asks=[Level(str(101 + rank), "1") for rank in range(asks)],
    )  # fmt: skip


class Desk:
    """A book that REST is asked for, of a channel with updates only or with its own snapshots (``cut_at`` 0)."""

    def __init__(self, cut_at: int = CUT) -> None:
        self.sync = BookSync(lambda bids, asks: 0, 0)
        self.sync.subscribed(0.0, 0.0, CUT)
        self._cut_at = cut_at
        self._now_s = 0.0

    def push(self, prev_seq: int, seq: int, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> BookResult:
        """A delta comes by the socket."""
        result = self.sync.on_frame(BookFrame(delta(prev_seq, seq, bids, asks)))
        if result.request is BookRequest.RESUBSCRIBE:
            self.sync.subscribed(self._now_s, 0.0, CUT)
        return result

    def push_snapshot(self, snapshot: BookSnapshot, *, traded: bool = False) -> BookResult:
        """The socket sends a snapshot."""
        return self.sync.on_frame(BookFrame(replace(snapshot, prev_seq=-1)), traded=traded)

    def ask(self, snapshot: BookSnapshot, *, traded: bool = False) -> BookResult:
        """REST is asked, which is due by now, and answers."""
        self._now_s += 100.0
        assert self.sync.due(self._now_s) is FETCH
        return self.sync.on_rest_snapshot(snapshot, self._cut_at, traded=traded)

    @property
    def state(self) -> tuple[BookState, str]:
        """The book's state, and what it lacks."""
        return self.sync.state, "" if self.sync.state is BookState.VALID else self.sync.why


VALID = (BookState.VALID, "")


# --- older than what was seen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut_at", [CUT, 0])
@pytest.mark.parametrize("old", [100, 101])
def test_a_rest_book_older_than_the_websocket_updates_is_requested_again(old: int, cut_at: int) -> None:
    """One delta is lost, the next one is seen, then the book is quiet; REST answers out of some cache."""
    desk = Desk(cut_at)
    desk.ask(answer(100))
    assert desk.push(101, 102, asks=[Level("101", "9")]) == GAP
    assert desk.state == (BookState.SYNCING, "no snapshot has come since a doubt (sequence_gap)")
    if old == 101:
        assert [event.seq for event in desk.ask(answer(old)).events] == [101, 102]
        return
    assert desk.ask(answer(old)) == NOTHING
    assert desk.state == (BookState.SYNCING, OLD)
    assert [event.seq for event in desk.ask(answer(102)).events] == [102]
    assert desk.state == VALID


@pytest.mark.parametrize("spoilt", [[Level("x", "1")], [Level("200", "1")]], ids=["bad level", "crossed"])
def test_an_answer_without_the_delta_that_was_doubted_is_none(spoilt: list[Level]) -> None:
    desk = Desk()
    desk.ask(answer(100))
    assert desk.push(100, 103, spoilt).request is BookRequest.RESUBSCRIBE
    assert [desk.ask(answer(seq)) for seq in (100, 102)] == [NOTHING, NOTHING]
    assert [event.seq for event in desk.ask(answer(103)).events] == [103]


def test_another_connection_begins_from_nothing() -> None:
    desk = Desk()
    desk.ask(answer(100))
    desk.push(100, 110)
    desk.sync.disconnected()
    desk.sync.subscribed(0.0, 0.0, CUT)
    assert [event.seq for event in desk.ask(answer(105)).events] == [105]


def test_what_was_sent_again_makes_no_old_answer_good() -> None:
    desk = Desk()
    for prev_seq, seq in ((100, 101), (101, 102), (102, 103), (101, 102)):
        desk.push(prev_seq, seq)
    assert [event.seq for event in desk.ask(answer(102)).events] == [102, 103]

    desk = Desk()
    for prev_seq, seq in ((100, 101), (105, 106), (100, 101)):
        desk.push(prev_seq, seq)
    assert [desk.ask(answer(seq)) for seq in (100, 105)] == [NOTHING, NOTHING]
    assert [event.seq for event in desk.ask(answer(106)).events] == [106]


# --- ahead of what was seen -------------------------------------------------------------------------------------------

AHEAD = "the snapshot of REST is ahead of the socket"


@pytest.mark.parametrize("traded", [True, False])
def test_an_answer_that_is_ahead_waits_until_the_socket_gets_there(traded: bool) -> None:
    desk = Desk()
    desk.push(100, 101)
    assert desk.ask(answer(105), traded=traded) == NOTHING
    assert desk.state == (BookState.SYNCING, AHEAD)
    assert desk.push(101, 104) == NOTHING
    assert [(event.seq, event.prev_seq) for event in desk.push(104, 106).events] == [(105, None), (106, 105)]
    assert desk.state == VALID


def test_an_answer_of_another_instrument_is_no_book_of_ours() -> None:
    desk = Desk()
    desk.push(100, 101)
    for seq, next_seq in ((101, 102), (102, 103), (103, 104)):
        assert desk.ask(answer(FAR + seq), traded=True) == NOTHING
        assert desk.push(seq, next_seq) == NOTHING
    assert [event.seq for event in desk.ask(answer(103), traded=True).events] == [103, 104]
    assert desk.state == VALID


def test_a_valid_book_is_not_replaced_by_that_of_another_instrument() -> None:
    desk = Desk()
    assert [event.seq for event in desk.ask(answer(101, 1, 1)).events] == [101]
    desk.push(101, 102)
    assert desk.ask(answer(FAR, 3, 3), traded=True) == NOTHING
    assert [event.seq for event in desk.push(102, 103).events] == [103]
    assert desk.ask(answer(104), traded=True) == NOTHING
    assert [(event.seq, type(event)) for event in desk.push(103, 104).events] == [(104, BookDelta), (104, BookSnapshot)]
    assert len(desk.sync.book.bids()) == CUT


def test_two_equal_answers_ahead_are_believed_where_nobody_trades() -> None:
    desk = Desk()
    desk.push(100, 101)
    answers = [answer(105), answer(105, 2), answer(106, 2), answer(106, 2)]
    assert [desk.ask(each, traded=True) for each in answers] == [NOTHING] * 4
    told = [desk.ask(each) for each in (answer(105), answer(105, 2), answer(106, 2), answer(106, 2))]
    assert [[event.seq for event in each.events] for each in told] == [[], [], [], [106]]


def test_a_doubt_forgets_what_was_ahead() -> None:
    desk = Desk()
    desk.push(100, 101)
    desk.ask(answer(105))
    desk.sync.disconnected()
    desk.sync.subscribed(0.0, 0.0, CUT)
    assert [desk.push(101, 105), desk.push(105, 106)] == [NOTHING, NOTHING]


def test_a_counter_that_begins_anew_forgets_what_was_ahead() -> None:
    desk = Desk()
    desk.push(100, 101)
    desk.ask(answer(105))
    assert [desk.push(101, 3), desk.push(3, 104), desk.push(104, 106)] == [NOTHING] * 3


def test_another_connection_forgets_what_was_ahead() -> None:
    desk = Desk()
    desk.push(100, 101)
    desk.ask(answer(105))
    desk.sync.renewed(joins=True)
    assert [desk.push(101, 104), desk.push(104, 106)] == [NOTHING, NOTHING]


# --- numbers that are garbage -----------------------------------------------------------------------------------------

GARBAGE = {"far ahead": (FAR, FAR + 1), "behind ours": (100, FAR), "low": (3, 5), "reversed": (FAR, 5)}


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize(("prev_seq", "seq"), GARBAGE.values(), ids=GARBAGE)
def test_after_one_number_that_is_garbage_the_good_ones_join_again(prev_seq: int, seq: int, valid: bool) -> None:
    desk = Desk()
    if valid:
        desk.ask(answer(100))
    desk.push(prev_seq, seq)
    desk.push(100, 101)
    desk.push(101, 103)
    if desk.sync.state is not BookState.VALID:
        assert [event.seq for event in desk.ask(answer(102)).events] == [102, 103]
    last = desk.push(103, 104).events
    assert [(event.prev_seq, event.seq) for event in last] == [(103, 104)]


AGAIN = [(100, 105), (95, 100), (90, 91), (100, 100), (101, 103), (103, 105), (99, 104), (90, 105)]


@pytest.mark.parametrize(("prev_seq", "seq"), AGAIN)
def test_a_delta_that_is_sent_again_is_ignored(prev_seq: int, seq: int) -> None:
    """Binance sheet, section 5.1, step 6: ``u <= local`` is ignored, however often, and wherever it was cut."""
    desk = Desk()
    desk.ask(answer(100))
    desk.push(100, 105)
    assert [desk.push(prev_seq, seq) for _ in range(200)] == [NOTHING] * 200
    assert desk.push(105, 106).events == (delta(105, 106),)
    assert [desk.push(prev_seq, seq) for _ in range(200)] == [NOTHING] * 200
    assert desk.state == VALID


def test_a_counter_that_begins_anew_leaves_no_old_book_that_looks_valid() -> None:
    desk = Desk()
    desk.ask(answer(1_000))
    desk.push(1_000, 1_001)
    result = [desk.push(seq, seq + 1) for seq in range(52)]
    assert result == [NOTHING] * 50 + [GAP, NOTHING]
    assert desk.sync.state is BookState.SYNCING
    assert [event.seq for event in desk.ask(answer(52)).events] == [52]
    assert desk.push(52, 53).events == (delta(52, 53),)


@pytest.mark.parametrize(("prev_seq", "seq"), [(100, 103), (104, 103), (104, 110), (106, 107)])
def test_what_contradicts_the_last_delta_is_a_doubt(prev_seq: int, seq: int) -> None:
    desk = Desk()
    desk.ask(answer(100))
    desk.push(100, 105)
    assert desk.push(prev_seq, seq) == GAP


def test_a_channel_with_its_own_snapshots_may_reset_its_counter() -> None:
    """So there is no delta that is known to be sent again (OKX sheet, section 5, rule 3)."""
    desk = Desk(cut_at=0)
    desk.ask(answer(100))
    desk.push(100, 105)
    assert desk.push(100, 105) == GAP


# --- hollow and short answers -----------------------------------------------------------------------------------------

SIDES = {"no bids": (0, CUT), "no asks": (CUT, 0), "nothing": (0, 0)}


@pytest.mark.parametrize("cut_at", [CUT, 0])
@pytest.mark.parametrize("traded", [True, False])
@pytest.mark.parametrize(("bids", "asks"), SIDES.values(), ids=SIDES)
def test_a_one_sided_rest_book_is_requested_again_while_the_market_moves(
    bids: int, asks: int, traded: bool, cut_at: int
) -> None:
    desk = Desk(cut_at)
    if not traded:
        desk.push(100, 101, bids=[Level("90", "1")], asks=[Level("110", "1")])
    assert [desk.ask(answer(101, bids, asks), traded=traded) for _ in range(3)] == [NOTHING] * 3
    assert desk.state == (BookState.SYNCING, HOLLOW)
    found = desk.ask(answer(101), traded=traded)
    assert traded == (found == NOTHING)  # then it waits until the socket gets there
    found = desk.push(100, 101) if traded else found
    assert [event.seq for event in found.events] == [101]
    assert desk.state == VALID


@pytest.mark.parametrize(("bids", "asks"), SIDES.values(), ids=SIDES)
def test_where_nothing_moves_there_may_be_nobody(bids: int, asks: int) -> None:
    """The first order that comes before a second answer agrees shows that it may have been half an answer."""
    desk = Desk()
    desk.push(100, 101, bids=[Level("90", "0.00")], asks=[Level("110", "0")])
    assert [event.seq for event in desk.ask(answer(101, bids, asks)).events] == [101]
    bid, ask = Level("90", "1"), Level("110", "1")
    come = ([] if bids else [bid], [] if asks else [ask])
    assert desk.push(101, 102, *come).out_of_sync == "out_of_range"

    desk.ask(answer(102, bids or 1, asks or 1))
    assert desk.ask(answer(102, bids or 1, asks or 1)) == NOTHING
    assert desk.push(102, 103, *come).events != ()
    assert desk.sync.due(1_000.0) is None


def test_an_order_that_came_and_went_does_not_show_that_there_are_some() -> None:
    desk = Desk()
    desk.push(100, 101, bids=[Level("90", "1")])
    assert desk.ask(answer(101, 0, CUT)) == NOTHING
    desk.push(101, 102, bids=[Level("90", "0")])
    assert [event.seq for event in desk.ask(answer(102, 0, CUT)).events] == [102]
    assert desk.state == VALID


@pytest.mark.parametrize("cut_at", [CUT, 0])
@pytest.mark.parametrize(("bids", "asks"), [(1, CUT), (CUT, 1), (1, 1)])
def test_half_an_answer_is_replaced_by_a_whole_one(bids: int, asks: int, cut_at: int) -> None:
    desk = Desk(cut_at)
    desk.ask(answer(100, bids, asks))
    desk.push(100, 101)
    (event,) = desk.ask(answer(101)).events
    assert (event.seq, len(event.bids), len(event.asks), getattr(event, "reason", "")) == (101, CUT, CUT, "reseed")
    assert desk.sync.due(1_000.0) is None


@pytest.mark.parametrize("begun", [False, True], ids=["the first", "unasked"])
@pytest.mark.parametrize(("bids", "asks"), [(1, CUT), (CUT, 1), (1, 1), *SIDES.values()])
def test_half_a_snapshot_of_the_socket_is_replaced_by_an_answer(bids: int, asks: int, begun: bool) -> None:
    desk = Desk(cut_at=0)
    if begun:
        desk.push_snapshot(answer(99))
        assert desk.sync.due(1_000.0) is None
    desk.push_snapshot(answer(100, bids, asks))
    desk.push(100, 101, bids=[Level("100", "1")])
    (event,) = desk.ask(answer(101)).events
    assert (event.seq, len(event.bids), len(event.asks), getattr(event, "reason", "")) == (101, CUT, CUT, "reseed")
    assert desk.sync.due(1_000.0) is None
    assert desk.push(101, 102).events == (delta(101, 102),)


@pytest.mark.parametrize("traded", [True, False])
@pytest.mark.parametrize(("bids", "asks"), SIDES.values(), ids=SIDES)
def test_a_one_sided_websocket_book_is_none_while_the_market_moves(bids: int, asks: int, traded: bool) -> None:
    desk = Desk(cut_at=0)
    if not traded:
        desk.push(99, 100, bids=[Level("90", "1")], asks=[Level("110", "1")])
    assert desk.push_snapshot(answer(100, bids, asks), traded=traded) == NOTHING
    assert desk.state == (BookState.SYNCING, "the snapshot of the socket lacks bids or asks although the market moves")
    assert desk.push(100, 101) == NOTHING
    assert [event.seq for event in desk.ask(answer(100)).events] == [100, 101]
    assert desk.state == VALID


@pytest.mark.parametrize(("bids", "asks"), SIDES.values(), ids=SIDES)
def test_an_unasked_one_sided_snapshot_leaves_a_valid_book(bids: int, asks: int) -> None:
    desk = Desk(cut_at=0)
    desk.push_snapshot(answer(100))
    assert desk.push_snapshot(answer(100, bids, asks), traded=True) == NOTHING
    assert (desk.state, desk.sync.book.sizes) == (VALID, (CUT, CUT))
    assert desk.push(100, 101).events == (delta(100, 101),)


@pytest.mark.parametrize(("bids", "asks"), [(0, 0), (1, 1), (0, 1)])
def test_a_channel_of_any_number_of_levels_sends_the_whole_book(bids: int, asks: int) -> None:
    """``bbo-tbt`` and ``books5`` of OKX (sheet, section 5): one level or none is all of it."""
    sync = BookSync(lambda bids, asks: 0, 0)
    sync.subscribed(0.0, inf)
    assert len(sync.on_frame(BookFrame(answer(100, bids, asks)), traded=True).events) == 1
    assert sync.due(1_000.0) is None


def test_a_new_best_price_beyond_a_half_empty_answer_is_out_of_range() -> None:
    desk = Desk()
    desk.ask(answer(100, 1, CUT))
    assert desk.push(100, 101, bids=[Level("100", "0"), Level("40", "1")]).out_of_sync == "out_of_range"


@pytest.mark.parametrize("way", ["REST, updates only", "REST", "socket"])
def test_a_thin_book_is_asked_for_again_and_published_once(way: str) -> None:
    desk = Desk(CUT if way == "REST, updates only" else 0)
    (desk.push_snapshot if way == "socket" else desk.ask)(answer(100, 1, 1))
    desk.push(100, 101, bids=[Level("100", "5")])
    assert desk.ask(answer(103, 1, 1)) == NOTHING, "of a later moment: not to be compared"
    assert desk.ask(answer(101, 1, 1)) == NOTHING
    assert desk.sync.due(1_000.0) is None
    assert desk.push(101, 102, bids=[Level("100", "0")]).events != ()


frames = st.lists(st.tuples(st.integers(90, 130), st.integers(90, 130)) | st.just((FAR, FAR + 1)), max_size=8)


@given(frames, frames, st.integers(0, 3))
def test_whatever_comes_between_good_frames_these_are_published_again(
    before: list[tuple[int, int]], after: list[tuple[int, int]], missed: int
) -> None:
    """After any numbers two good deltas and an answer are enough; the book then holds what the good ones said."""
    desk = Desk()
    desk.ask(answer(100))
    for prev_seq, seq in before:
        desk.push(prev_seq, seq)
    for prev_seq, seq in after:
        desk.push(prev_seq, seq)
    good = [delta(200 + rank, 201 + rank, [Level("100", str(rank + 2))]) for rank in range(5)]
    for each in good[:-1]:
        desk.push(each.prev_seq or 0, each.seq or 0, each.bids)
    if desk.sync.state is not BookState.VALID:
        desk.ask(answer(204 - missed))
    assert desk.push(204, 205, good[-1].bids).events == (good[-1],)
    assert desk.sync.book.bids(1) == [Level("100", "6")]
