"""Who publishes what: collector ids, data types, and the spelling of symbols.

A symbol is spelt the same for every exchange: ``BASE-QUOTE`` (spot), ``BASE-QUOTE-PERP`` (perpetual swap) or
``BASE-QUOTE-YYMMDD`` (future, its expiry in UTC). The exchange's own spelling is found in its instrument list.
"""

import re
from enum import Enum

from msgspec import Struct

from common.errors import InvalidConfigurationError

SYMBOL_PATTERN = r"^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}(-PERP|-[0-9]{6})?$"
_SYMBOL = re.compile(SYMBOL_PATTERN)
_EXCHANGE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")


class DataType(Enum):
    """A kind of market data; each has a stream of its own (candles one per interval)."""

    TRADE = "trade"
    ORDERBOOK = "orderbook"
    TICKER = "ticker"
    CANDLES = "candles"


class ProductKind(Enum):
    """What a symbol names, read off its shape."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"


class Symbol(Struct, frozen=True):
    """A symbol taken apart. ``expiry`` is YYMMDD for a future, else empty."""

    base: str
    quote: str
    kind: ProductKind
    expiry: str = ""

    @classmethod
    def parse(cls, text: str) -> "Symbol":
        """Read ``BTC-USDT``, ``BTC-USDT-PERP`` or ``BTC-USDT-270326``.

        Raises:
            InvalidConfigurationError: The text has none of these shapes.
        """
        if not _SYMBOL.fullmatch(text):
            raise InvalidConfigurationError(
                f"symbol {text!r} is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals"
            )
        base, quote, *rest = text.split("-")
        if not rest:
            return cls(base, quote, ProductKind.SPOT)
        if rest[0] == "PERP":
            return cls(base, quote, ProductKind.PERPETUAL)
        return cls(base, quote, ProductKind.FUTURE, rest[0])


class CollectorId(Struct, frozen=True, order=True):
    """Exchange and symbol of one collector; written ``okx:BTC-USDT``."""

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @property
    def program(self) -> str:
        """The collector's program name under supervisord, e.g. ``collector-okx-BTC-USDT``."""
        return f"{PROGRAM_PREFIX}{self.exchange}-{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> "CollectorId":
        """Read ``exchange:SYMBOL``.

        Raises:
            InvalidConfigurationError: No colon, or one of the parts is misspelt.
        """
        exchange, colon, symbol = text.partition(":")
        if not colon or not _EXCHANGE.fullmatch(exchange):
            raise InvalidConfigurationError(f"collector id {text!r} is not spelt exchange:SYMBOL")
        Symbol.parse(symbol)
        return cls(exchange, symbol)


PROGRAM_PREFIX = "collector-"
