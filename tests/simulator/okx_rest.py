"""OKX REST pages of a generated market (sheet, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulator.market import Market
from tests.simulator.okx_bars import BARS
from tests.simulator.okx_channels import INST_TYPES
from tests.simulator.okx_feed import SymbolFeed
from tests.simulator.okx_frames import candle_row, level_rows, ticker_row, trade_row
from tests.simulator.okx_instruments import describe, inst_type
from tests.simulator.source import Answer, envelope

PREFIX = "/api/v5"
Query = Mapping[str, str]


class _RefusedError(Exception):
    """A request that OKX answers with a code, HTTP 200."""

    def __init__(self, code: str, msg: str) -> None:
        super().__init__(msg)
        self.code = code


class OkxRest:
    """Answers GET requests; reads the market, never changes it.

    Limits above the maximum are refused with 51000, so that a client's mistake is seen.

    Args:
        market: Trades, candles, clock.
        feeds: Books as REST shows them, by instId.
        states: State of each instrument; ``expired`` ones no longer exist.
    """

    def __init__(self, market: Market, feeds: Mapping[str, SymbolFeed], states: Mapping[str, str]) -> None:
        self._market = market
        self._feeds = feeds
        self._states = states
        self._pages: dict[str, Callable[[Query], list[object]]] = {
            "/market/trades": self._trades,
            "/market/history-trades": self._history_trades,
            "/market/candles": self._candles,
            "/market/history-candles": self._history_candles,
            "/market/books": self._books,
            "/market/books-full": self._books_full,
            "/market/ticker": lambda query: [ticker_row(self._feed(query).desk, market.now_ms)],
            "/market/tickers": self._tickers,
            "/public/instruments": self._instruments,
            "/system/status": lambda _: [status_row(market.now_ms)],
        }

    def answer(self, path: str, query: Query, now_ms: int) -> Answer:
        """Answer one request; unknown paths get HTTP 404."""
        path = path.removeprefix(PREFIX)
        if path == "/public/time":
            return envelope([{"ts": str(now_ms)}])
        page = self._pages.get(path)
        if page is None:
            return envelope([], "404", "Not Found", 404)
        try:
            return envelope(page(query))
        except _RefusedError as refusal:
            return envelope([], refusal.code, str(refusal))

    def exists(self, inst_id: str) -> bool:
        """Whether an instId can be asked for."""
        return self._states.get(inst_id, "expired") != "expired"

    def _feed(self, query: Query) -> SymbolFeed:
        inst_id = query.get("instId")
        if not inst_id:
            raise _RefusedError("51000", "Parameter instId error")
        if not self.exists(inst_id):
            raise _RefusedError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return self._feeds[inst_id]

    def _trades(self, query: Query) -> list[object]:
        desk = self._feed(query).desk
        newest = desk.history.between()[-_limit(query, 100, 500) :]
        return [trade_row(desk.instrument, trade) for trade in reversed(newest)]

    def _history_trades(self, query: Query) -> list[object]:
        """`after` and `before` exclude themselves; before alone gives the newest page."""
        desk = self._feed(query).desk
        after, before = _integer(query, "after"), _integer(query, "before")
        if query.get("type", "1") == "1":
            found = desk.history.between(above_id=before, below_id=after)
        elif before is not None:
            raise _RefusedError("50039", "Parameter before does not support pagination by timestamp")
        else:
            found = desk.history.between() if after is None else desk.history.before(after)
        return [trade_row(desk.instrument, trade) for trade in reversed(found[-_limit(query, 100, 100) :])]

    def _candles(self, query: Query) -> list[object]:
        if query.get("bar") == "1s":  # only the history has seconds
            raise _RefusedError("51000", "Parameter bar error")
        return self._bars(query, 1_440)

    def _history_candles(self, query: Query) -> list[object]:
        return self._bars(query, None)

    def _bars(self, query: Query, most: int | None) -> list[object]:
        desk = self._feed(query).desk
        bar = query.get("bar", "1m")
        if bar not in BARS:
            raise _RefusedError("51000", "Parameter bar error")
        series = desk.candles[bar]
        bars = [*((candle, True) for candle in series.closed), (series.running, False)]
        after, before = _integer(query, "after"), _integer(query, "before")
        found = [
            candle_row(desk.instrument, candle, closed=closed)
            for candle, closed in (bars if most is None else bars[-most:])
            if (after is None or candle.open_ms < after) and (before is None or candle.open_ms > before)
        ]
        return [*reversed(found[-_limit(query, 100, 300) :])]

    def _books(self, query: Query) -> list[object]:
        return [self._feed(query).book.rest(_limit(query, 1, 400, "sz"))]

    def _books_full(self, query: Query) -> list[object]:
        """Three fields per level and no seqId."""
        desk, depth = self._feed(query).desk, _limit(query, 1, 5_000, "sz")
        sides = {"asks": desk.book.asks, "bids": desk.book.bids}
        rows = {
            side: [[px, sz, orders] for px, sz, _, orders in level_rows(desk.instrument, ladder.top(depth))]
            for side, ladder in sides.items()
        }
        return [{**rows, "ts": str(desk.book_ms)}]

    def _of_type(self, query: Query) -> list[SymbolFeed]:
        if query.get("instType") not in INST_TYPES:
            raise _RefusedError("51000", "Parameter instType error")
        return [
            feed
            for inst_id, feed in self._feeds.items()
            if inst_type(inst_id) == query["instType"] and self.exists(inst_id)
        ]

    def _tickers(self, query: Query) -> list[object]:
        return [ticker_row(feed.desk, self._market.now_ms) for feed in self._of_type(query)]

    def _instruments(self, query: Query) -> list[object]:
        feeds = self._of_type(query)
        if query["instType"] == "OPTION" and not query.get("instFamily"):
            raise _RefusedError("51000", "Parameter instFamily error")
        rows = [describe(b.desk.instrument, self._states[b.desk.instrument.name]) for b in feeds]
        for field in ("instId", "instFamily"):
            if wanted := query.get(field):
                rows = [row for row in rows if row[field] == wanted]
        if query.get("instId") and not rows:
            raise _RefusedError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return [*rows]


def status_row(now_ms: int) -> dict[str, object]:
    """The latest item of maintenance: one that is over (sheet, section 7)."""
    return {
        "title": "Trading system upgrade",
        "state": "completed",
        "begin": str(now_ms - 7_200_000),
        "end": str(now_ms - 3_600_000),
        "serviceType": "0",
        "maintType": "1",
        "env": "1",
        "ts": str(now_ms - 3_600_000),
    }


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise _RefusedError("51000", f"Parameter {name} error")
    return int(text)


def _limit(query: Query, default: int, most: int, name: str = "limit") -> int:
    count = _integer(query, name)
    if count is None:
        return default
    if not 1 <= count <= most:
        raise _RefusedError("51000", f"Parameter {name} error")
    return count
