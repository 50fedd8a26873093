"""A book whose seed was cut: what is known of it, and the new seed before the market leaves that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookResult, BookSync
from tests.support.book_exchange import Levels, applied, replayed
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import BookState

CUT = 8
"""Levels a side of a seed: with less than two of them left a new one is due."""

FETCH = BookRequest.FETCH_SNAPSHOT
LOW, HIGH = 1, 200


class Exchange:
    """A book with a level at every price, most of which rest and are never spoken of. REST shows the best ones."""

    def __init__(self) -> None:
        self.price, self.seq = 100, 100
        """The best bid, and the number of the last change."""
        start: Levels = {
            "bids": {str(price): "1" for price in range(LOW, 101)},
            "asks": {str(price): "1" for price in range(101, HIGH)},
        }
        self._levels = {100: start}

    def change(self, price: int | None = None, *resized: int) -> BookDelta:
        """The price goes somewhere, and the sizes at some distances from it change."""
        old, to = self.price, self.price if price is None else price
        bids = [Level(str(p), "0") for p in range(to + 1, old + 1)] + [
            Level(str(p), "1") for p in range(old + 1, to + 1)
        ]
        asks = [Level(str(p), "0") for p in range(old + 1, to + 1)] + [
            Level(str(p), "1") for p in range(to + 1, old + 1)
        ]
        bids += [Level(str(to - distance), str(2 + distance)) for distance in resized]
        delta = BookDelta(ts_event=1, ts_recv=2, bids=bids, asks=asks, seq=self.seq + 1, prev_seq=self.seq)
        self._levels[self.seq + 1] = applied(self._levels[self.seq], delta)
        self.price, self.seq = to, self.seq + 1
        return delta

    def best(self, seq: int, depth: int) -> Levels:
        """The best levels as of a number."""
        levels = self._levels[seq]
        bids = sorted(levels["bids"].items(), key=lambda level: -int(level[0]))
        asks = sorted(levels["asks"].items(), key=lambda level: int(level[0]))
        return {"bids": dict(bids[:depth]), "asks": dict(asks[:depth])}

    def answer(self, seq: int) -> BookSnapshot:
        """What REST says as of a number."""
        sides = {side: [Level(*level) for level in best.items()] for side, best in self.best(seq, CUT).items()}
        return BookSnapshot(ts_event=3, ts_recv=3, bids=sides["bids"], asks=sides["asks"], seq=seq, reason="")


def seeded(exchange: Exchange) -> BookSync:
    """A valid book that was seeded now."""
    sync = BookSync(lambda bids, asks: 0, 0)
    sync.on_rest_snapshot(exchange.answer(exchange.seq), CUT)
    assert state_of(sync) is BookState.VALID
    return sync


def state_of(sync: BookSync) -> BookState:
    """Its state; a call, because mypy takes an attribute to stay what an assertion said."""
    return sync.state


def levels_of(sync: BookSync, depth: int | None = None) -> Levels:
    return {
        "bids": {level.price: level.size for level in sync.book.bids(depth)},
        "asks": {level.price: level.size for level in sync.book.asks(depth)},
    }


@pytest.mark.parametrize(
    ("price", "known"),
    [(100, 8), (106, 2), (94, 2), (107, 1), (93, 1)],
    ids=["still", "up", "down", "far up", "far down"],
)
def test_a_new_seed_is_requested_below_a_quarter_of_the_depth_of_the_old(price: int, known: int) -> None:
    exchange = Exchange()
    sync = seeded(exchange)
    sync.on_frame(BookFrame(exchange.change(price)))

    assert sync.book.known_depth == known
    assert sync.due(0.0) is (FETCH if known * 4 < CUT else None)
    assert sync.state is BookState.VALID


@pytest.mark.parametrize("price", [108, 92, 150, 50])
def test_where_nothing_of_the_seed_is_left_the_best_price_is_a_doubt(price: int) -> None:
    exchange = Exchange()
    sync = seeded(exchange)

    assert sync.on_frame(BookFrame(exchange.change(price))) == BookResult(
        request=BookRequest.RESUBSCRIBE, out_of_sync="out_of_range"
    )
    sync.subscribed(0.0, 0.0)
    assert sync.due(0.0) is FETCH
    answer = exchange.answer(exchange.seq)
    assert sync.on_rest_snapshot(answer, CUT) == BookResult((replace(answer, reason="out_of_range"),))


def test_an_uncut_side_is_known_to_its_end_once_a_second_answer_agrees() -> None:
    exchange = Exchange()
    sync = BookSync(lambda bids, asks: 0, 0)
    cut_at = 4 * CUT + 1
    sync.on_rest_snapshot(exchange.answer(100), cut_at)
    assert (sync.book.known_depth, sync.due(0.0)) == (CUT, FETCH)
    assert sync.on_rest_snapshot(exchange.answer(100), cut_at) == NOTHING

    sync.on_frame(BookFrame(exchange.change(107)))
    assert (sync.book.known_depth, sync.due(1.0)) == (None, None)


class Narrow:
    """A valid book that has asked for a new seed; ``asked_at`` is the number it had then."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.sync = seeded(self.exchange)
        self.sync.on_frame(BookFrame(self.exchange.change(107)))
        self.asked_at = self.exchange.seq
        assert self.sync.due(0.0) is FETCH

    def change(self, price: int | None = None, *resized: int) -> BookResult:
        """A change of the exchange that comes by the socket."""
        return self.sync.on_frame(BookFrame(self.exchange.change(price, *resized)))

    def answer(self, seq: int) -> BookResult:
        """The answer of REST as of a number."""
        return self.sync.on_rest_snapshot(self.exchange.answer(seq), CUT)

    def whole(self, seq: int) -> BookResult:
        """The book now, in the place of the old one."""
        book = self.sync.book
        event = BookSnapshot(ts_event=3, ts_recv=3, bids=book.bids(), asks=book.asks(), seq=seq, reason="reseed")
        return BookResult((event,))


