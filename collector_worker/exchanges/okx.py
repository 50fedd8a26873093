"""OKX API v5: public market data over ``/public`` and ``/business``, and the REST calls around it.

In the order of the data: wire structs, the exchange-specific part of the symbol, requests, frames. Section numbers
refer to the protocol sheet of OKX (facts as of 2026-11; official pages https://www.okx.com/docs-v5/en/). It is long
because an exchange is one file: whoever fixes or adds an exchange sees all about it, and nothing about another.
"""

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, zip_longest
from math import inf
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct, field
from msgspec.json import Decoder

from collector_worker.exchanges.adapter import (
    UNREADABLE,
    Acknowledged,
    Adapter,
    BookFrame,
    Channel,
    ClosingSoon,
    Feed,
    Instrument,
    KeepAlive,
    Malformed,
    Output,
    Refused,
    TradeShape,
)
from collector_worker.exchanges.rows import Rows
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.decimals import AMOUNT, PRICE, is_amount, is_price
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, Level, Ticker, Trade
from tickfleet.contract.identity import DataType, ProductKind, Symbol
from tickfleet.contract.intervals import is_opening, length_ns
from tickfleet.errors import ExchangeUnavailableError, NotTradedError, UnknownSymbolError

NS_PER_MS = 1_000_000
_Row = TypeVar("_Row")

_MS_DIGITS = 13
_Ms = Annotated[int, Meta(ge=0, lt=10**_MS_DIGITS)]
"""A time in milliseconds; those behind the year 2286 are none."""

_Price = Annotated[str, Meta(pattern=PRICE)]
_PriceOrNothing = Annotated[str, Meta(pattern=rf"^\Z|{PRICE}")] | None
_Amount = Annotated[str, Meta(pattern=AMOUNT)]
_AmountOrNothing = Annotated[str, Meta(pattern=rf"^\Z|{AMOUNT}")] | None
_ID_DIGITS = 18

# --- wire structs: only the fields we use; unknown ones are skipped -----------------------------------------------


class _Arg(Struct, rename="camel", gc=False):
    channel: str = ""
    inst_id: str = ""


class _PushHead(Struct, rename="camel", gc=False):
    """The part of any frame that tells its kind (section 3)."""

    arg: _Arg | None = None
    event: str = ""
    id: str = ""
    code: str = ""


class _Push(Struct, Generic[_Row], gc=False):
    """A frame with data of a known channel; a frame with an ``event`` is not a push."""

    data: list[_Row]
    action: str = ""
    event: str = ""


_Reader = tuple[Callable[[bytes], _Push[Any]], Callable[[Any, str, int], Output]]
"""Decodes a frame, and makes of a row, the frame's action and the time of receipt what the row means."""


class _TradeRow(Struct, rename="camel", gc=False):
    """Section 4.1, one match."""

    trade_id: str
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: _Ms
    inst_id: str | None = None


class _Aggregate(_TradeRow, rename="camel", gc=False):
    """On ``trades``: ``count`` matches merged into one, ``tradeId`` is the last of them."""

    count: str | None = None


class _TickerRow(Struct, rename="camel", gc=False):
    """Section 4.2. Prices can be "" on empty books; ``volCcy24h`` is quote for spot, base for derivatives."""

    ts: _Ms
    inst_id: str | None = None
    last: _PriceOrNothing = ""
    last_sz: _AmountOrNothing = ""
    ask_px: _PriceOrNothing = ""
    ask_sz: _AmountOrNothing = ""
    bid_px: _PriceOrNothing = ""
    bid_sz: _AmountOrNothing = ""
    open24h: _PriceOrNothing = ""
    high24h: _PriceOrNothing = ""
    low24h: _PriceOrNothing = ""
    vol_ccy24h: _AmountOrNothing = field(default="", name="volCcy24h")  # the rename rule would make it volCcy24H
    vol24h: _AmountOrNothing = ""


class _Book(Struct, rename="camel", gc=False):
    """Section 5. Level: ``[price, size, "0", orders]``. Absent sequence numbers differ from 0 (rule 5)."""

    asks: list[Level]
    bids: list[Level]
    ts: _Ms
    inst_id: str | None = None
    seq_id: int | None = None
    prev_seq_id: int | None = None
    checksum: int | None = None


