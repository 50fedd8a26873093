"""The interface of an exchange, and the types of its outputs. No I/O here.

It has two parts. ``ExchangeCollector`` knows one symbol at one exchange: its sockets and REST calls. An ``Adapter``
speaks the protocol of one connection: it gets frames with their receive times and returns outputs. If it needs I/O, the
output is a request, and the session performs it. A new connection gets a new adapter, so no old state survives a
reconnect.
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from msgspec import MsgspecError, Struct

from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, Level, Ticker, Trade
from tickfleet.contract.identity import DataType

UNREADABLE = (MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises on bytes that are not what it was made for: of another shape, no text, nested without end."""


class Channel(Struct, frozen=True):
    """One subscription.

    Attributes:
        interval: Of candles; empty otherwise.
        name: The exchange's own name of the channel.
        silence_limit_s: The protocol promises a frame within this time, however quiet the market; 0: no promise.
        snapshot_wait_s: For an order book: how long after the confirmation to ask REST for a snapshot, if none has come
            by itself; infinite if every frame is a snapshot.
        seed_levels: For an order book whose channel sends only changes: the book begins with a REST snapshot, cut at so
            many levels per side. Such changes also fit a book that was built from another connection. 0: the channel
            sends its own snapshots.
        full_levels: For an order book: how many levels per side a snapshot has, unless the book has fewer; a snapshot
            with far fewer may be incomplete. 0: any number of levels is the whole book.
    """

    data_type: DataType
    interval: str
    name: str
    silence_limit_s: float = 0.0
    snapshot_wait_s: float = 5.0
    seed_levels: int = 0
    full_levels: int = 0


class Feed(Struct, frozen=True):
    """One socket: its address and its subscriptions.

    Attributes:
        max_life_s: The exchange closes older connections; 0: no limit.
    """

    name: str
    url: str
    channels: tuple[Channel, ...]
    max_life_s: float = 0.0


class KeepAlive(Struct, frozen=True):
    """After ``idle_s`` without an incoming frame, send ``frame``; then some frame must arrive within ``answer_s``.

    An empty ``frame`` means a ping of the WebSocket protocol.
    """

    idle_s: float
    answer_s: float
    frame: str


class Instrument(Struct, frozen=True, kw_only=True):
    """What the exchange says about the symbol; its own texts, empty if it gives none.

    Attributes:
        native: The exchange's own spelling.
        state: The exchange's word, e.g. ``live``.
        crossed_is_legal: In this state a bid above an ask is not an error (call auction).
    """

    symbol: str
    native: str
    state: str
    tick_size: str
    lot_size: str
    min_size: str
    contract_value: str = ""
    contract_multiplier: str = ""
    contract_currency: str = ""
    contract_type: str = ""
    settle_currency: str = ""
    listed_at_ms: str = ""
    expires_at_ms: str = ""
    crossed_is_legal: bool = False


class BookFrame(Struct, frozen=True):
    """A book event that has not been judged yet, with the checksum the exchange sent, if it sent one."""

    event: BookSnapshot | BookDelta
    checksum: int | None = None


class Acknowledged(Struct, frozen=True):
    """The exchange has confirmed a subscription."""

    channel: Channel


class Refused(Struct, frozen=True):
    """The exchange has refused something.

    Attributes:
        permanent: Asking again cannot help.
        unlisted: It says that there is no such instrument; if it has sent data of it, its list of instruments decides.
    """

    reason: str
    permanent: bool
    unlisted: bool = False


class ClosingSoon(Struct, frozen=True):
    """The exchange has announced that it will close this socket."""

    reason: str


class Malformed(Struct, frozen=True):
    """A frame is not what the protocol allows; it is counted and skipped."""

    reason: str


_PART_NAME = re.compile("<([a-z_]+)>")


class TradePart(IntEnum):
    """The variable parts of a frame. The numbers are the same as in ``fastpath/trade_parser.pyx``.

    ``TRADE_ID`` is a whole number without leading zeros of at most 18 digits; ``PRICE`` and ``SIZE`` are plain decimal
    numbers without a sign; ``TIME_MS`` has thirteen digits; ``NUMBER`` is an unused whole number. ``MEMBERS`` are any
    other unused members of the object: texts or whole numbers, each with a different name.
    """

    TRADE_ID = 1
    PRICE = 2
    SIZE = 3
    SIDE = 4
    TIME_MS = 5
    NUMBER = 6
    MEMBERS = 7


