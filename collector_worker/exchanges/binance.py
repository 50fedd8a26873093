"""Binance spot: market data over combined streams, and the REST calls around it.

In the order of the data: wire structs, the exchange-specific part of the symbol, requests, frames. Section numbers
refer to the protocol sheet of Binance (facts as of 2026-07; official pages
https://github.com/binance/binance-spot-api-docs). It is long because an exchange is one file: whoever fixes or adds an
exchange sees all about it, and nothing about another.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeVar
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
from tickfleet.contract.decimals import AMOUNT, is_amount
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, Level, Ticker, Trade
from tickfleet.contract.identity import DataType, Symbol
from tickfleet.contract.intervals import is_opening, length_ns
from tickfleet.errors import ExchangeUnavailableError, NotTradedError, UnknownSymbolError

NS_PER_MS = 1_000_000
_Answer = TypeVar("_Answer")

_Ms = Annotated[int, Meta(ge=0, lt=10**13)]
_Id = Annotated[int, Meta(ge=0, lt=10**18)]
_Number = Annotated[str, Meta(pattern=AMOUNT)]
_Figure = _Number | None

# --- wire structs: only the fields we use; unknown ones are skipped -----------------------------------------------


class _Error(Struct, gc=False):
    code: int = 0


class _NotOursError(Exception):
    """A row names another instrument."""


class _EventHead(Struct, gc=False):
    """A combined frame ``{"stream":…,"data":…}``, an answer with ``id``, or a raw event with ``e`` (sections 1, 3)."""

    stream: str = ""
    data: Raw = Raw(b"")
    id: int | str | None = None
    code: int | None = None
    error: _Error | None = None
    event: str = field(default="", name="e")


class _TradeEvent(Struct, gc=False):
    """Section 4.1. ``m``: the buyer was the maker, so the taker sold."""

    event: Literal["trade"] = field(name="e")
    symbol: str = field(name="s")
    trade_id: _Id = field(name="t")
    price: _Number = field(name="p")
    size: _Number = field(name="q")
    time_ms: _Ms = field(name="T")
    buyer_is_maker: bool = field(name="m")


class _TickerEvent(Struct, gc=False):
    """Section 4.2, ``24hrTicker``: rolling statistics with the best quotes; absent figures are left out."""

    event: Literal["24hrTicker"] = field(name="e")
    symbol: str = field(name="s")
    time_ms: _Ms = field(name="E")
    last: _Figure = field(name="c", default=None)
    last_size: _Figure = field(name="Q", default=None)
    bid: _Figure = field(name="b", default=None)
    bid_size: _Figure = field(name="B", default=None)
    ask: _Figure = field(name="a", default=None)
    ask_size: _Figure = field(name="A", default=None)
    open: _Figure = field(name="o", default=None)
    high: _Figure = field(name="h", default=None)
    low: _Figure = field(name="l", default=None)
    volume: _Figure = field(name="v", default=None)
    quote_volume: _Figure = field(name="q", default=None)


class _Depth(Struct, gc=False):
    """Section 4.3, ``depthUpdate``: the ids ``U`` to ``u`` in one frame, both inclusive, so there is at least one."""

    event: Literal["depthUpdate"] = field(name="e")
    symbol: str = field(name="s")
    time_ms: _Ms = field(name="E")
    first_id: _Id = field(name="U")
    last_id: _Id = field(name="u")
    bids: list[Level] = field(name="b")
    asks: list[Level] = field(name="a")

    def __post_init__(self) -> None:
        if self.last_id < self.first_id:  # the book would take it for a counter that begins anew
            raise ValueError("the last id of an update lies before its first")


class _Bar(Struct, gc=False):
    """Section 4.4. ``x`` is true on the last push of a bar."""

    symbol: str = field(name="s")
    open_ms: _Ms = field(name="t")
    interval: str = field(name="i")
    open: _Number = field(name="o")
    close: _Number = field(name="c")
    high: _Number = field(name="h")
    low: _Number = field(name="l")
    volume: _Number = field(name="v")
    quote_volume: _Number = field(name="q")
    closed: bool = field(name="x")


class _Kline(Struct, gc=False):
    event: Literal["kline"] = field(name="e")
    symbol: str = field(name="s")
    time_ms: _Ms = field(name="E")
    bar: _Bar = field(name="k")


class _RestBook(Struct, rename="camel"):
    last_update_id: _Id
    bids: list[Level]
    asks: list[Level]


class _RestTrade(Struct, rename="camel", gc=False):
    """A row of ``historicalTrades``."""

    id: _Id
    price: _Number
    qty: _Number
    time: _Ms
    is_buyer_maker: bool


class _RestBar(Struct, array_like=True, gc=False):
    """A row of ``klines`` (section 6): it does not say whether the bar is closed."""

    open_ms: _Ms
    open: _Number
    high: _Number
    low: _Number
    close: _Number
    volume: _Number
    close_ms: _Ms
    quote_volume: _Number


class _Filter(Struct, rename="camel", gc=False):
    filter_type: str = ""
    tick_size: str = ""
    step_size: str = ""
    min_qty: str = ""


class _Symbol(Struct, rename="camel", gc=False):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter] = []


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]


class _ServerTime(Struct, rename="camel"):
    server_time: _Ms


_head = Decoder(_EventHead).decode
_trade = Decoder(_TradeEvent).decode
_ticker = Decoder(_TickerEvent).decode
_depth = Decoder(_Depth).decode
_kline = Decoder(_Kline).decode
_error = Decoder(_Error).decode
_exchange_info = Decoder(_ExchangeInfo).decode
_time = Decoder(_ServerTime).decode
_rest_book = Decoder(_RestBook).decode
_rest_trades = Rows(_RestTrade)
_rest_bars = Rows(_RestBar)

# --- what Binance calls things ------------------------------------------------------------------------------------

_BAD_SYMBOL = -1121

_PERMANENT = frozenset({0, 1, 2, 3})
"""Section 3: what a request is refused with that needs a change on our side. All other codes may pass by themselves."""

_SUBSCRIPTION = 1
"""Id of the request that subscribes to everything: one frame, because five a second are allowed (section 2)."""

_BOOK_LIMIT = 1000
"""Levels a side of a seed: about 250 USD around the price of BTC; a small one goes wrong within minutes (section 5.3).
Where the price comes near its edge the book is seeded anew: see ``book_sync``."""

_BOOK_UNITS = 50.0
_TRADES_UNITS = 25.0
_INFO_UNITS = 20.0
_CANDLES_UNITS = 2.0

_MAX_LIFE_S = 23 * 3600.0
"""The exchange cuts a connection after 24 h (section 2)."""

_SNAPSHOT_WAIT_S = 0.5
"""Updates are gathered this long before the snapshot is asked for, so that it is not older than the first of them."""

KEEPALIVE = KeepAlive(idle_s=20.0, answer_s=20.0, frame="")
"""Section 2: the server pings by protocol frame, which the socket answers; with our own we notice that it is gone."""


class BinanceSpot:
    """One symbol at Binance spot."""

    checksum_depth = 0
    trades_page = 1000
    candles_page = 1000

    def __init__(self, config: ExchangeCollectorConfig) -> None:
        self._config = config
        self._symbol = Symbol.parse(config.symbol)

    def instruments_path(self) -> str:
        """Asks only for the symbol made of base and quote, because the whole list has 12 MB (section 8)."""
        return f"/api/v3/exchangeInfo?symbol={_in_url(self._symbol.base + self._symbol.quote)}"

    def instrument_path(self, instrument: Instrument) -> str:
        """The same path: its list has only this instrument."""
        return self.instruments_path()

    def read_instruments(self, body: bytes) -> Instrument:
        """The answer is accepted only if its base and quote assets are ours."""
        if _code_of(body) == _BAD_SYMBOL:
            raise UnknownSymbolError(f"Binance lists no instrument for symbol {self._config.symbol}")
        info = _read(body, _exchange_info)
        wanted = (self._symbol.base, self._symbol.quote)
        found = next((row for row in info.symbols if (row.base_asset, row.quote_asset) == wanted), None)
        if found is None:
            raise UnknownSymbolError(f"Binance lists no instrument for symbol {self._config.symbol}")
        if found.status != "TRADING":
            status = found.status[:20]
            raise NotTradedError(f"Binance does not trade {self._config.symbol} now (its status is {status!r})", status)
        filters = {row.filter_type: row for row in found.filters}
        lot = filters.get("LOT_SIZE", _Filter())
        return Instrument(
            symbol=self._config.symbol,
            native=found.symbol,
            state=found.status,
            tick_size=filters.get("PRICE_FILTER", _Filter()).tick_size,
            lot_size=lot.step_size,
            min_size=lot.min_qty,
        )

    def time_path(self) -> str:
        """Server time."""
        return "/api/v3/time"

    def read_time_ms(self, body: bytes) -> int:
        """``{"serverTime":1499827319559}``."""
        return _read(body, _time).server_time

    def book_path(self, instrument: Instrument) -> str:
        """The seed of the book."""
        return f"/api/v3/depth?symbol={_in_url(instrument.native)}&limit={_BOOK_LIMIT}"

    def read_book(self, body: bytes, instrument: Instrument, recv_ns: int) -> BookSnapshot:
        """Section 5.1. The answer has no name and no time, so the time of its receipt is used."""
        book = _read(body, _rest_book)
        return BookSnapshot(
            ts_event=recv_ns, ts_recv=recv_ns, bids=book.bids, asks=book.asks, seq=book.last_update_id, reason=""
        )

    def trades_path(self, instrument: Instrument, first_id: int) -> str:
        """``fromId`` is inclusive, rows ascend (section 6)."""
        return (
            f"/api/v3/historicalTrades?symbol={_in_url(instrument.native)}&fromId={first_id}&limit={self.trades_page}"
        )

    def newest_trades_path(self, instrument: Instrument) -> str:
        """Without ``fromId`` the page is the newest (section 6)."""
        return f"/api/v3/historicalTrades?symbol={_in_url(instrument.native)}&limit=10"

    def read_trades(self, body: bytes, instrument: Instrument, recv_ns: int) -> list[Trade]:
        """Rows carry the same ids as the ``trade`` stream."""
        rows = _read(body, _rest_trades)
        return [
            Trade(row.time * NS_PER_MS, recv_ns, str(row.id), row.price, row.qty, _side(row.is_buyer_maker), "backfill")
            for row in sorted(rows, key=lambda row: row.id)
        ]

    def candles_path(self, instrument: Instrument, interval: str, open_ns: int, now_ns: int) -> str:
        """Rows ascend from ``startTime`` on (section 6)."""
        start = f"startTime={open_ns // NS_PER_MS}&limit={self.candles_page}"
        return f"/api/v3/klines?symbol={_in_url(instrument.native)}&interval={interval}&{start}"

    def read_candles(self, body: bytes, interval: str, recv_ns: int) -> list[Candle]:
        """All bars except the latest: it may be running, and a row does not say so (section 6)."""
        bars = {
            open_ns: row for row in _read(body, _rest_bars) if is_opening(interval, open_ns := row.open_ms * NS_PER_MS)
        }
        return [
            Candle(
                ts_event=open_ns,
                ts_recv=recv_ns,
                interval=interval,
                open_time=open_ns,
                close_time=open_ns + length_ns(interval),
                open=row.open,
                high=row.high,
                low=row.low,
                close=row.close,
                volume=row.volume,
                quote_volume=row.quote_volume,
                closed=True,
            )
            for open_ns, row in sorted(bars.items(), key=lambda bar: bar[0])[:-1]
        ]

    def rest_units(self, path: str) -> float:
        """Request weight (section 6)."""
        if "/depth" in path:
            return _BOOK_UNITS
        if "/historicalTrades" in path:
            return _TRADES_UNITS
        if "/exchangeInfo" in path:
            return _INFO_UNITS
        return _CANDLES_UNITS

    def feeds(self) -> tuple[Feed, ...]:
        """One socket carries everything (section 1)."""
        url = f"{self._config.address.ws_public.removesuffix('/')}/stream"
        return (Feed("public", url, tuple(self._channels()), max_life_s=_MAX_LIFE_S),)

    def _channels(self) -> list[Channel]:
        wanted = self._config.data_types
        channels = []
        if DataType.TRADE in wanted:
            channels.append(Channel(DataType.TRADE, "", "trade"))
        if DataType.ORDERBOOK in wanted:
            depth = Channel(
                DataType.ORDERBOOK,
                "",
                "depth@100ms",
                snapshot_wait_s=_SNAPSHOT_WAIT_S,
                seed_levels=_BOOK_LIMIT,
                full_levels=_BOOK_LIMIT,
            )
            channels.append(depth)
        if DataType.TICKER in wanted:
            channels.append(Channel(DataType.TICKER, "", "ticker"))
        if DataType.CANDLES in wanted:
            channels += [Channel(DataType.CANDLES, each, f"kline_{each}") for each in self._config.candle_intervals]
        return channels

    def adapter(self, feed: Feed, instrument: Instrument) -> Adapter:
        """A fresh connection's state."""
        return BinanceAdapter(feed, instrument)

    def trade_shape(self, instrument: Instrument) -> TradeShape | None:
        """Section 4.1, as in real frames; ``E``, the time of the event, is not used."""
        native = instrument.native
        text = (
            f'{{"stream":"{native.lower()}@trade","data":{{"e":"trade","E":<number>,"s":"{native}","t":<trade_id>,'
            '"p":"<price>","q":"<size>","T":<time_ms>,"m":<side>,"M":true}}'
        )
        return TradeShape.spelt(text, buy="false", sell="true")

    def book_checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Binance sends no checksum to compare with."""
        return 0


class BinanceAdapter:
    """Binance's protocol on one connection."""

    keepalive = KEEPALIVE

    def __init__(self, feed: Feed, instrument: Instrument) -> None:
        self._native = instrument.native
        native = self._native.lower()
        self._channels = {f"{native}@{channel.name}": channel for channel in feed.channels}
        self._requests = _SUBSCRIPTION
        self._waiting: dict[int, tuple[Channel, ...]] = {}
        """Our requests that have no answer yet; those that leave a stream are for no channel."""
        self._refused: set[Channel] = set()

    def subscribe(self) -> list[str]:
        """One request for all streams."""
        self._waiting[_SUBSCRIPTION] = tuple(self._channels.values())
        return [_request("SUBSCRIBE", list(self._channels), _SUBSCRIPTION)]

    def resubscribe(self, channel: Channel) -> list[str]:
        """No frame for a book: its snapshot is fetched by REST, and its updates continue. Else subscribe again.

        A refused book has no updates yet, so it is subscribed again, too.
        """
        if channel.data_type is DataType.ORDERBOOK and channel not in self._refused:
            return []
        stream = next(name for name, known in self._channels.items() if known == channel)
        leave, join = self._requests + 1, self._requests + 2
        self._requests = join
        self._waiting |= {leave: (), join: (channel,)}
        return [_request("UNSUBSCRIBE", [stream], leave), _request("SUBSCRIBE", [stream], join)]

    def on_frame(self, frame: bytes, recv_ns: int) -> Sequence[Output]:
        """Read one frame; see the contract."""
        try:
            head = _head(frame)
            channel = self._channels.get(head.stream)
            if channel is not None:
                return (self._on_data(channel, head.data, recv_ns),)
            return self._on_control(head)
        except UNREADABLE:
            return (Malformed("not a frame of Binance's protocol"),)
        except _NotOursError:
            return (Malformed("data of another instrument"),)

    def _on_control(self, head: _EventHead) -> Sequence[Output]:
        if head.event == "serverShutdown" or head.stream == "!serverShutdown":
            return (ClosingSoon("the exchange announced that it will close the connection"),)
        if not isinstance(head.id, int) or head.id not in self._waiting:
            return (Malformed("neither data nor an answer to us"),)
        channels = self._waiting.pop(head.id)
        if head.code is None and head.error is None:
            self._refused.difference_update(channels)
            return [Acknowledged(channel) for channel in channels]
        code = head.code if head.code is not None else head.error and head.error.code
        self._refused.update(channels)
        return (Refused(f"Binance refuses a request (code {code})", permanent=bool(channels) and code in _PERMANENT),)

    def _on_data(self, channel: Channel, data: Raw, recv_ns: int) -> Output:
        match channel.data_type:
            case DataType.TRADE:
                trade = _trade(data)
                self._check(trade.symbol)
                side = _side(trade.buyer_is_maker)
                ts_event = trade.time_ms * NS_PER_MS
                return Trade(ts_event, recv_ns, str(trade.trade_id), trade.price, trade.size, side)
            case DataType.ORDERBOOK:
                depth = _depth(data)
                self._check(depth.symbol)
                return BookFrame(_delta(depth, recv_ns))
            case DataType.TICKER:
                ticker = _ticker(data)
                self._check(ticker.symbol)
                return _ticker_event(ticker, recv_ns)
            case DataType.CANDLES:
                kline = _kline(data)
                self._check(kline.symbol)
                self._check(kline.bar.symbol)
                return _candle(kline, channel, recv_ns)

    def _check(self, symbol: str) -> None:
        if symbol != self._native:
            raise _NotOursError


