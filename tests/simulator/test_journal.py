from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.book import Book
from tests.simulator.events import BookChange, Change, Side
from tests.simulator.journal import Journal

_change = st.builds(Change, st.sampled_from(Side), st.integers(1, 20), st.integers(0, 3), st.integers(1, 2))


@given(st.lists(st.lists(_change, max_size=4), max_size=20))
def test_every_state_can_be_asked(steps: list[list[Change]]) -> None:
    book = Book([Change(Side.BID, 3, 1, 1)])
    journal = Journal(book, 10, 0, 1_000)
    states = {10: book.levels()}
    for number, step in enumerate(steps, 1):
        seq = 10 + 3 * number
        book.apply(step)
        journal.append(BookChange("X", number, seq, tuple(step)))
        states[seq] = book.levels()
        states[seq + 1] = book.levels()  # a number that was skipped means the state before it

    for seq, levels in states.items():
        found = journal.book_at(seq)
        assert found is not None
        assert found.levels() == levels
    assert journal.book_at(9) is None


def test_old_states_are_forgotten() -> None:
    book = Book()
    journal = Journal(book, 0, 0, history_ms=1_000)
    for seq in range(1, 5_001):
        change = Change(Side.ASK, 7, seq, 1)
        book.apply([change])
        journal.append(BookChange("X", seq, seq, (change,)))

    assert journal.book_at(1_000) is None
    kept = journal.book_at(4_000)
    assert kept is not None
    assert kept.levels() == [Change(Side.ASK, 7, 4_000, 1)]
