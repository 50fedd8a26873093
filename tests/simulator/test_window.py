from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.book import Book
from tests.simulator.events import Change, Side
from tests.simulator.window import Window

_change = st.builds(Change, st.sampled_from(Side), st.integers(1, 40), st.integers(0, 3), st.integers(1, 2))
_DEPTH = 5


def _best(book: Book) -> list[Change]:
    return [Change(side, *level) for side in Side for level in book.side(side).top(_DEPTH)]


@given(st.lists(_change, max_size=40), st.lists(st.lists(_change, max_size=12), max_size=12))
def test_differences_lead_from_each_window_to_the_next(start: list[Change], steps: list[list[Change]]) -> None:
    book = Book(start)
    window = Window(book, _DEPTH)
    follower = Book(window.shown.levels())
    for step in steps:
        book.apply(step)
        changes = window.refresh({(change.side, change.price) for change in step})

        follower.apply(changes)
        assert len({(change.side, change.price) for change in changes}) == len(changes)
        assert follower.levels() == _best(book)
        assert window.shown.levels() == _best(book)


def test_level_pushed_out_is_deleted_and_comes_back() -> None:
    book = Book(Change(Side.ASK, price, 1, 1) for price in range(10, 16))
    window = Window(book, 6)
    better = Change(Side.ASK, 9, 1, 1)

    book.apply([better])
    assert window.refresh({(Side.ASK, 9)}) == [better, Change(Side.ASK, 15, 0, 0)]
    book.apply([better._replace(size=0)])
    assert window.refresh({(Side.ASK, 9)}) == [Change(Side.ASK, 9, 0, 0), Change(Side.ASK, 15, 1, 1)]
