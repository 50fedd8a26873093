from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.instruments import Instrument, Settlement, decimal_text, fixed_text


@pytest.mark.parametrize(
    ("units", "places", "text"),
    [
        (0, 0, "0"),
        (0, 8, "0"),
        (640_731, 1, "64073.1"),
        (640_730, 1, "64073"),
        (1, 8, "0.00000001"),
        (16_000, 5, "0.16"),
        (120, 0, "120"),
        (100, 2, "1"),
    ],
)
def test_text_has_no_trailing_zeros_and_no_exponent(units: int, places: int, text: str) -> None:
    assert decimal_text(units, places) == text


@given(st.integers(0, 10**30), st.integers(0, 18))
def test_text_is_exact(units: int, places: int) -> None:
    assert Fraction(decimal_text(units, places)) == Fraction(units, 10**places)


@given(st.integers(-(10**20), 10**20), st.integers(0, 8), st.integers(8, 18))
def test_fixed_text_is_exact_and_has_its_digits(units: int, places: int, digits: int) -> None:
    text = fixed_text(units, places, digits)

    assert Fraction(text) == Fraction(units, 10**places)
    assert len(text.partition(".")[2]) == digits


@pytest.mark.parametrize(
    ("units", "places", "text"), [(0, 0, "0.00000000"), (-13_140, 2, "-131.40000000"), (7_856_401, 2, "78564.01000000")]
)
def test_fixed_text(units: int, places: int, text: str) -> None:
    assert fixed_text(units, places, 8) == text


def _instrument(settlement: Settlement, value: int, places: int, size_places: int) -> Instrument:
    return Instrument(
        name="X",
        settlement=settlement,
        base="B",
        quote="Q",
        price_places=1,
        size_places=size_places,
        min_size=1,
        start_price=600_000,
        depth=10,
        contract_value=value,
        contract_places=places,
    )


@pytest.mark.parametrize(
    ("instrument", "size", "base", "quote"),
    [
        (_instrument(Settlement.SPOT, 1, 0, 8), 50_000_000, "0.5", "30000"),
        (_instrument(Settlement.LINEAR, 1, 2, 2), 250, "0.025", "1500"),  # 2.5 contracts of 0.01
        (_instrument(Settlement.INVERSE, 100, 0, 0), 7, "0.01166666", "700"),  # 7 contracts of 100, cut to 8 digits
    ],
)
def test_amounts_at_a_price_of_60000(instrument: Instrument, size: int, base: str, quote: str) -> None:
    amounts = instrument.amounts(600_000, size)

    assert (
        decimal_text(amounts[0], instrument.base_places),
        decimal_text(amounts[1], instrument.quote_places),
    ) == (base, quote)


def test_texts_of_an_instrument_follow_its_rule() -> None:
    plain = _instrument(Settlement.SPOT, 1, 0, 4)
    padded = replace(plain, text_places=8)
    kinds = ("price_text", "size_text", "base_text", "quote_text")

    assert [getattr(plain, kind)(120_000) for kind in kinds] == ["12000", "12", "12", "1.2"]
    assert [getattr(padded, kind)(120_000) for kind in kinds] == [
        "12000.00000000",
        "12.00000000",
        "12.00000000",
        "1.20000000",
    ]
