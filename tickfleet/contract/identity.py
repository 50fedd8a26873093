"""Who publishes what: collector ids, data types, and the spelling of symbols.

A symbol is spelt the same for every exchange: ``BASE-QUOTE`` (spot), ``BASE-QUOTE-PERP`` (perpetual swap) or
``BASE-QUOTE-YYMMDD`` (future, its expiry in UTC). Base and quote are the exchange's own asset names, in any script.
Only the exchange's instrument list tells what can be collected, and how the exchange itself spells the symbol. Two ids
may differ only in upper and lower case (``kPEPE``, ``KPEPE``), and so may the files and programs named after them.
"""

import re
from datetime import date
from enum import Enum

from msgspec import Struct

from tickfleet.contract.exchanges import ANY_ASSET, AssetGrammar, assets_of
from tickfleet.errors import InvalidConfigurationError

MAX_FILE_NAME_BYTES = 120
"""Of a symbol in the name of a file, which may have 255 with all that is around it."""

_SHAPE = re.compile(r"(?P<base>[^-]+)-(?P<quote>[^-]+)(-(?P<tail>[^-]+))?")
_EXPIRY = re.compile(r"[0-9]{6}")
_PERPETUAL = "PERP"
_PERPETUAL_ELSEWHERE = ("SWAP", "PERPETUAL")
_EXCHANGE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")


class DataType(Enum):
    """A kind of market data; each has a stream of its own (candles one per interval)."""

    TRADE = "trade"
    ORDERBOOK = "orderbook"
    TICKER = "ticker"
    CANDLES = "candles"