@pytest.mark.parametrize("later", [0, 1, 3])
def test_what_came_since_the_answer_goes_on_top_of_it(later: int) -> None:
    narrow = Narrow()
    followed = [narrow.change(107 - index % 2, index) for index in range(3)]
    assert [step.events for step in followed] != [()] * 3  # published as ever
    last = narrow.exchange.seq

    assert narrow.answer(narrow.asked_at + later) == narrow.whole(last)
    assert levels_of(narrow.sync, CUT - 1) == narrow.exchange.best(last, CUT - 1)
    assert narrow.sync.due(1.0) is None
    following = narrow.exchange.change(108)
    assert narrow.sync.on_frame(BookFrame(following)) == BookResult((following,))


def test_the_answer_may_be_ahead_of_the_socket() -> None:
    narrow = Narrow()
    first, second, third = narrow.exchange.change(108), narrow.exchange.change(109), narrow.exchange.change(None, 1)

    assert narrow.answer(narrow.asked_at + 2) == narrow.whole(narrow.asked_at + 2)
    assert [narrow.sync.on_frame(BookFrame(delta)) for delta in (first, second)] == [NOTHING, NOTHING]
    assert narrow.sync.on_frame(BookFrame(third)) == BookResult((third,))
    assert levels_of(narrow.sync, CUT - 1) == narrow.exchange.best(narrow.exchange.seq, CUT - 1)


def test_a_change_that_lies_across_the_answer_goes_on_from_there() -> None:
    narrow = Narrow()
    first, second = narrow.exchange.change(None, 1), narrow.exchange.change(None, 2)
    both = replace(second, prev_seq=first.prev_seq, bids=first.bids + second.bids)
    narrow.answer(narrow.asked_at + 1)

    assert narrow.sync.on_frame(BookFrame(both)) == BookResult((replace(both, prev_seq=narrow.asked_at + 1),))


USELESS = {
    "older than the question": lambda narrow: narrow.exchange.answer(narrow.asked_at - 1),
    "crossed": lambda narrow: replace(narrow.exchange.answer(narrow.exchange.seq), bids=[Level("150", "1")]),
    "no numbers": lambda narrow: replace(narrow.exchange.answer(narrow.exchange.seq), asks=[Level("x", "1")]),
    "no sequence number": lambda narrow: replace(narrow.exchange.answer(narrow.exchange.seq), seq=None),
}


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize("make", USELESS.values(), ids=USELESS)
def test_a_useless_answer_harms_nothing_and_rest_is_asked_again(make: object, quiet: bool) -> None:
    narrow = Narrow()
    if not quiet:
        narrow.change(None, 1)
    before = levels_of(narrow.sync)
    assert callable(make)

    assert narrow.sync.on_rest_snapshot(make(narrow), CUT) == NOTHING
    assert (levels_of(narrow.sync), narrow.sync.state) == (before, BookState.VALID)
    assert [narrow.sync.due(now_s) for now_s in (0.9, 1.0)] == [None, FETCH]
    assert narrow.answer(narrow.exchange.seq) == narrow.whole(narrow.exchange.seq)