class _Candle(Struct, array_like=True, gc=False):
    """Section 4.4. ``vol`` in base (spot) or contracts; ``volCcyQuote`` always in quote."""

    inst_id: ClassVar[None] = None
    ts: _Ms
    open: _Price
    high: _Price
    low: _Price
    close: _Price
    vol: _Amount
    vol_ccy: _AmountOrNothing = ""
    vol_ccy_quote: _AmountOrNothing = ""
    confirm: str = "0"


class _Instrument(Struct, rename="camel", gc=False):
    """Section 6, instrument fields."""

    inst_id: str
    inst_type: str
    state: str = ""
    base_ccy: str = ""
    quote_ccy: str = ""
    inst_family: str = ""
    exp_time: str = ""
    list_time: str = ""
    tick_sz: str = ""
    lot_sz: str = ""
    min_sz: str = ""
    settle_ccy: str = ""
    ct_val: str = ""
    ct_mult: str = ""
    ct_val_ccy: str = ""
    ct_type: str = ""


class _Envelope(Struct):
    """Every REST answer; a ``code`` other than "0" is a failure even with HTTP status 200 (section 3)."""

    code: str
    data: Raw = Raw(b"[]")


class _TimeRow(Struct):
    ts: _Ms


# Lax: OKX writes integers as strings ("ts":"1652459225464").
_head = Decoder(_PushHead, strict=False).decode
_trades = Rows(_TradeRow, strict=False)
_books = Rows(_Book, strict=False)
_candles = Rows(_Candle, strict=False)
_trade_push = Decoder(_Push[_TradeRow], strict=False).decode
_aggregate_push = Decoder(_Push[_Aggregate], strict=False).decode
_ticker_push = Decoder(_Push[_TickerRow], strict=False).decode
_book_push = Decoder(_Push[_Book], strict=False).decode
_candle_push = Decoder(_Push[_Candle], strict=False).decode
_envelope = Decoder(_Envelope).decode
_instruments = Rows(_Instrument)
_times = Rows(_TimeRow, strict=False)

# --- what OKX calls things ----------------------------------------------------------------------------------------

_INST_TYPE = {ProductKind.SPOT: "SPOT", ProductKind.PERPETUAL: "SWAP", ProductKind.FUTURE: "FUTURES"}
_BARS = {
    "1s": "1s", "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc",
}  # fmt: skip
"""Section 4.4: bars of six hours and more begin at UTC+8 boundaries unless the name says ``utc``."""

_ANNOUNCED = "preopen"
_TRADEABLE = ("live", _ANNOUNCED)
_BUSINESS_ONLY = ("trades-all", "candle")

_BOOK_HEARTBEAT_S = 65.0
"""Section 7: a quiet ``books`` channel sends an empty frame each 60 s; more silence means a stalled stream."""

_SNAPSHOT_WAIT_S = 5.0
"""Section 5, rule 7. Only for ``books``: the others send the whole book in each frame, and fewer levels than REST."""

_BOOK_LEVELS = 400
"""Section 5: the levels a side that ``books`` maintains; it has fewer where there are no more."""

_RECENT_BARS = 1_440
"""Section 6: how far back ``/market/candles`` reaches."""

_NOTHING_BEFORE = -1
"""Section 5, rule 1: the ``prevSeqId`` of every snapshot of ``books``; only frames of before 2023 carry no numbers."""

_ONLY_IN_HISTORY = frozenset({"1s"})
"""Section 6: bars that ``/market/candles`` does not know, however new they are; it answers 51000."""

_CANDLE_MARGIN_S = 30.0
"""A running bar is pushed at least once per interval, a bar without trades too (section 4.4)."""

_PERMANENT = frozenset(
    {"60018", "60012", "60013", "60019", "60027", "60033", "64000", "60008", "60028", "64001", "64002"}
    | {"60011", "60004", "60005", "60006", "60007", "60009", "60024", "60031", "60032", "64003", "64004"}
)
"""Section 3: refusals that need a change on our side. A code that is not here may pass by itself, so it is asked again:
a collector that tries in vain is a smaller harm than one that is parked for the exchange's own trouble."""