class TradeShape(Struct, frozen=True):
    """The exact bytes of a frame with a single live trade.

    For a frame of this form, the adapter must return exactly one ``Trade`` with the values at these places. The adapter
    handles all other frames, valid or not. So if an exchange changes its form, only speed is lost.

    Attributes:
        beginning: The beginning of all such frames.
        pieces: What follows: variable parts, and the fixed text between them.
        buy: The word at ``SIDE`` where the taker bought.
        sell: The word where he sold.
    """

    beginning: bytes
    pieces: tuple[bytes | TradePart, ...]
    buy: bytes
    sell: bytes

    @classmethod
    def spelt(cls, text: str, *, buy: str, sell: str) -> "TradeShape":
        """A shape from a frame with ``<trade_id>``, ``<price>`` and so on at the variable parts."""
        beginning, *others = _PART_NAME.split(text)
        pieces = [TradePart[each.upper()] if place % 2 == 0 else each.encode() for place, each in enumerate(others)]
        return cls(beginning.encode(), tuple(piece for piece in pieces if piece != b""), buy.encode(), sell.encode())


Output = Trade | Ticker | Candle | BookFrame | Acknowledged | Refused | ClosingSoon | Malformed


class Adapter(Protocol):
    """One exchange's protocol on one connection."""

    keepalive: KeepAlive

    def subscribe(self) -> list[str]:
        """The frames that subscribe to all channels of the feed."""
        ...

    def resubscribe(self, channel: Channel) -> list[str]:
        """The frames that make the exchange start a channel again, with a snapshot if it has one.

        No frames if a new beginning needs only a REST snapshot.
        """
        ...

    def on_frame(self, frame: bytes, recv_ns: int) -> Sequence[Output]:
        """Read one frame. Never raises: an unreadable frame gives a ``Malformed``.

        Args:
            frame: The payload of a text or binary frame.
            recv_ns: When it was read from the socket, ns since the epoch.
        """
        ...


class ExchangeCollector(Protocol):
    """One symbol at one exchange: what to connect to, what to ask, how to read the answers. Pure."""

    def instruments_path(self) -> str:
        """REST path of the instrument list with the symbol."""
        ...

    def instrument_path(self, instrument: Instrument) -> str:
        """REST path of a short list that has this instrument as long as the exchange lists it."""
        ...

    def read_instruments(self, body: bytes) -> Instrument:
        """The symbol's instrument, from the answer of either path.

        Raises:
            UnknownSymbolError: The exchange does not list it, or it has expired.
            NotTradedError: The exchange lists it but does not trade it now.
            ExchangeUnavailableError: The answer is an error, or not a list of instruments.
        """
        ...

    def time_path(self) -> str:
        """REST path for the exchange's time."""
        ...

    def read_time_ms(self, body: bytes) -> int:
        """The exchange's time, ms since the epoch.

        Raises:
            ExchangeUnavailableError: The answer is an error.
        """
        ...

    def book_path(self, instrument: Instrument) -> str:
        """REST path of a full book snapshot."""
        ...

    def read_book(self, body: bytes, instrument: Instrument, recv_ns: int) -> BookSnapshot:
        """The snapshot in an answer; its ``reason`` is empty, because only the caller knows it.

        Raises:
            ExchangeUnavailableError: The answer is an error, or has no book of this instrument.
        """
        ...

    def trades_path(self, instrument: Instrument, first_id: int) -> str:
        """REST path of a page of trades that begins with this id."""
        ...

    def newest_trades_path(self, instrument: Instrument) -> str:
        """REST path of the newest trades, for ``read_trades``."""
        ...

    def read_trades(self, body: bytes, instrument: Instrument, recv_ns: int) -> list[Trade]:
        """The trades of a page, ascending by id, each marked as ``backfill``; rows that are not trades are left out.

        Raises:
            ExchangeUnavailableError: The answer is an error, or not a page of trades of this symbol.
        """
        ...

    @property
    def trades_page(self) -> int:
        """How many trades a full page holds."""
        ...

    def candles_path(self, instrument: Instrument, interval: str, open_ns: int, now_ns: int) -> str:
        """REST path of a page of bars that begins with the bar that opens at ``open_ns``."""
        ...

    def read_candles(self, body: bytes, interval: str, recv_ns: int) -> list[Candle]:
        """The closed bars of a page, ascending; rows that are not bars are left out.

        If only a later row shows that a bar has ended, the caller must also check the time.

        Raises:
            ExchangeUnavailableError: The answer is an error, or not a page of bars.
        """
        ...

    @property
    def candles_page(self) -> int:
        """How many bars a full page holds."""
        ...

    def rest_units(self, path: str) -> float:
        """How many units of the exchange's budget a call costs (``ExchangeProfile.rest``)."""
        ...

    def feeds(self) -> tuple[Feed, ...]:
        """The sockets that the configured data types need."""
        ...

    def adapter(self, feed: Feed, instrument: Instrument) -> Adapter:
        """A fresh protocol state for one connection."""
        ...

    def trade_shape(self, instrument: Instrument) -> TradeShape | None:
        """The form of live trades in the collected channel; None: all trades go through the adapter."""
        ...

    def book_checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """The exchange's checksum of a book, best levels first; compared only with checksums it sends."""
        ...

    @property
    def checksum_depth(self) -> int:
        """How many levels of each side the checksum covers."""
        ...
