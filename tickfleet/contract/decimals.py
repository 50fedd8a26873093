"""Decimal numbers in the form of exchanges and streams, e.g. ``42219.9``: one grammar for all readers.

Digits, optionally a point and more digits. Other forms that ``float`` and ``Decimal`` accept are malformed (``1_0``,
spaces, ``NaN``, exponents, digits of other scripts). So is a bare point: a text without a digit is not 0.
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
    """Whether a text is a number of at least 0: a size, a volume, or a price that cannot be negative."""
    return (
        text.isascii()
        and text.replace(".", "", 1).isdecimal()
        and text[0] != "."
        and text[-1] != "."
        and len(text) <= MOST_CHARACTERS
    )


def is_price(text: str) -> bool:
    """Whether a text is a number; it may be negative."""
    return is_amount(text) or (text[:1] == "-" and len(text) <= MOST_CHARACTERS and is_amount(text[1:]))