_NO_SUCH_CHANNEL = "60018"
"""Section 3: or no such instrument; where that was live before, the instruments are to be asked for once more."""

_NO_SUCH_INSTRUMENT = "51001"

_REFUSALS = {
    "60018": "OKX knows no such channel or instrument (60018)",
    "64003": "OKX refuses the channel: the fee tier is too low (64003)",
    "60011": "OKX refuses the channel: it needs a login (60011)",
    "64001": "OKX refuses the channel: it lives on another path (64001)",
}

_UNSOUND = Malformed("a trade whose id, price or size is not a number")
_NOT_OURS = Malformed("data of another instrument")
_UNREADABLE = Malformed("not a frame of OKX' protocol")

KEEPALIVE = KeepAlive(idle_s=20.0, answer_s=10.0, frame="ping")
"""Section 2: a text ping within 30 s of silence, answered by a text pong."""


class Okx:
    """One symbol at OKX."""

    checksum_depth = 25
    trades_page = 100
    candles_page = 100

    def __init__(self, config: ExchangeCollectorConfig) -> None:
        self._config = config
        self._symbol = Symbol.parse(config.symbol)

    def instruments_path(self) -> str:
        """The whole list for the symbol's kind of product; OKX' own spelling is looked up there, not guessed."""
        return f"/api/v5/public/instruments?instType={_INST_TYPE[self._symbol.kind]}"

    def instrument_path(self, instrument: Instrument) -> str:
        """A list of one instrument; for a spelling that is no longer listed, the answer is an error (section 3)."""
        return f"{self.instruments_path()}&instId={_in_url(instrument)}"

    def read_instruments(self, body: bytes) -> Instrument:
        """The symbol's own row, if it is traded."""
        if _code_of(body) == _NO_SUCH_INSTRUMENT:
            raise UnknownSymbolError(f"OKX lists no instrument for symbol {self._config.symbol}")
        rows = _rest_rows(body, _instruments)
        if not rows:
            raise ExchangeUnavailableError("OKX answered an empty list of instruments")
        found = self._find(rows)
        if found is None or found.state == "expired":
            raise UnknownSymbolError(f"OKX lists no instrument for symbol {self._config.symbol}")
        # Suspended, or a state that is new to us, or announced: its figures are there minutes before (section 6).
        announced = found.state == _ANNOUNCED and not (found.tick_sz and found.lot_sz and found.min_sz)
        if announced or found.state not in _TRADEABLE:
            state = found.state[:20]
            raise NotTradedError(f"OKX does not trade {self._config.symbol} now (its state is {state!r})", state)
        return Instrument(
            symbol=self._config.symbol,
            native=found.inst_id,
            state=found.state,
            tick_size=found.tick_sz,
            lot_size=found.lot_sz,
            min_size=found.min_sz,
            contract_value=found.ct_val,
            contract_multiplier=found.ct_mult,
            contract_currency=found.ct_val_ccy,
            contract_type=found.ct_type,
            settle_currency=found.settle_ccy,
            listed_at_ms=found.list_time,
            expires_at_ms=found.exp_time,
            crossed_is_legal=found.state == _ANNOUNCED,
        )

    def _find(self, rows: list[_Instrument]) -> _Instrument | None:
        """Finds a row by its id, which is complete from the announcement on; else by its other fields."""
        kind = [row for row in rows if row.inst_type == _INST_TYPE[self._symbol.kind]]
        by_id = next((row for row in kind if row.inst_id == self._usual_id()), None)
        return by_id or next((row for row in kind if self._is_ours(row)), None)

    def _usual_id(self) -> str:
        """Family and expiry of derivatives: ``BTC-USD_UM-SWAP``, ``BTC-USD_UM_XPERP-310404`` (section 6)."""
        symbol = self._symbol
        tails = {ProductKind.SPOT: "", ProductKind.PERPETUAL: "-SWAP", ProductKind.FUTURE: f"-{symbol.expiry}"}
        return f"{symbol.base}-{symbol.quote}{tails[symbol.kind]}"

    def _is_ours(self, row: _Instrument) -> bool:
        symbol = self._symbol
        if symbol.kind is ProductKind.SPOT:
            return (row.base_ccy, row.quote_ccy) == (symbol.base, symbol.quote)
        if row.inst_family != f"{symbol.base}-{symbol.quote}":  # not ``uly``: several families have the same
            return False
        return symbol.kind is ProductKind.PERPETUAL or _expiry(row.exp_time) == symbol.expiry

    def time_path(self) -> str:
        """Server time."""
        return "/api/v5/public/time"

    def read_time_ms(self, body: bytes) -> int:
        """``{"data":[{"ts":"1597026383085"}]}``."""
        rows = _rest_rows(body, _times)
        if not rows:
            raise ExchangeUnavailableError("OKX answered no time")
        return rows[0].ts

    def book_path(self, instrument: Instrument) -> str:
        """The 400 levels that ``books`` maintains, with ``seqId``."""
        return f"/api/v5/market/books?instId={_in_url(instrument)}&sz={_BOOK_LEVELS}"

    def read_book(self, body: bytes, instrument: Instrument, recv_ns: int) -> BookSnapshot:
        """Section 5, rule 7: the snapshot to join buffered updates to. A row may name its instrument."""
        rows = [row for row in _rest_rows(body, _books) if row.inst_id in (None, instrument.native)]
        if not rows or rows[0].seq_id is None:
            raise ExchangeUnavailableError("OKX answered no book")
        return _snapshot(rows[0], recv_ns, reason="")

    def trades_path(self, instrument: Instrument, first_id: int) -> str:
        """``after`` means "older than": a page of consecutive ids from ``first_id`` ends before ``first_id + 100``."""
        after = first_id + self.trades_page
        return (
            f"/api/v5/market/history-trades?instId={_in_url(instrument)}&type=1&after={after}&limit={self.trades_page}"
        )

    def newest_trades_path(self, instrument: Instrument) -> str:
        """Newest first on the wire; without a bound, the page is the newest one (section 6)."""
        return f"/api/v5/market/history-trades?instId={_in_url(instrument)}&type=1&limit={self.trades_page}"

    def read_trades(self, body: bytes, instrument: Instrument, recv_ns: int) -> list[Trade]:
        """Newest first on the wire; one row per match, whichever channel is collected (section 6)."""
        rows = _rest_rows(body, _trades)
        ours = [row for row in rows if row.inst_id == instrument.native and _is_sound(row)]
        if rows and not ours:
            raise ExchangeUnavailableError("OKX answered trades that are not those of this instrument")
        trades = [
            Trade(row.ts * NS_PER_MS, recv_ns, row.trade_id, row.px, row.sz, row.side, "backfill") for row in ours
        ]
        return sorted(trades, key=lambda trade: int(trade.trade_id))

    def candles_path(self, instrument: Instrument, interval: str, open_ns: int, now_ns: int) -> str:
        """Recent and old bars have different paths (section 6)."""
        recent = open_ns > now_ns - (_RECENT_BARS - self.candles_page) * length_ns(interval)
        path = "candles" if recent and interval not in _ONLY_IN_HISTORY else "history-candles"
        after = (open_ns + self.candles_page * length_ns(interval)) // NS_PER_MS
        query = f"instId={_in_url(instrument)}&bar={_BARS[interval]}&after={after}&limit={self.candles_page}"
        return f"/api/v5/market/{path}?{query}"

    def read_candles(self, body: bytes, interval: str, recv_ns: int) -> list[Candle]:
        """Newest first on the wire, with the running bar (section 6)."""
        bars = [_on_candle(interval, row, "", recv_ns) for row in _rest_rows(body, _candles)]
        closed = (bar for bar in bars if isinstance(bar, Candle) and bar.closed)
        return sorted(closed, key=lambda bar: bar.open_time)

    def rest_units(self, path: str) -> float:
        """Each endpoint has its own limit; our budget keeps the lowest of those that we use (section 6)."""
        return 1.0

    def feeds(self) -> tuple[Feed, ...]:
        """One socket per path that is needed (section 1)."""
        address = self._config.address
        channels = [*self._channels()]
        business = tuple(channel for channel in channels if channel.name.startswith(_BUSINESS_ONLY))
        public = tuple(channel for channel in channels if channel not in business)
        feeds = (Feed("public", address.ws_public, public), Feed("business", address.ws_business, business))
        return tuple(feed for feed in feeds if feed.channels)

    def _channels(self) -> list[Channel]:
        wanted, channels = self._config.data_types, []
        if DataType.TRADE in wanted:
            channels.append(Channel(DataType.TRADE, "", self._config.param("trade_channel")))
        if DataType.ORDERBOOK in wanted:
            name = self._config.param("book_channel")
            snapshot_wait_s = _SNAPSHOT_WAIT_S if name == "books" else inf
            full_levels = _BOOK_LEVELS if name == "books" else 0
            book = Channel(DataType.ORDERBOOK, "", name, _BOOK_HEARTBEAT_S, snapshot_wait_s, full_levels=full_levels)
            channels.append(book)
        if DataType.TICKER in wanted:
            channels.append(Channel(DataType.TICKER, "", "tickers"))
        if DataType.CANDLES in wanted:
            for interval in self._config.candle_intervals:
                limit_s = length_ns(interval) / 1e9 + _CANDLE_MARGIN_S
                channels.append(Channel(DataType.CANDLES, interval, f"candle{_BARS[interval]}", limit_s))
        return channels

    def adapter(self, feed: Feed, instrument: Instrument) -> Adapter:
        """A fresh connection's state."""
        return OkxAdapter(feed, instrument, volume_is_quote=self._symbol.kind is ProductKind.SPOT)

    def trade_shape(self, instrument: Instrument) -> TradeShape | None:
        """Section 4.1. An aggregate of ``trades`` is not simply the next trade."""
        if self._config.param("trade_channel") != "trades-all":
            return None
        native = instrument.native
        text = (
            f'{{"arg":{{"channel":"trades-all","instId":"{native}"}},"data":[{{"instId":"{native}","tradeId":"<trade_id>",'
            '"px":"<price>","sz":"<size>","side":"<side>","ts":"<time_ms>"<members>}]}'
        )
        return TradeShape.spelt(text, buy="buy", sell="sell")

    def book_checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """CRC32, signed, over ``price:size`` of bids and asks in turn, best first (section 5, checksum)."""
        pairs = chain.from_iterable(zip_longest(bids, asks))
        text = ":".join(f"{level.price}:{level.size}" for level in pairs if level is not None)
        unsigned = zlib.crc32(text.encode())
        return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


