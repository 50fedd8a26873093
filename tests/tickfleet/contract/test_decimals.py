import re

import pytest

from tickfleet.contract.decimals import AMOUNT, PRICE, is_amount, is_price

AMOUNTS = ["0", "0.00000000", "42219.9", "007", "1" * 40]
NEGATIVE = ["-1.5", "-0", "-" + "1" * 39]
NONE = [".", "..", "-", "-.", "5.", ".5", "-.5", "--5", "1.2.3", "1e5", "+1", " 1", "1\n", "1_0", "\u0661", "nan"]
NONE += ["", "inf", "1" * 41, "-" + "1" * 40]


@pytest.mark.parametrize("text", AMOUNTS + NEGATIVE + NONE)
def test_the_grammar_is_the_same_for_texts_and_for_wire_structs(text: str) -> None:
    assert is_amount(text) is (re.search(AMOUNT, text) is not None) is (text in AMOUNTS)
    assert is_price(text) is (re.search(PRICE, text) is not None) is (text in AMOUNTS + NEGATIVE)
