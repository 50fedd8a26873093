from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.book import Book, Ladder
from tests.simulator.events import Change, Level, Side

_puts = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5), st.integers(1, 9)))


@given(st.sampled_from(Side), _puts)
def test_ladder_holds_the_last_size_of_each_price_best_first(side: Side, puts: list[tuple[int, int, int]]) -> None:
    ladder = Ladder(side)
    for put in puts:
        ladder.put(*put)

    last = {price: Level(price, size, orders) for price, size, orders in puts}
    expected = [last[price] for price in sorted(last, reverse=side is Side.BID) if last[price].size]
    assert ladder.top(len(ladder)) == expected
    assert ladder.best() == (expected[0] if expected else None)
    assert [ladder.at(rank) for rank in range(len(ladder))] == expected


def test_missing_level_has_size_zero() -> None:
    assert Ladder(Side.ASK).get(7) == Level(7, 0, 0)


def test_levels_rebuild_the_book() -> None:
    changes = [Change(Side.BID, 9, 1, 1), Change(Side.BID, 8, 2, 1), Change(Side.ASK, 10, 3, 2)]
    book = Book(reversed(changes))

    assert book.levels() == changes
    assert Book(book.levels()).levels() == changes