class ProductKind(Enum):
    """The kind of product, given by the form of the symbol."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"


class Symbol(Struct, frozen=True):
    """The parts of a symbol. ``expiry`` is YYMMDD for a future, else empty."""

    base: str
    quote: str
    kind: ProductKind
    expiry: str = ""

    @classmethod
    def parse(cls, text: str, assets: AssetGrammar = ANY_ASSET) -> "Symbol":
        """Read ``BTC-USDT``, ``BTC-USDT-PERP`` or ``BTC-USDT-270326``, with assets as its exchange spells them.

        Raises:
            InvalidConfigurationError: The text has none of these forms, or the expiry is not a date.
        """
        shape = _SHAPE.fullmatch(text)
        if shape is None or not (
            assets.admits(shape["base"]) and assets.admits(shape["quote"]) and not _is_tail(shape["quote"])
        ):
            raise InvalidConfigurationError(_misspelt(text, assets))
        base, quote, tail = shape["base"], shape["quote"], shape["tail"]
        if tail is not None and not _is_tail(tail):
            hint = f"; a perpetual swap is spelt {base}-{quote}-PERP" if tail in _PERPETUAL_ELSEWHERE else ""
            raise InvalidConfigurationError(_misspelt(text, assets) + hint)
        if len(_safe(text)) > MAX_FILE_NAME_BYTES:
            raise InvalidConfigurationError(f"symbol {text!r} is too long for the names of its files")
        if tail is None:
            return cls(base, quote, ProductKind.SPOT)
        if tail == _PERPETUAL:
            return cls(base, quote, ProductKind.PERPETUAL)
        if not _is_date(tail):
            raise InvalidConfigurationError(f"symbol {text!r}: its expiry {tail} is not a date (YYMMDD)")
        return cls(base, quote, ProductKind.FUTURE, tail)


def _misspelt(text: str, assets: AssetGrammar) -> str:
    meant = _respelt(text, assets)
    hint = f"; did you mean {meant!r}?" if meant else ""
    how = " in capitals" if assets.capitals else ""
    return f"symbol {text!r} is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD{how}{hint}"


def _respelt(text: str, assets: AssetGrammar) -> str:
    """The symbol that a foreign spelling means (``btc/usdt``, ``BTC_USDT``, ``BTCUSDT``); else empty.

    If an exchange lists lower-case letters, ``kPEPE`` does not count as ``KPEPE``, which may be another asset.
    """
    spelt = text.strip()
    spelt = spelt.upper() if assets.capitals else _TAIL.sub(lambda found: found[0].upper(), spelt)
    spelt = spelt if "-" in text else _OTHER_SIGNS.sub("-", spelt)
    spelt = _GLUED.sub(r"\1-\2", spelt)
    try:
        return spelt if spelt != text and Symbol.parse(spelt, assets) else ""
    except InvalidConfigurationError:
        return ""


_TAIL = re.compile("[-/_:]perp$", re.IGNORECASE)
_OTHER_SIGNS = re.compile("[/_:]")
_GLUED = re.compile("^([A-Z0-9]{2,})(USDT|USDC|FDUSD|USD|EUR)$")
"""What no exchange quotes in is not taken for a quote: where to cut would be a guess."""


def _is_tail(text: str) -> bool:
    """Whether a part is one that follows the quote. No quote may look like one: program names are read from the end."""
    return text == _PERPETUAL or _EXPIRY.fullmatch(text) is not None


def _is_date(expiry: str) -> bool:
    year, month, day = (int(expiry[at : at + 2]) for at in (0, 2, 4))
    try:
        date(2000 + year, month, day)
    except ValueError:
        return False
    return True


_UNSAFE = re.compile(r"[^A-Za-tw-z0-9_-]")
_ESCAPED = re.compile(r"u[0-9a-f]{4}|v[0-9a-f]{6}")


def _safe(symbol: str) -> str:
    """A symbol in characters that are safe in every file system, terminal and supervisord file.

    ``u`` and four digits, or ``v`` and six, stand for every other character, the letters ``u`` and ``v`` among them.
    """
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), symbol)


def _escape(code: int) -> str:
    return f"u{code:04x}" if code < 0x1_0000 else f"v{code:06x}"


def _from_safe(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[0][1:], 16)), text)


class CollectorId(Struct, frozen=True, order=True):
    """Exchange and symbol of one collector; written ``okx:BTC-USDT``."""

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @property
    def program(self) -> str:
        """The collector's program name under supervisord, e.g. ``collector-okx-BTC-USDT``; see ``of_program``."""
        return f"{PROGRAM_PREFIX}{self.exchange}-{self.file_name}"

    @property
    def file_name(self) -> str:
        """The symbol in file names, with other scripts as code points; see ``of_file_name``."""
        return _safe(self.symbol)

    @classmethod
    def parse(cls, text: str) -> "CollectorId":
        """Read ``exchange:SYMBOL``.

        Raises:
            InvalidConfigurationError: There is no colon, or a part is not spelt as the exchange spells it.
        """
        exchange, colon, symbol = text.partition(":")
        if not colon or not _EXCHANGE.fullmatch(exchange):
            raise InvalidConfigurationError(f"collector id {text!r} is not spelt exchange:SYMBOL")
        Symbol.parse(symbol, assets_of(exchange))
        return cls(exchange, symbol)

    @classmethod
    def of_file_name(cls, exchange: str, file_name: str) -> "CollectorId":
        """The collector with this ``file_name``.

        Raises:
            InvalidConfigurationError: No symbol has this file name.
        """
        try:
            found = cls.parse(f"{exchange}:{_from_safe(file_name)}")
        except ValueError as error:  # a code point beyond the last
            raise InvalidConfigurationError(f"{file_name!r} names no symbol") from error
        if found.file_name != file_name:
            raise InvalidConfigurationError(f"{file_name!r} names no symbol")
        return found

    @classmethod
    def of_program(cls, program: str) -> "CollectorId":
        """The collector with this ``program``.

        Raises:
            InvalidConfigurationError: No collector has this program name.
        """
        if not program.startswith(PROGRAM_PREFIX):
            raise InvalidConfigurationError(f"{program!r} is no collector's program")
        parts = program.removeprefix(PROGRAM_PREFIX).split("-")
        border = -3 if _is_tail(parts[-1]) else -2
        return cls.of_file_name("-".join(parts[:border]), "-".join(parts[border:]))


PROGRAM_PREFIX = "collector-"
