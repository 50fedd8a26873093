"""What an exchange must answer, and the words in which it answers. Nothing here does any I/O.

Two parts. ``ExchangeCollector`` knows one symbol at one exchange: which sockets and REST calls there are. An
``Adapter`` speaks the protocol of one connection: it gets frames and a receive time and returns outputs; when it
needs the outside, the output is a request, which the session performs. A new connection gets a new adapter, so
nothing stale survives a reconnect.
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
        snapshot_wait_s: Of an order book: how long after the confirmation a snapshot is asked for by REST, where none
            has come by itself; infinite where every frame is one.
        seed_levels: Of an order book whose channel sends changes only: it begins with a snapshot by REST, which is cut
            at so many levels a side. Such changes also join a book that was built from another connection. 0: the
            channel sends its own snapshots.
        full_levels: Of an order book: how many levels a side has in a snapshot, unless there are no more; a snapshot
            with far fewer may be half of one. 0: any number of levels is the whole book.
    """

    data_type: DataType
    interval: str
    name: str
    silence_limit_s: float = 0.0
    snapshot_wait_s: float = 5.0
    seed_levels: int = 0
    full_levels: int = 0


class Feed(Struct, frozen=True):
    """One socket: its address and what is subscribed there.

    Attributes:
        max_life_s: The exchange cuts a connection that is older; 0: it does not.
    """

    name: str
    url: str
    channels: tuple[Channel, ...]
    max_life_s: float = 0.0


class KeepAlive(Struct, frozen=True):
    """After ``idle_s`` without any incoming frame send ``frame``; anything must then come in within ``answer_s``.

    An empty ``frame`` means a ping of the WebSocket protocol.
    """

    idle_s: float
    answer_s: float
    frame: str


class Instrument(Struct, frozen=True, kw_only=True):
    """What the exchange says of the symbol; texts as it gives them, empty where it gives none.

    Attributes:
        native: The exchange's own spelling.
        state: The exchange's word, e.g. ``live``.
        crossed_is_legal: The state is one in which bid above ask is no corruption (call auction).
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
        unlisted: There is no such instrument, it says; where it has sent data of that, its list of instruments decides.
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
    """What is in a frame between its fixed parts. The numbers are those of ``fastpath/trade_parser.pyx``.

    ``TRADE_ID`` is a whole number without leading zeros of at most 18 digits; ``PRICE`` and ``SIZE`` are plain decimal
    numbers without a sign; ``TIME_MS`` has thirteen digits; ``NUMBER`` is a whole number that is not used, and
    ``MEMBERS`` are any further members of the object, of text or whole numbers, that are not, each of another name.
    """

    TRADE_ID = 1
    PRICE = 2
    SIZE = 3
    SIDE = 4
    TIME_MS = 5
    NUMBER = 6
    MEMBERS = 7


class TradeShape(Struct, frozen=True):
    """How the exchange spells the frame of a single live trade, to the byte.

    A frame that is spelt so must mean to the adapter one ``Trade`` of what is in these places; all others, right or
    wrong, are for the adapter. So an exchange that changes its spelling costs speed and nothing else.

    Attributes:
        beginning: What all such frames begin with.
        pieces: What is behind that: parts that differ, and what is fixed between them.
        buy: The word at ``SIDE`` where the taker bought.
        sell: The word where he sold.
    """

    beginning: bytes
    pieces: tuple[bytes | TradePart, ...]
    buy: bytes
    sell: bytes

    @classmethod
    def spelt(cls, text: str, *, buy: str, sell: str) -> "TradeShape":
        """A shape from a frame in which ``<trade_id>``, ``<price>`` and so on stand for what differs."""
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
        """The frames that make the exchange start a channel anew, with a snapshot where it has one.

        None at all where a new beginning takes only a snapshot by REST.
        """
        ...

    def on_frame(self, frame: bytes, recv_ns: int) -> Sequence[Output]:
        """Read one frame. Never raises: what cannot be read is a ``Malformed``.

        Args:
            frame: The payload of a text or binary frame.
            recv_ns: When it was read from the socket, ns since the epoch.
        """
        ...


class ExchangeCollector(Protocol):
    """One symbol at one exchange: what to connect to, what to ask, how to read the answers. Pure."""

    def instruments_path(self) -> str:
        """REST path of the instrument list that holds the symbol."""
        ...

    def instrument_path(self, instrument: Instrument) -> str:
        """REST path of a short list that holds this instrument as long as the exchange lists it."""
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
        """REST path that answers the exchange's time."""
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
        """The snapshot in an answer; its ``reason`` is empty, the one who asked knows it.

        Raises:
            ExchangeUnavailableError: The answer is an error, or holds no book of this instrument.
        """
        ...

    def trades_path(self, instrument: Instrument, first_id: int) -> str:
        """REST path of a page of trades that begins with the one of this id."""
        ...

    def newest_trades_path(self, instrument: Instrument) -> str:
        """REST path of the newest trades, for ``read_trades``."""
        ...

    def read_trades(self, body: bytes, instrument: Instrument, recv_ns: int) -> list[Trade]:
        """The trades of a page, ascending by id, each marked as ``backfill``; rows that are none are left out.

        Raises:
            ExchangeUnavailableError: The answer is an error, or not a page of trades of this symbol.
        """
        ...

    @property
    def trades_page(self) -> int:
        """How many trades a full page holds."""
        ...

    def candles_path(self, instrument: Instrument, interval: str, open_ns: int, now_ns: int) -> str:
        """REST path of a page of bars that begins with the one that opens at ``open_ns``."""
        ...

    def read_candles(self, body: bytes, interval: str, recv_ns: int) -> list[Candle]:
        """The closed bars of a page, ascending; rows that are none are left out.

        Where a later row is all that speaks for the end of a bar, it is for the reader to look at the time.

        Raises:
            ExchangeUnavailableError: The answer is an error, or not a page of bars.
        """
        ...

    @property
    def candles_page(self) -> int:
        """How many bars a full page holds."""
        ...

    def rest_units(self, path: str) -> float:
        """What a call costs of the exchange's budget (``ExchangeProfile.rest``)."""
        ...

    def feeds(self) -> tuple[Feed, ...]:
        """The sockets that the configured data types need."""
        ...

    def adapter(self, feed: Feed, instrument: Instrument) -> Adapter:
        """A fresh protocol state for one connection."""
        ...

    def trade_shape(self, instrument: Instrument) -> TradeShape | None:
        """How its live trades are spelt in the channel that is collected; None: trades take the adapter's way only."""
        ...

    def book_checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """The exchange's checksum of a book, best levels first; compared only with checksums it sends."""
        ...

    @property
    def checksum_depth(self) -> int:
        """How many levels of each side the checksum covers."""
        ...
