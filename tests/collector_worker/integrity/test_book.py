from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.integrity.book import Book, BookLevelError
from tickfleet.contract.events import Level

prices = st.sampled_from(["1", "1.0", "1.00", "2", "2.5", "2.50", "3", "10", "10.0", "0.00000001", "64073.1"])
sizes = st.sampled_from(["0", "0.0", "0.00", "1", "1.0", "12.34567891", "7"])
sides = st.lists(st.builds(Level, prices, sizes), max_size=6)
depths = st.none() | st.integers(0, 5)


class Model:
    """One side as the description has it: a level per price, size 0 removes it, the texts as they came."""

    def __init__(self) -> None:
        self._levels: dict[Decimal, Level] = {}

    def apply(self, levels: list[Level]) -> None:
        for level in levels:
            self._levels[Decimal(level.price)] = level
            if Decimal(level.size) == 0:
                del self._levels[Decimal(level.price)]

    def best(self, depth: int | None, *, highest_first: bool) -> list[Level]:
        ordered = [level for _, level in sorted(self._levels.items(), reverse=highest_first)]
        return ordered if depth is None else ordered[:depth]


@given(sides, sides, st.lists(st.tuples(sides, sides)), depths)
def test_a_book_is_its_levels_in_order(
    bids: list[Level], asks: list[Level], changes: list[tuple[list[Level], list[Level]]], depth: int | None
) -> None:
    book, model_bids, model_asks = Book(), Model(), Model()
    book.apply([Level("5", "1")], [Level("6", "1")])
    book.replace(bids, asks)  # what was there before is forgotten
    for new_bids, new_asks in [(bids, asks), *changes]:
        book.apply(new_bids, new_asks)
        model_bids.apply(new_bids)
        model_asks.apply(new_asks)

    expected_bids = model_bids.best(depth, highest_first=True)
    expected_asks = model_asks.best(depth, highest_first=False)
    assert (book.bids(depth), book.asks(depth)) == (expected_bids, expected_asks)


@pytest.mark.parametrize(
    ("bids", "asks", "crossed"),
    [
        ([], [], False),
        ([Level("1", "1")], [], False),
        ([], [Level("1", "1")], False),
        ([Level("1", "1")], [Level("2", "1")], False),
        ([Level("1", "1"), Level("2", "1")], [Level("2.0", "1")], True),
        ([Level("3", "1")], [Level("2", "1"), Level("4", "1")], True),
    ],
    ids=["empty", "bids alone", "asks alone", "apart", "locked", "crossed"],
)
def test_a_crossed_book(bids: list[Level], asks: list[Level], crossed: bool) -> None:
    book = Book()
    book.replace(bids, asks)

    assert book.crossed is crossed


def test_a_confirmed_short_side_is_known_to_its_full_depth() -> None:
    book = Book()
    book.replace([Level("10", "1"), Level("9", "1")], [Level("20", "1")], 2)
    assert book.known_depth == 1
    book.believe()
    assert book.known_depth == 2
    book.replace([Level("10", "1")], [Level("20", "1")], 2)
    book.believe()
    assert book.known_depth is None


def test_a_side_that_was_empty_at_first_has_no_known_depth_after_an_update() -> None:
    book = Book()
    book.replace([], [Level("20", "1")], 2)
    assert book.known_depth == 1
    book.apply([Level("9", "1")], [])
    assert book.known_depth == 0
    book.replace([Level("9", "1")], [], 2)
    book.apply([], [Level("20", "1")])
    assert book.known_depth == 0


KNOWN = {
    "not cut": (0, [], None),
    "fewer than it was cut at": (4, [], 3),
    "fewer, and a bid is gone": (4, [("bids", "10", "0")], 2),
    "as many": (3, [], 3),
    "a bid within": (3, [("bids", "9.5", "1")], 3),
    "a better bid": (3, [("bids", "11", "1")], 3),
    "a bid is gone": (3, [("bids", "10", "0")], 2),
    "a bid beyond": (3, [("bids", "10", "0"), ("bids", "7", "1")], 2),
    "an ask is gone": (3, [("asks", "22", "0")], 2),
    "an ask beyond": (3, [("asks", "22", "0"), ("asks", "23", "1")], 2),
    "all asks are gone": (3, [("asks", price, "0") for price in ("20", "21", "22")], 0),
}


@pytest.mark.parametrize(("cut_at", "changes", "depth"), KNOWN.values(), ids=KNOWN)
def test_what_is_known_of_a_book_that_was_cut(
    cut_at: int, changes: list[tuple[str, str, str]], depth: int | None
) -> None:
    book = Book()
    bids, asks = ([Level(price, "1") for price in prices] for prices in (("10", "9", "8"), ("20", "21", "22")))
    book.replace(bids, asks, cut_at)
    for side, price, size in changes:
        book.apply([Level(price, size)] if side == "bids" else [], [Level(price, size)] if side == "asks" else [])

    assert book.known_depth == depth
    book.replace(bids, asks)
    assert book.known_depth is None


BAD = ["", " ", ".", "-", "-1", "-0", "+1", "nan", "inf", "-inf", "1e5", "1_0", " 1", "1\n", "1,5", "1.2.3", "0x1",
       "\uff11", "\u00b2", "9" * 400, "null"]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=[ascii(text)[:20] for text in BAD])
@pytest.mark.parametrize("place", ["price", "size"])
def test_a_level_that_is_no_number_is_refused(text: str, place: str) -> None:
    level = Level(text, "1") if place == "price" else Level("1", text)

    with pytest.raises(BookLevelError):
        Book().apply([level], [])
    with pytest.raises(BookLevelError):
        Book().replace([], [level])


@given(st.text(), st.text())
def test_any_level_is_taken_or_refused(price: str, size: str) -> None:
    book = Book()
    try:
        book.apply([Level(price, size)], [])
    except BookLevelError:
        return
    assert book.bids() == ([Level(price, size)] if Decimal(size) else [])


def test_a_bad_level_does_not_outlive_the_next_whole_book() -> None:
    book = Book()
    with pytest.raises(BookLevelError):
        book.replace([Level("1", "1"), Level("x", "1")], [])
    book.replace([Level("2", "2")], [])

    assert (book.bids(), book.asks()) == ([Level("2", "2")], [])
