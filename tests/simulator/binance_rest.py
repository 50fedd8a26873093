"""Binance spot REST pages of a generated market (sheet, sections 5.3 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from tests.simulator.binance_feed import SymbolFeed
from tests.simulator.binance_frames import aggregate_fields, depth_levels
from tests.simulator.binance_instruments import describe
from tests.simulator.binance_query import (
    BAD_INTERVAL,
    BAD_SYMBOL,
    WRONG_STATUS,
    Query,
    RefusedError,
    integer,
    limit_of,
    reject_unknown,
    required,
    symbols_of,
)
from tests.simulator.binance_weights import Weights
from tests.simulator.candles import CandleSeries
from tests.simulator.events import Candle, Side, Trade
from tests.simulator.instruments import Instrument
from tests.simulator.source import Answer

PREFIX = "/api/v3"
DELISTED = "DELISTED"
"""Our word for a symbol that is no longer there; never shown."""
MAX_DEPTH = 5_000
"""Levels a side of the largest depth snapshot."""
_RAW_REQUESTS = 300_000


@dataclass(frozen=True, slots=True)
class _Page:
    """One endpoint.

    Attributes:
        rows: Makes the body of the answer, given query and time.
        params: Parameters it knows.
        weight: Weight, given the query.
    """

    rows: Callable[[Query, int], object]
    params: frozenset[str]
    weight: Callable[[Query], int]


class BinanceRest:
    """Answers GET requests; reads the market, never changes it.

    Values above a maximum are refused, so that a client's mistake is seen.

    Args:
        feeds: Symbols in order.
        states: Status of each symbol.
        weights: Budget of the address.
    """

    def __init__(self, feeds: Mapping[str, SymbolFeed], states: Mapping[str, str], weights: Weights) -> None:
        self._feeds = feeds
        self._states = states
        self._weights = weights

        def page(rows: Callable[[Query, int], object], params: str, weight: int) -> _Page:
            return _Page(rows, frozenset(params.split()), lambda _: weight)

        self._pages = {
            "/ping": page(lambda *_: {}, "", 1),
            "/time": page(lambda _, now_ms: {"serverTime": now_ms}, "", 1),
            "/exchangeInfo": page(self._exchange_info, "symbol symbols symbolStatus", 20),
            "/depth": _Page(self._depth, frozenset(("symbol", "limit")), depth_weight),
            "/trades": page(self._trades, "symbol limit", 25),
            "/historicalTrades": page(self._historical_trades, "symbol limit fromId", 25),
            "/aggTrades": page(self._agg_trades, "symbol limit fromId startTime endTime", 4),
            "/klines": page(self._klines, "symbol interval limit startTime endTime", 2),
        }

    def answer(self, path: str, query: Query, now_ms: int) -> Answer:
        """Answer one request; unknown paths get HTTP 404 and cost nothing."""
        page = self._pages.get(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if page is None:
            return Answer(404, b"{}")
        return weighed(self._weights, page.weight(query), now_ms, lambda: self._rows(page, query, now_ms))

    def exists(self, symbol: str) -> bool:
        """Whether a symbol can be asked for."""
        return self._states.get(symbol, DELISTED) != DELISTED

    def _rows(self, page: _Page, query: Query, now_ms: int) -> object:
        reject_unknown(query, page.params)
        return page.rows(query, now_ms)

    def _feed(self, query: Query) -> SymbolFeed:
        symbol = required(query, "symbol")
        if not self.exists(symbol):
            raise RefusedError(*BAD_SYMBOL)
        return self._feeds[symbol]

    def _exchange_info(self, query: Query, now_ms: int) -> object:
        requested = symbols_of(query)
        if requested is not None and not all(self.exists(symbol) for symbol in requested):
            raise RefusedError(*BAD_SYMBOL)
        rows = {
            symbol: (self._feeds[symbol].desk.instrument, self._states[symbol])
            for symbol in (requested or self._feeds)
            if self.exists(symbol)
        }
        if wanted := query.get("symbolStatus"):
            rows = {symbol: row for symbol, row in rows.items() if row[1] == wanted}
            if requested is not None and not rows:
                raise RefusedError(*WRONG_STATUS)
        return exchange_info(rows, self._weights.limit, now_ms)

    def _depth(self, query: Query, _: int) -> object:
        """The book as of `shown_id` (section 5.3)."""
        feed, levels = self._feed(query), limit_of(query, 100, MAX_DEPTH)
        desk = feed.desk
        book = desk.journal.book_at(feed.shown_id) or desk.book
        bids, asks = (depth_levels(desk.instrument, ladder.top(levels)) for ladder in (book.bids, book.asks))
        return {"lastUpdateId": feed.shown_id, "bids": bids, "asks": asks}

    def _trades(self, query: Query, _: int) -> object:
        desk = self._feed(query).desk
        return [_trade_row(desk.instrument, trade) for trade in desk.history.between()[-limit_of(query) :]]

    def _historical_trades(self, query: Query, _: int) -> object:
        """`fromId` is inclusive; one that is too old gives the oldest rows that are left."""
        desk, limit, first = self._feed(query).desk, limit_of(query), integer(query, "fromId")
        found = desk.history.between()[-limit:] if first is None else desk.history.between(above_id=first - 1)[:limit]
        return [_trade_row(desk.instrument, trade) for trade in found]

    def _agg_trades(self, query: Query, _: int) -> object:
        feed, limit, first = self._feed(query), limit_of(query), integer(query, "fromId")
        start, end = integer(query, "startTime"), integer(query, "endTime")
        found = [
            row
            for row in feed.aggregates.history.between(above_id=None if first is None else first - 1)
            if (start is None or row.ts_ms >= start) and (end is None or row.ts_ms <= end)
        ]
        found = found[-limit:] if first is None and start is None else found[:limit]
        return [aggregate_fields(feed.desk.instrument, row) for row in found]

    def _klines(self, query: Query, _: int) -> object:
        desk, interval = self._feed(query).desk, required(query, "interval")
        if interval not in desk.candles:
            raise RefusedError(*BAD_INTERVAL)
        series, limit = desk.candles[interval], limit_of(query)
        start, end = integer(query, "startTime"), integer(query, "endTime")
        found = [
            candle
            for candle in (*series.closed, series.running)
            if (start is None or candle.open_ms >= start) and (end is None or candle.open_ms <= end)
        ]
        found = found[-limit:] if start is None else found[:limit]
        return [_kline_row(desk.instrument, series, candle) for candle in found]


def weighed(weights: Weights, weight: int, now_ms: int, body: Callable[[], object]) -> Answer:
    """Charge a request and answer it: with a body, an error of HTTP 400, or 429 if the budget is used up."""
    wait_s = weights.spend(weight, now_ms)
    used = ("X-MBX-USED-WEIGHT-1M", str(weights.used))
    if wait_s is not None:
        limit = f"current limit is {weights.limit} request weight per 1 MINUTE"
        error = RefusedError(-1003, f"Too much request weight used; {limit}. Please use WebSocket Streams.")
        return Answer(429, error.body, (used, ("Retry-After", str(wait_s))))
    try:
        return Answer(200, msgspec.json.encode(body()), (used,))
    except RefusedError as refusal:
        return Answer(400, refusal.body, (used,))


def depth_weight(query: Query) -> int:
    """5, 25, 50 or 250, by the levels asked for; a bad limit costs as little as the default (section 5.3)."""
    text = query.get("limit", "")
    levels = int(text) if text.isascii() and text.isdigit() else 0
    return next((weight for most, weight in ((100, 5), (500, 25), (1_000, 50)) if levels <= most), 250)


def exchange_info(rows: Mapping[str, tuple[Instrument, str]], weight_limit: int, now_ms: int) -> dict[str, object]:
    """The body of GET /exchangeInfo; `rows` holds instrument and status of each symbol."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": _RAW_REQUESTS},
        ],
        "exchangeFilters": [],
        "symbols": [describe(instrument, status) for instrument, status in rows.values()],
    }


def _trade_row(instrument: Instrument, trade: Trade) -> dict[str, object]:
    return {
        "id": trade.trade_id,
        "price": instrument.price_text(trade.price),
        "qty": instrument.size_text(trade.size),
        "quoteQty": instrument.quote_text(instrument.amounts(trade.price, trade.size)[1]),
        "time": trade.ts_ms,
        "isBuyerMaker": trade.side is Side.ASK,
        "isBestMatch": True,
    }


def _kline_row(instrument: Instrument, series: CandleSeries, candle: Candle) -> list[object]:
    """Twelve elements: times and counts are numbers, the rest text (section 6)."""
    price = instrument.price_text
    return [
        candle.open_ms,
        *(price(value) for value in (candle.open, candle.high, candle.low, candle.close)),
        instrument.base_text(candle.base),
        series.period.next_open(candle.open_ms) - 1,
        instrument.quote_text(candle.quote),
        candle.trades,
        instrument.base_text(candle.taker_base),
        instrument.quote_text(candle.taker_quote),
        "0",
    ]