def test_an_answer_that_is_not_needed_any_more_changes_nothing() -> None:
    narrow = Narrow()
    narrow.change(100)  # back in the middle of what is known
    assert narrow.sync.due(1.0) is None

    assert narrow.answer(narrow.exchange.seq) == NOTHING


def test_an_answer_to_an_earlier_request_is_not_joined_to_later_updates() -> None:
    """Between the two questions nothing was kept for it."""
    narrow = Narrow()
    first = narrow.change(None, 1)
    narrow.change(100)
    assert narrow.sync.due(1.0) is None
    narrow.change(None, 2)
    narrow.change(107)
    assert narrow.sync.due(2.0) is FETCH
    narrow.change(None, 12)

    assert narrow.answer(narrow.asked_at) == NOTHING
    assert narrow.answer(first.events[0].seq or 0) == NOTHING
    assert narrow.answer(narrow.exchange.seq) == narrow.whole(narrow.exchange.seq)


def test_an_answer_that_the_market_has_left_before_it_came_is_useless() -> None:
    narrow = Narrow()
    narrow.change(94)  # still within the old seed

    assert narrow.answer(narrow.asked_at) == NOTHING
    assert narrow.sync.state is BookState.VALID


def test_an_answer_that_arrives_out_of_sync_becomes_a_snapshot() -> None:
    narrow = Narrow()
    narrow.exchange.change(None, 1)  # lost
    assert narrow.change(None, 2).out_of_sync == "sequence_gap"
    assert narrow.change(None, 3) == NOTHING

    (snapshot,) = narrow.answer(narrow.exchange.seq).events
    assert (snapshot.seq, getattr(snapshot, "reason", "")) == (narrow.exchange.seq, "sequence_gap")


def test_a_market_that_runs_is_no_storm_of_requests() -> None:
    """Each answer is used up at once: asked ever less often, and soon again after a calm time."""
    exchange = Exchange()
    sync = seeded(exchange)

    def run_away(now_s: int, by: int) -> bool:
        """The market nearly leaves what is known; where nobody asks for a new seed, it comes back."""
        sync.on_frame(BookFrame(exchange.change(exchange.price + by)))
        if sync.due(float(now_s)) is not FETCH:
            sync.on_frame(BookFrame(exchange.change(exchange.price - by)))
            return False
        sync.on_rest_snapshot(exchange.answer(exchange.seq), CUT)
        return True

    assert [now_s for now_s in range(200) if run_away(now_s, 7)] == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert [now_s for now_s in range(304, 320) if run_away(now_s, -7)] == [304, 305, 307, 311, 319]


steps = st.lists(
    st.tuples(
        st.integers(-4, 4),  # the price moves
        st.lists(st.integers(0, 30), max_size=2),  # sizes change, also where nothing is known
        st.integers(0, 3),  # frames on their way
        st.integers(-2, 3),  # the number of an answer, against what the socket has brought
    ),
    max_size=40,
)


@given(steps)
def test_a_valid_book_is_the_exchange_s_as_far_as_it_is_known(steps: list[tuple[int, list[int], int, int]]) -> None:
    exchange = Exchange()
    sync = seeded(exchange)
    published: list[BookSnapshot | BookDelta] = [exchange.answer(exchange.seq)]
    on_the_way: list[BookDelta] = []
    seq = brought = exchange.seq
    for now_s, (move, resized, delay, ahead) in enumerate(steps):
        on_the_way.append(exchange.change(min(max(exchange.price + move, 50), 150), *resized))
        judgements = []
        while len(on_the_way) > delay:
            brought = on_the_way[0].seq or 0
            judgements.append(sync.on_frame(BookFrame(on_the_way.pop(0))))
        if any(result.request is not None for result in judgements):
            assert {result.out_of_sync for result in judgements} <= {"", "out_of_range"}
            sync.subscribed(float(now_s), 0.0)
        if sync.due(float(now_s)) is FETCH:
            old = ahead < 0 and sync.state is BookState.VALID  # out of some cache
            answer = exchange.answer(min(brought + (ahead if old else abs(ahead)), exchange.seq))
            judgements.append(sync.on_rest_snapshot(answer, CUT))
        for event in (event for result in judgements for event in result.events):
            assert isinstance(event, BookSnapshot) or event.prev_seq == published[-1].seq
            published.append(event)
            seq = event.seq or 0
        if sync.state is BookState.VALID:
            known = sync.book.known_depth
            assert known is not None
            assert known > 0
            assert levels_of(sync, known) == exchange.best(seq, known)
            assert levels_of(sync) == replayed(published)
