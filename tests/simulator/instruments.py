"""What can be traded, and exact numbers: prices in ticks, sizes in lots, decimal text only at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_INVERSE_BASE_PLACES = 8
"""Digits kept where the coin amount of an inverse contract needs a division."""


class Settlement(StrEnum):
    """How a size turns into coin and money."""

    SPOT = "spot"  # size is an amount of the base coin
    LINEAR = "linear"  # size is contracts, each worth a fixed amount of the base coin
    INVERSE = "inverse"  # size is contracts, each worth a fixed amount of the quote currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One market; all sizes and prices elsewhere are whole numbers of its units.

    Attributes:
        name: The exchange's own id.
        settlement: Meaning of a size.
        base: Coin that is priced.
        quote: Currency of the price.
        price_places: One tick is 10 ** -price_places of the quote currency.
        size_places: One lot is 10 ** -size_places (base coin or contracts).
        min_size: Smallest order, in lots.
        start_price: First fair price, in ticks.
        depth: Levels per side the generated book tries to hold.
        contract_value: Worth of one contract in units of 10 ** -contract_places; 1 for SPOT.
        contract_places: Digits of contract_value.
        text_places: Digits that every text has behind the point, at least all that are needed; None: no zeros at
            the end.
    """

    name: str
    settlement: Settlement
    base: str
    quote: str
    price_places: int
    size_places: int
    min_size: int
    start_price: int
    depth: int
    contract_value: int = 1
    contract_places: int = 0
    text_places: int | None = None

    @property
    def base_places(self) -> int:
        """Digits of a base amount as `amounts` returns it."""
        if self.settlement is Settlement.INVERSE:
            return _INVERSE_BASE_PLACES
        return self.size_places + self.contract_places

    @property
    def quote_places(self) -> int:
        """Digits of a quote amount as `amounts` returns it."""
        places = self.size_places + self.contract_places
        return places if self.settlement is Settlement.INVERSE else places + self.price_places

    def amounts(self, price: int, size: int) -> tuple[int, int]:
        """Worth of one fill as (base, quote), in units of `base_places` and `quote_places`.

        Exact, except the base of an inverse contract, which is cut to 8 digits.
        """
        worth = size * self.contract_value
        if self.settlement is Settlement.INVERSE:
            scale = 10 ** (self.base_places + self.price_places - self.quote_places)
            return worth * scale // price, worth
        return worth, worth * price

    def price_text(self, price: int) -> str:
        """A price in ticks as wire text."""
        return self._text(price, self.price_places)

    def size_text(self, size: int) -> str:
        """A size in lots as wire text."""
        return self._text(size, self.size_places)

    def base_text(self, base: int) -> str:
        """A base amount, as `amounts` returns it, as wire text."""
        return self._text(base, self.base_places)

    def quote_text(self, quote: int) -> str:
        """A quote amount, as `amounts` returns it, as wire text."""
        return self._text(quote, self.quote_places)

    def _text(self, units: int, places: int) -> str:
        if self.text_places is None:
            return decimal_text(units, places)
        return fixed_text(units, places, self.text_places)


def decimal_text(units: int, places: int) -> str:
    """Exact decimal text of ``units * 10 ** -places``, without trailing zeros or exponent.

    Args:
        units: Whole number >= 0.
        places: Digits behind the point, >= 0.
    """
    if places == 0:
        return str(units)
    digits = str(units)
    if len(digits) <= places:
        digits = digits.rjust(places + 1, "0")
    fraction = digits[-places:].rstrip("0")
    return f"{digits[:-places]}.{fraction}" if fraction else digits[:-places]


def fixed_text(units: int, places: int, digits: int) -> str:
    """Exact decimal text of ``units * 10 ** -places`` with a fixed number of digits behind the point.

    Args:
        units: Any whole number.
        places: Digits behind the point, >= 0.
        digits: Digits to write, >= places and > 0.
    """
    whole, fraction = divmod(abs(units) * 10 ** (digits - places), 10**digits)
    return f"{'-' if units < 0 else ''}{whole}.{fraction:0{digits}d}"