def _request(method: str, streams: list[str], number: int) -> str:
    return msgspec.json.encode({"method": method, "params": streams, "id": number}).decode()


def _in_url(native: str) -> str:
    """Symbols may be of any script; in URLs they are percent-encoded as UTF-8 (section 1)."""
    return quote(native, safe="")


def _side(buyer_is_maker: bool) -> Literal["buy", "sell"]:
    return "sell" if buyer_is_maker else "buy"


def _delta(row: _Depth, recv_ns: int) -> BookDelta:
    """``U == previous u + 1`` (section 5.1, step 6) in the terms of the contract: ``prev_seq`` is ``U - 1``."""
    return BookDelta(
        ts_event=row.time_ms * NS_PER_MS,
        ts_recv=recv_ns,
        bids=[_level(level) for level in row.bids],
        asks=[_level(level) for level in row.asks],
        seq=row.last_id,
        prev_seq=row.first_id - 1,
    )


def _level(level: Level) -> Level:
    """Spot writes a removed level as ``0.00000000`` (section 4.3); the streams write ``0``.

    A text that is not a number is kept: the book detects it and resynchronises.
    """
    return level if level.size.strip("0.") or not is_amount(level.size) else Level(level.price, "0")


def _ticker_event(row: _TickerEvent, recv_ns: int) -> Ticker:
    return Ticker(
        ts_event=row.time_ms * NS_PER_MS,
        ts_recv=recv_ns,
        last=row.last,
        last_size=row.last_size,
        bid=row.bid,
        bid_size=row.bid_size,
        ask=row.ask,
        ask_size=row.ask_size,
        open_24h=row.open,
        high_24h=row.high,
        low_24h=row.low,
        volume_24h=row.volume,
        quote_volume_24h=row.quote_volume,
    )


def _candle(row: _Kline, channel: Channel, recv_ns: int) -> Output:
    bar = row.bar
    if bar.interval != channel.interval:
        return Malformed("a bar of another interval")
    if not is_opening(bar.interval, bar.open_ms * NS_PER_MS):
        return Malformed("a bar that opens between two")
    return Candle(
        ts_event=row.time_ms * NS_PER_MS,
        ts_recv=recv_ns,
        interval=bar.interval,
        open_time=bar.open_ms * NS_PER_MS,
        close_time=bar.open_ms * NS_PER_MS + length_ns(bar.interval),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        quote_volume=bar.quote_volume,
        closed=bar.closed,
    )


def _read(body: bytes, decode: Callable[[bytes], _Answer]) -> _Answer:
    """A REST answer; errors are objects with a negative ``code`` (section 3).

    An unknown symbol is an error like any other here: it was listed when the run began.
    """
    try:
        return decode(body)
    except UNREADABLE as error:
        code = _code_of(body)
        what = f"error code {code}" if code else "something that is not its protocol"
        raise ExchangeUnavailableError(f"Binance answered with {what}") from error


def _code_of(body: bytes) -> int:
    try:
        return _error(body).code
    except UNREADABLE:
        return 0