class OkxAdapter:
    """OKX' protocol on one connection: requests out, frames in."""

    keepalive = KEEPALIVE

    def __init__(self, feed: Feed, instrument: Instrument, *, volume_is_quote: bool) -> None:
        self._native = instrument.native
        self._volume_is_quote = volume_is_quote
        self._channels = {channel.name: channel for channel in feed.channels}
        self._readers = {channel.name: self._reader(channel) for channel in feed.channels}
        self._by_beginning = {self._beginning(channel): self._readers[channel.name] for channel in feed.channels}
        self._requests = 0
        self._unanswered: dict[str, Channel] = {}
        """Our requests for a channel that have no answer yet, by their ids."""

    def subscribe(self) -> list[str]:
        """One request per channel: an error event names only the request's id, never its argument (section 3)."""
        return [self._request("subscribe", channel) for channel in self._channels.values()]

    def resubscribe(self, channel: Channel) -> list[str]:
        """Unsubscribe and subscribe: a mere second subscribe is acknowledged without a new snapshot (section 3)."""
        return [self._request("unsubscribe", channel), self._request("subscribe", channel)]

    def _request(self, op: str, channel: Channel) -> str:
        self._requests += 1
        number = f"r{self._requests}"
        if op == "subscribe":
            self._unanswered[number] = channel
        args = [{"channel": channel.name, "instId": self._native}]
        return msgspec.json.encode({"id": number, "op": op, "args": args}).decode()

    def _reader(self, channel: Channel) -> _Reader:
        """How to decode the data frames of a channel, and what to make of them."""
        match channel.data_type:
            case DataType.TRADE:
                return (_aggregate_push, _on_aggregate) if channel.name == "trades" else (_trade_push, _on_trade)
            case DataType.ORDERBOOK:
                return _book_push, partial(_on_book, channel.name == "books")
            case DataType.TICKER:
                return _ticker_push, self._on_ticker
            case DataType.CANDLES:
                return _candle_push, partial(_on_candle, channel.interval)

    def _beginning(self, channel: Channel) -> bytes:
        """How OKX begins the data frames of a channel, up to the first closing brace (section 4, real frames)."""
        return f'{{"arg":{{"channel":"{channel.name}","instId":"{self._native}"'.encode()

    def on_frame(self, frame: bytes, recv_ns: int) -> Sequence[Output]:
        """Read one frame; see the contract."""
        reader = self._by_beginning.get(frame[: frame.find(b"}")])
        if reader is None:
            return self._on_any(frame, recv_ns)
        decode, read = reader  # one pass over the frame is enough, where it is what it seems to be
        try:
            push = decode(frame)
        except UNREADABLE:
            return self._on_any(frame, recv_ns)
        return self._on_any(frame, recv_ns) if push.event else self._on_rows(push, read, recv_ns)

    def _on_rows(self, push: _Push[Any], read: Callable[[Any, str, int], Output], recv_ns: int) -> Sequence[Output]:
        """The outputs for the rows of a frame. If a row names an instrument, that name counts."""
        return [
            read(row, push.action, recv_ns) if row.inst_id is None or row.inst_id == self._native else _NOT_OURS
            for row in push.data
        ]

    def _on_any(self, frame: bytes, recv_ns: int) -> Sequence[Output]:
        """Reads a frame of any form."""
        if frame == b"pong":  # plain text, not JSON (section 2)
            return ()
        try:
            head = _head(frame)
            if head.event:
                return self._on_event(head)
            reader = self._readers.get(head.arg.channel) if head.arg else None
            if reader is None or head.arg is None or head.arg.inst_id != self._native:
                return (Malformed("data for nothing we subscribed to"),)
            decode, read = reader
            return self._on_rows(decode(frame), read, recv_ns)
        except UNREADABLE:
            return (_UNREADABLE,)

    def _on_event(self, head: _PushHead) -> Sequence[Output]:
        if head.event == "subscribe":
            return self._on_confirmed(head.arg or _Arg())
        if head.event == "error":
            channel = self._unanswered.pop(head.id, None)
            if channel is None and head.id:
                return (Malformed("a refusal of what we did not ask for"),)
            reason = _REFUSALS.get(head.code, f"OKX refuses a request (code {_shown(head.code)})")
            permanent = channel is not None and head.code in _PERMANENT
            return (Refused(reason, permanent, unlisted=permanent and head.code == _NO_SUCH_CHANNEL),)
        if head.event == "notice":  # 64008, up to 60 s ahead (section 2)
            return (ClosingSoon("the exchange announced that it will close the connection"),)
        return ()  # unsubscribe, channel-conn-count and whatever comes later need no reaction

    def _on_confirmed(self, arg: _Arg) -> Sequence[Output]:
        channel = self._channels.get(arg.channel)
        if channel is None or arg.inst_id != self._native:
            return ()
        self._unanswered = {number: each for number, each in self._unanswered.items() if each != channel}
        return (Acknowledged(channel),)

    def _on_ticker(self, row: _TickerRow, _: str, recv_ns: int) -> Ticker:
        return Ticker(
            ts_event=row.ts * NS_PER_MS,
            ts_recv=recv_ns,
            last=row.last or None,
            last_size=row.last_sz or None,
            bid=row.bid_px or None,
            bid_size=row.bid_sz or None,
            ask=row.ask_px or None,
            ask_size=row.ask_sz or None,
            open_24h=row.open24h or None,
            high_24h=row.high24h or None,
            low_24h=row.low24h or None,
            volume_24h=row.vol24h or None,
            quote_volume_24h=(row.vol_ccy24h or None) if self._volume_is_quote else None,
        )


