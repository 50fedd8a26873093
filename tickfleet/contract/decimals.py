"""Decimal numbers as exchanges write them and streams carry them, such as ``42219.9``: the one grammar of all readers.

Digits, and digits behind a point where there is one. Not what ``float`` and ``Decimal`` would also read (``1_0``,
spaces, ``NaN``, exponents, digits of other scripts), and no bare point: a text without a digit is malformed, not 0.
"""

MOST_CHARACTERS = 40
"""More than any price, size or volume has."""

AMOUNT = rf"^(?=.{{1,{MOST_CHARACTERS}}}\Z)[0-9]+(\.[0-9]+)?\Z"
"""The same for a wire struct: a size or volume."""

PRICE = rf"^(?=.{{1,{MOST_CHARACTERS}}}\Z)-?[0-9]+(\.[0-9]+)?\Z"
"""And a price."""

USUAL_AMOUNT = r"[0-9]{1,18}+\.?+[0-9]{0,20}+(?<=[0-9])"
"""Nearly every amount and nothing else: a part of a pattern that looks at many numbers in one go, at a third of the
cost. What it does not match has to be looked at one by one. Inside it nothing is tried twice."""

USUAL_PRICE = f"-?+{USUAL_AMOUNT}"
"""Likewise a price."""


def is_amount(text: str) -> bool:
    """Whether a text is a number of at least 0: a size, a volume, a price of what cannot be worth less than nothing."""
    return (
        text.isascii()
        and text.replace(".", "", 1).isdecimal()
        and text[0] != "."
        and text[-1] != "."
        and len(text) <= MOST_CHARACTERS
    )


def is_price(text: str) -> bool:
    """Whether a text is a number, perhaps below 0."""
    return is_amount(text) or (text[:1] == "-" and len(text) <= MOST_CHARACTERS and is_amount(text[1:]))
