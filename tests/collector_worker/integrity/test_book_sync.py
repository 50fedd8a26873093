"""Generated exchanges against a plain dict of levels. The single steps of the machine: ``test_book_sync_steps``."""

from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookResult, BookSync
from tests.support.book_exchange import Change, Levels, histories, joined, replayed, snapshot, states
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

START: Levels = {"bids": {"10": "1", "9": "2"}, "asks": {"30": "1", "31": "2"}}


def new_sync() -> BookSync:
    return BookSync(lambda bids, asks: 0, 25)


def levels_of(sync: BookSync) -> Levels:
    return {
        "bids": {level.price: level.size for level in sync.book.bids()},
        "asks": {level.price: level.size for level in sync.book.asks()},
    }


def chained(seq: int, deltas: list[BookDelta]) -> list[BookDelta]:
    """As they are published behind an entry with this number: the first one takes the book from there."""
    return [replace(delta, prev_seq=seq) if index == 0 else delta for index, delta in enumerate(deltas)]


def assert_chained(published: list[BookSnapshot | BookDelta]) -> None:
    """Each delta's ``prev_seq`` is the ``seq`` of the entry before it."""
    for before, after in pairwise(published):
        assert isinstance(after, BookSnapshot) or after.prev_seq == before.seq


@st.composite
def frames_of(draw: st.DrawFn, changes: list[Change]) -> list[Change]:
    """The changes as one connection sends them: several in a frame, cut anywhere."""
    cuts = sorted({0, *draw(st.lists(st.integers(1, len(changes)), max_size=6)), len(changes)})
    return [reduce(joined, changes[start:end]) for start, end in pairwise(cuts)]


@given(histories(jumps_back=True))
def test_snapshot_and_deltas_are_the_levels_of_the_exchange(changes: list[Change]) -> None:
    sync = new_sync()
    result = [sync.on_frame(BookFrame(snapshot(START, 100)))]
    for change, expected in zip(changes, states(START, changes)[1:], strict=True):
        result.append(sync.on_frame(change.frame))
        assert levels_of(sync) == expected

    published = [BookResult((snapshot(START, 100, "subscribe"),)), *(BookResult((change.delta,)) for change in changes)]
    assert result == published
    assert sync.state is BookState.VALID