def _is_sound(row: _TradeRow) -> bool:
    """Ids are consecutive integers (section 4.1); more than 18 digits cannot be one of them, nor a stream id."""
    return _is_count(row.trade_id) and is_price(row.px) and is_amount(row.sz)


def _on_trade(row: _TradeRow, _: str, recv_ns: int) -> Output:
    return _live(row, recv_ns) if _is_sound(row) else _UNSOUND


def _on_aggregate(row: _Aggregate, _: str, recv_ns: int) -> Output:
    is_sound = _is_sound(row) and (row.count is None or _is_count(row.count))
    return _live(row, recv_ns, row.count) if is_sound else _UNSOUND


def _live(row: _TradeRow, recv_ns: int, count: str | None = None) -> Trade:
    return Trade(row.ts * NS_PER_MS, recv_ns, row.trade_id, row.px, row.sz, row.side, "live", count)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS


def _on_book(incremental: bool, row: _Book, action: str, recv_ns: int) -> Output:
    if incremental and action == "update":
        delta = BookDelta(
            ts_event=row.ts * NS_PER_MS,
            ts_recv=recv_ns,
            bids=row.bids,
            asks=row.asks,
            seq=row.seq_id,
            prev_seq=row.prev_seq_id,
        )
        return BookFrame(delta, row.checksum or None)
    if incremental and action != "snapshot":
        return Malformed("a book frame that is neither snapshot nor update")
    if incremental and row.seq_id is not None and row.prev_seq_id != _NOTHING_BEFORE:
        return Malformed("a snapshot of the book that is no beginning")
    # books5 and bbo-tbt send the whole book each time and name no action (section 5, table).
    return BookFrame(_snapshot(row, recv_ns, reason="" if incremental else "push"), row.checksum or None)


