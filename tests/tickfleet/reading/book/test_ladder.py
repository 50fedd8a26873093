from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickfleet.contract.events import Level
from tickfleet.reading.book.ladder import BadLevelError, Ladder, decimal_of

PRICES = st.sampled_from(["1", "1.0", "1.00", "2", "10", "9.99999999999999999998", "9.99999999999999999999", "0.5"])
LEVELS = st.lists(st.builds(Level, PRICES, st.sampled_from(["0", "0.000", "1", "2.50"])), max_size=12)


@given(LEVELS, LEVELS, st.booleans(), st.integers(0, 8))
def test_it_is_what_a_sorted_dictionary_is(
    first: list[Level], then: list[Level], highest_first: bool, depth: int
) -> None:
    ladder = Ladder(first, highest_first=highest_first)
    ladder.apply(then)
    known: dict[Decimal, Level] = {}
    for level in first + then:
        known[Decimal(level.price)] = level
    there = {price: level for price, level in known.items() if Decimal(level.size)}
    expected = [there[price] for price in sorted(there, reverse=highest_first)]
    assert (ladder.top(), ladder.top(depth), len(ladder)) == (expected, expected[:depth], len(expected))
    assert ladder.best == (expected[0] if expected else None)


@pytest.mark.parametrize("text", ["", ".", "-1", "+1", "1e5", "NaN", "Infinity", "1_0", " 1", "1.0.0", "\uff11"])
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    for level in (Level(text, "1"), Level("1", text)):
        with pytest.raises(BadLevelError):
            Ladder([level], highest_first=True)


def test_a_number_keeps_all_its_digits() -> None:
    assert decimal_of("0.12345678901234567890") == Decimal("0.12345678901234567890")