@given(histories(jumps_back=True, min_size=2), st.data())
def test_a_lost_delta_is_one_doubt_and_a_new_snapshot_heals_it(changes: list[Change], data: st.DataObject) -> None:
    real = [index for index, change in enumerate(changes) if change.prev_seq != change.seq]
    lost = data.draw(st.sampled_from(real)) if real else len(changes)
    back = data.draw(st.integers(lost + 1, len(changes))) if lost < len(changes) else len(changes)
    books = states(START, changes)
    sync = new_sync()
    sync.on_frame(BookFrame(snapshot(START, 100)))

    result = [sync.on_frame(change.frame) for change in changes[:lost] + changes[lost + 1 : back]]
    doubts = [BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap")] if back > lost + 1 else []
    silent = [NOTHING] * max(back - lost - 2, 0)
    assert result == [BookResult((change.delta,)) for change in changes[:lost]] + doubts + silent

    seq = changes[back - 1].seq if back else 100
    fresh = sync.on_frame(BookFrame(snapshot(books[back], seq)))
    assert fresh == BookResult((snapshot(books[back], seq, "sequence_gap" if doubts else "subscribe"),))
    after = [sync.on_frame(change.frame) for change in changes[back:]]
    assert after == [BookResult((change.delta,)) for change in changes[back:]]
    assert levels_of(sync) == books[-1]


@given(histories(jumps_back=False, min_size=1), st.data())
def test_a_rest_snapshot_joins_the_deltas_of_the_socket(changes: list[Change], data: st.DataObject) -> None:
    """Frames hold several changes, so the snapshot may stand in the middle of one, before, or behind what is here."""
    frames = data.draw(frames_of(changes))
    first = data.draw(st.integers(0, len(frames) - 1))  # what the socket sent before is not known
    arrived = data.draw(st.integers(first, len(frames)))
    taken = data.draw(st.integers(0, len(changes)))
    books = states(START, changes)
    seq = changes[taken - 1].seq if taken else 100
    sync = new_sync()

    waiting = [sync.on_frame(frame.frame) for frame in frames[first:arrived]]
    assert waiting == [NOTHING] * len(waiting)
    result = sync.on_rest_snapshot(snapshot(books[taken], seq))

    if arrived > first and seq < frames[first].prev_seq:
        assert result == NOTHING
        assert sync.state is BookState.SYNCING
        return
    newer = chained(seq, [frame.delta for frame in frames[first:] if frame.seq > seq])
    waited = sum(frame.seq > seq for frame in frames[first:arrived])
    seeded: tuple[BookSnapshot | BookDelta, ...] = (snapshot(books[taken], seq, "subscribe"), *newer[:waited])
    is_ahead = first < arrived and frames[arrived - 1].seq < seq
    assert result == (NOTHING if is_ahead else BookResult(seeded))
    if arrived == first and seq < frames[first].prev_seq:
        assert sync.on_frame(frames[first].frame) == BookResult(
            request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap"
        )
        return
    later = [sync.on_frame(frame.frame) for frame in frames[arrived:]]
    dropped = [NOTHING] * (len(later) - len(newer[waited:]))
    if is_ahead:  # it waits for the socket, which gets there with one of these frames
        assert [event for each in later for event in each.events] == [*seeded, *newer]
    else:
        assert later == [*dropped, *(BookResult((delta,)) for delta in newer[waited:])]
    published = [event for step in (result, *later) for event in step.events]
    assert levels_of(sync) == replayed(published) == books[-1]
    assert_chained(published)
    assert sync.state is BookState.VALID


@given(histories(jumps_back=False, min_size=1), st.data())
def test_a_connection_that_joins_goes_on_where_the_one_before_it_ended(
    changes: list[Change], data: st.DataObject
) -> None:
    """Both send the same changes, each cut at its own places; what the second one begins with may be too late."""
    old, new = data.draw(frames_of(changes)), data.draw(frames_of(changes))
    sent = data.draw(st.integers(0, len(old)))
    first = data.draw(st.integers(0, len(new) - 1))
    sync = new_sync()
    result = [sync.on_frame(BookFrame(snapshot(START, 100)))]
    result += [sync.on_frame(frame.frame) for frame in old[:sent]]
    last = old[sent - 1].seq if sent else 100

    sync.renewed(joins=True)
    assert sync.state is BookState.VALID
    result += [sync.on_frame(frame.frame) for frame in new[first:]]

    if new[first].prev_seq > last:
        assert result[sent + 1 :] == [
            BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap"),
            *([NOTHING] * (len(new) - first - 1)),
        ]
        return
    published = [event for step in result for event in step.events]
    expected = [frame.delta for frame in old[:sent]]
    expected += chained(last, [frame.delta for frame in new[first:] if frame.seq > last])
    assert published[1:] == expected
    assert_chained(published)
    assert levels_of(sync) == replayed(published) == states(START, changes)[-1]
    assert sync.state is BookState.VALID


@given(histories(jumps_back=False, min_size=1), st.data())
def test_a_new_snapshot_is_joined_only_to_frames_of_the_new_connection(
    changes: list[Change], data: st.DataObject
) -> None:
    """What the one before it had sent is forgotten: it was cut elsewhere."""
    old, new = data.draw(frames_of(changes)), data.draw(frames_of(changes))
    sync = new_sync()
    for frame in old[: data.draw(st.integers(0, len(old)))]:
        sync.on_frame(frame.frame)
    sync.renewed(joins=True)
    sync.subscribed(0.0, 0.5)
    for frame in new:
        sync.on_frame(frame.frame)
    assert sync.due(0.5) is BookRequest.FETCH_SNAPSHOT

    taken = data.draw(st.integers(0, len(changes)))
    books = states(START, changes)
    result = sync.on_rest_snapshot(snapshot(books[taken], changes[taken - 1].seq if taken else 100))
    assert result.out_of_sync == ""
    assert_chained(list(result.events))
    assert levels_of(sync) == replayed(list(result.events)) == books[-1]


@given(histories(jumps_back=True, min_size=1), st.data())
def test_a_rest_snapshot_joins_behind_and_before_a_reset_of_the_counter(
    changes: list[Change], data: st.DataObject
) -> None:
    arrived = data.draw(st.integers(1, len(changes)))
    taken = data.draw(st.integers(0, arrived))
    books = states(START, changes)
    sync = new_sync()
    for change in changes[:arrived]:
        sync.on_frame(change.frame)

    result = sync.on_rest_snapshot(snapshot(books[taken], changes[taken - 1].seq if taken else 100))
    assert result.request is None
    assert isinstance(result.events[0], BookSnapshot)
    later = [sync.on_frame(change.frame) for change in changes[arrived:]]
    assert later == [BookResult((change.delta,)) for change in changes[arrived:]]
    published = [event for step in (result, *later) for event in step.events]
    assert levels_of(sync) == replayed(published) == books[-1]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_a_rest_snapshot_around_a_reset(taken: int) -> None:
    numbers = [100, 105, 3, 7]
    changes = [Change(prev_seq, seq, (Level("10", str(seq)),), ()) for prev_seq, seq in pairwise(numbers)]
    sync = new_sync()
    for change in changes:
        sync.on_frame(change.frame)

    whole = snapshot(states(START, changes)[taken], numbers[taken])
    result = sync.on_rest_snapshot(whole)
    assert result.events[1:] == tuple(change.delta for change in changes[taken:])
    assert levels_of(sync) == states(START, changes)[-1]


def test_a_rest_snapshot_from_before_a_reset_is_found_out() -> None:
    sync = new_sync()
    sync.on_rest_snapshot(snapshot(START, 1_000))
    reset = [Change(seq, seq + 1, (), (Level("30", "9"),)) for seq in range(3, 103)]

    result = [sync.on_frame(change.frame) for change in reset]
    out_of_sync = BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap")
    assert result == [NOTHING] * 50 + [out_of_sync] + [NOTHING] * 49
    assert sync.state is BookState.SYNCING


def test_a_hole_among_the_waiting_deltas_takes_a_snapshot_from_behind_it() -> None:
    sync = new_sync()
    second, third = Change(102, 103, (), ()), Change(103, 104, (), ())
    for change in (Change(100, 101, (Level("10", "5"),), ()), second, third):
        sync.on_frame(change.frame)

    assert sync.on_rest_snapshot(snapshot(START, 100)) == NOTHING
    whole = (snapshot(START, 102, "subscribe"), second.delta, third.delta)
    assert sync.on_rest_snapshot(snapshot(START, 102)) == BookResult(whole)


ways = st.sampled_from(["delta", "delta", "snapshot", "rest", "join"])


@given(st.lists(st.tuples(st.integers(-2, 9), st.integers(-2, 9), ways), max_size=12))
def test_any_order_of_frames_leaves_what_was_published(steps: list[tuple[int, int, str]]) -> None:
    """Whatever the exchange sends: a book that says it is valid is the one that readers of the stream hold."""
    sync = new_sync()
    published: list[BookSnapshot | BookDelta] = []
    for prev_seq, seq, way in steps:
        if way == "join":
            sync.renewed(joins=True)
            continue
        whole = snapshot({"bids": {str(10 + seq): "1"}, "asks": {}}, seq)
        if way == "delta":
            result = sync.on_frame(Change(prev_seq, seq, (Level(str(10 + seq), "2"),), ()).frame)
        else:
            result = sync.on_rest_snapshot(whole) if way == "rest" else sync.on_frame(BookFrame(whole))
        published += result.events
        assert (result.request is None) == (result.out_of_sync == "")
        if sync.state is BookState.VALID:
            assert levels_of(sync) == replayed(published)
    assert_chained(published)


@pytest.mark.parametrize("frames", [0, 1, 1_999])
def test_many_deltas_may_wait(frames: int) -> None:
    sync = new_sync()
    changes = [Change(100 + index, 101 + index, (), ()) for index in range(frames)]
    for change in changes:
        sync.on_frame(change.frame)

    result = sync.on_rest_snapshot(snapshot(START, 100))
    assert result.events == (snapshot(START, 100, "subscribe"), *(change.delta for change in changes))


def test_what_waits_is_bounded_and_the_oldest_go_first() -> None:
    sync = new_sync()
    for index in range(2_001):
        sync.on_frame(Change(100 + index, 101 + index, (), ()).frame)

    assert sync.on_rest_snapshot(snapshot(START, 100)) == NOTHING
    assert len(sync.on_rest_snapshot(snapshot(START, 101)).events) == 2_001
