from hypothesis import given
from hypothesis import strategies as st

from tests.support.stream_writer import BTC_BOOK, BTC_TRADES, ETH_TRADES, trade, trade_id
from tickfleet.reading.entries import Batch, Chunk, Entry, Missed, Unreadable
from tickfleet.reading.position import Mark, Position
from tickfleet.reading.selection import StreamName

START_MARKS = {BTC_BOOK: Mark("5-0", 3), BTC_TRADES: Mark("900-0", 40)}


def chunk(name: StreamName, size: int, skipped: set[int], missed: int = 0) -> Chunk:
    """A chunk of the numbers from 1 on, some of which are no events; ``missed`` entries were trimmed before them."""
    origin = Mark("900-0", 40)
    before = Mark("900-0", 40 + missed)
    told = Missed(ts_event=1, ts_recv=1, count=missed, after_id="900-0", before_id="1000-1", reason="trimmed")
    entries = [Entry(name, trade_id(n), trade(n)) for n in range(1, size + 1) if n not in skipped]
    after = Mark(trade_id(size), before.added + size) if size and before.added is not None else before
    return Chunk(
        name,
        [trade_id(n) for n in range(1, size + 1)],
        [*([Entry(name, "900-0", told)] if missed else []), *entries],
        origin,
        before,
        after,
    )


CHUNKS = st.builds(chunk, st.just(BTC_TRADES), st.integers(0, 6), st.sets(st.integers(1, 6)), st.integers(0, 2))
OTHERS = st.builds(chunk, st.just(ETH_TRADES), st.integers(0, 6), st.sets(st.integers(1, 6)), st.integers(0, 2))


@given(CHUNKS, OTHERS, st.data())
def test_a_position_inside_a_batch_divides_returned_entries_from_the_rest(
    first: Chunk, second: Chunk, data: st.DataObject
) -> None:
    batch = Batch([first, second], START_MARKS)
    handed = data.draw(st.integers(0, len(batch.entries)))
    position = batch.position_behind(handed)
    assert position.marks[BTC_BOOK] == START_MARKS[BTC_BOOK]
    for each in (first, second):
        mine = [entry for entry in batch.entries[:handed] if entry.stream == each.name]
        events = [entry.id for entry in mine if not isinstance(entry.event, Missed)]
        mark = position.marks[each.name]
        if not each.entries:
            assert mark in (each.origin, each.after)
        elif len(mine) == len(each.entries):
            assert mark == each.after
        elif not mine:
            assert mark == each.origin
        elif not events:
            assert mark == each.before
        else:
            assert mark == Mark(events[-1], (each.before.added or 0) + each.ids.index(events[-1]) + 1)


@given(CHUNKS, OTHERS, st.data())
def test_the_rest_of_a_batch_goes_on_where_it_was_left(first: Chunk, second: Chunk, data: st.DataObject) -> None:
    batch = Batch([first, second], START_MARKS)
    handed = data.draw(st.integers(0, len(batch.entries)))
    rest = batch.rest(handed)
    assert rest.entries == batch.entries[handed:]
    for more in range(len(rest.entries) + 1):
        assert rest.position_behind(more) == batch.position_behind(handed + more)


def test_an_empty_batch_knows_where_the_reader_stands() -> None:
    assert Batch((), START_MARKS).position == Position(START_MARKS)


@given(st.integers(0, 6), st.sets(st.integers(1, 6)), st.integers(0, 2))
def test_a_whole_chunk_has_a_row_for_each_entry_of_the_stream(size: int, skipped: set[int], missed: int) -> None:
    part = chunk(BTC_TRADES, size, skipped, missed)
    rows = part.whole()
    told = rows[: bool(missed)]
    assert told == [*part.entries][: bool(missed)]
    assert [row.id for row in rows[len(told) :]] == part.ids
    unreadable = [int(row.id.partition("-")[2]) for row in rows if isinstance(row.event, Unreadable)]
    assert unreadable == sorted(number for number in skipped if number <= size)