def _snapshot(row: _Book, recv_ns: int, reason: str) -> BookSnapshot:
    return BookSnapshot(
        ts_event=row.ts * NS_PER_MS,
        ts_recv=recv_ns,
        bids=row.bids,
        asks=row.asks,
        seq=row.seq_id,
        prev_seq=row.prev_seq_id,
        reason=reason,
    )


def _on_candle(interval: str, row: _Candle, _: str, recv_ns: int) -> Output:
    open_ns = row.ts * NS_PER_MS
    if not is_opening(interval, open_ns):
        return Malformed("a bar that opens between two")
    return Candle(
        ts_event=open_ns,  # OKX gives no time of the push
        ts_recv=recv_ns,
        interval=interval,
        open_time=open_ns,
        close_time=open_ns + length_ns(interval),
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.vol,
        quote_volume=row.vol_ccy_quote or None,
        closed=row.confirm == "1",
    )


def _in_url(instrument: Instrument) -> str:
    return quote(instrument.native, safe="")


def _expiry(expires_at_ms: str) -> str:
    """The expiry of a future as YYMMDD in UTC, as in a symbol."""
    if not expires_at_ms.isdecimal() or len(expires_at_ms) > _MS_DIGITS:
        return ""
    return datetime.fromtimestamp(int(expires_at_ms) / 1000, UTC).strftime("%y%m%d")


def _shown(code: str) -> str:
    """An error code for a message: its digits, or our own word."""
    return code if code.isascii() and code.isdecimal() and len(code) <= 6 else "unreadable"


def _code_of(body: bytes) -> str:
    """The code of a REST answer, empty if there is none."""
    try:
        return _envelope(body).code
    except UNREADABLE:
        return ""


def _rest_rows(body: bytes, decode: Callable[[Raw], list[_Row]]) -> list[_Row]:
    """The rows of a REST answer; section 3 lists the failures."""
    try:
        envelope = _envelope(body)
        if envelope.code != "0":
            raise ExchangeUnavailableError(f"OKX answered with error code {_shown(envelope.code)}")
        return decode(envelope.data)
    except UNREADABLE as error:
        raise ExchangeUnavailableError("OKX answered something that is not its protocol") from error
