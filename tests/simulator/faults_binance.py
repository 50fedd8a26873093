"""How faults speak Binance (sheet, sections 3 to 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Any

import msgspec

from tests.simulator.binance_streams import Stream
from tests.simulator.faults_dialect import (
    FALSE_LEVELS,
    FALSE_PRICE,
    OTHERS_PRICE,
    TOO_LOW_BY,
    Page,
    Place,
    Query,
    Request,
    Row,
)
from tests.simulator.faults_hostile import FalseBookStyle
from tests.simulator.source import Answer, Frame, Topic

_TIME = re.compile(rb'"(E|T|time|serverTime)":(\d{13})(?=[,}])')
_PAGES = {
    "aggTrades": Page.TRADES,
    "historicalTrades": Page.TRADES,
    "trades": Page.TRADES,
    "klines": Page.CANDLES,
    "depth": Page.BOOK,
}
_CLASSES = (
    ("aggtrade", "trade"),
    ("trade", "trade"),
    ("depth", "orderbook"),
    ("kline", "candle"),
    ("bookticker", "ticker"),
    ("ticker", "ticker"),
    ("miniticker", "ticker"),
)
_SPOT = "/api/v3"
_MINUTE_MS = 60_000
_STRAY = (
    {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."},
    {"code": -1003, "msg": "Too many requests."},
    {"error": {"code": -1008, "msg": "Server is currently overloaded with other requests."}},
    {"id": 987_654, "error": {"code": 2, "msg": "Invalid request"}},
    {"id": "zz9", "code": 0, "msg": "Unknown property"},
    {"id": None, "code": 3, "msg": "Invalid JSON"},
)
"""Errors in all the forms that Binance gives them (sheet, section 3)."""
_BOOK_DEPTH = 1_000
"""Not the deepest, but enough for a collector, and a fifth of its weight (sheet 5.3)."""


class BinanceDialect:
    """See Dialect."""

    def place(self, topic: Topic) -> Place:
        """See Dialect."""
        symbol, _, name = (topic.stream if isinstance(topic, Stream) else "").partition("@")
        channel = next((of for prefix, of in _CLASSES if name.lower().startswith(prefix)), name)
        return Place(channel, name, symbol.upper())

    def is_pong(self, frame: Frame) -> bool:
        """See Dialect. Pings are the protocol's own: no frame answers them."""
        return False

    def refusal(self, text: str | bytes, conn_id: str, code: str) -> bytes | None:
        """See Dialect. No error of a subscription is temporary (sheet, section 3)."""
        return None

    def unknown(self, style: str) -> bytes:
        """See Dialect."""
        if style == "event":
            return b'{"e":"weatherUpdate","E":1770123456789,"w":{"c":12}}'
        return b'{"stream":"btcusdt@weather","data":{"e":"weather","E":1770123456789,"s":"BTCUSDT","w":[[]]}}'

    def with_extra(self, text: bytes) -> bytes:
        """See Dialect."""
        frame = msgspec.json.decode(text)
        if isinstance(frame, dict):
            for part in (frame, frame.get("data"), frame.get("k")):
                if isinstance(part, dict):
                    part["seal"] = {"of": ["nothing", None]}
        return msgspec.json.encode(frame)

    def shifted(self, text: bytes, by_ms: int) -> bytes:
        """See Dialect. Within ``"k"``, T is the end of a candle."""
        head, candle, rest = text.partition(b'"k":{')
        return _TIME.sub(lambda found: b'"%s":%d' % (found[1], int(found[2]) + by_ms), head) + candle + rest

    def limited(self) -> bytes:
        """See Dialect."""
        return b'{"code":-1003,"msg":"Too many requests."}'

    def broken(self) -> bytes:
        """See Dialect."""
        return b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}'

    def page(self, path: str) -> Page:
        """See Dialect."""
        return _PAGES.get(path.rpartition("/")[2], Page.OTHER)

    def instrument(self, query: Query) -> str:
        """See Dialect."""
        return query.get("symbol", "")

    def is_success(self, answer: Answer) -> bool:
        """See Dialect."""
        return answer.status == 200

    def rows(self, answer: Answer) -> list[Row] | None:
        """See Dialect."""
        body = _decoded(answer.body)
        return body if answer.status == 200 and isinstance(body, list) else None

    def with_rows(self, rows: Sequence[Row]) -> bytes:
        """See Dialect."""
        return msgspec.json.encode(rows)

    def trade_id(self, row: Row) -> int:
        """See Dialect. The aggregate's own id, where it is one."""
        return int(_member(row, "a") if "a" in row else _member(row, "id"))

    def trade_ms(self, row: Row) -> int:
        """See Dialect."""
        return int(_member(row, "T") if "T" in row else _member(row, "time"))

    def end_ms(self, row: Row, query: Query) -> int:
        """See Dialect."""
        return int(_member(row, 6)) + 1

    def renamed(self, row: Row) -> Row:
        """See Dialect. Rows name no symbol: one could not tell."""
        return row

    def false_trade(self, text: bytes, by: int, at_ms: int) -> bytes | None:
        """See Dialect."""
        frame, data = _opened(text)
        number = "a" if "a" in data else "t"
        data |= {number: data[number] + by, "E": at_ms, "T": at_ms, "p": FALSE_PRICE}
        return msgspec.json.encode(frame)

    def bar(self, text: bytes) -> tuple[int, int] | None:
        """See Dialect."""
        bar = _opened(text)[1]["k"]
        return bar["t"], bar["T"] + 1

    def false_bar(self, text: bytes, by_ms: int, *, closed: bool) -> bytes:
        """See Dialect."""
        frame, data = _opened(text)
        bar = data["k"]
        bar |= {"t": bar["t"] + by_ms, "T": bar["T"] + by_ms, "x": closed}
        return msgspec.json.encode(frame)

    def of_another(self, text: bytes, rng: Random) -> bytes | None:
        """See Dialect. A bar names its symbol twice: in either place, or in both, it may be another one."""
        frame, data = _opened(text)
        bar = data.get("k")
        named = [data] if bar is None else rng.choice(([data], [bar], [data, bar]))
        for part in named:
            part["s"] = "DOGEUSDT"
        for name in ("p", "c", "o", "b", "a"):
            levels = (data if bar is None else bar).get(name)
            if isinstance(levels, str):
                (data if bar is None else bar)[name] = OTHERS_PRICE
            elif levels:
                levels.append([OTHERS_PRICE, "1"])
        return msgspec.json.encode(frame)

    def false_book(self, text: bytes, style: FalseBookStyle) -> bytes | None:
        """See Dialect."""
        frame, data = _opened(text)
        if "U" not in data:
            return None
        data |= {"b": [], "a": [FALSE_LEVELS[style]]}
        if style == "behind":
            data |= {"U": data["U"] - TOO_LOW_BY, "u": data["u"] - TOO_LOW_BY}
        return msgspec.json.encode(frame)

    def stray_refusal(self, rng: Random) -> bytes:
        """See Dialect."""
        return msgspec.json.encode(rng.choice(_STRAY))

    def row_number(self, row: Row) -> int:
        """See Dialect."""
        return int(_member(row, 0)) if isinstance(row, list) else self.trade_id(row)

    def false_row(self, row: Row, by: int, at_ms: int) -> Row:
        """See Dialect."""
        if isinstance(row, list):
            by_ms = (by + 2) * _MINUTE_MS
            return [_member(row, 0) + by_ms, *row[1:6], _member(row, 6) + by_ms, *row[7:]]
        number, time, price = ("a", "T", "p") if "a" in row else ("id", "time", "price")
        return {**row, number: self.trade_id(row) + by, time: at_ms, price: FALSE_PRICE}

    def without_levels(self, answer: Answer, sides: Collection[str]) -> bytes:
        """See Dialect."""
        return msgspec.json.encode({**_decoded(answer.body), **{side: [] for side in sides}})

    def next_page(self, path: str, query: Query, rows: Sequence[Row]) -> Query | None:
        """See Dialect. Rows are oldest first; without fromId they are the newest, and nothing follows."""
        if "fromId" not in query or not rows:
            return None
        return {**query, "fromId": str(max(map(self.trade_id, rows)) + 1)}

    def whole_book(self, instrument: str, now_ms: int) -> Request:
        """See Dialect."""
        return Request(f"{_SPOT}/depth", {"symbol": instrument, "limit": str(_BOOK_DEPTH)}, now_ms)

    def cut_book(self, answer: Answer, query: Query) -> bytes:
        """See Dialect."""
        depth = int(query.get("limit", "100"))
        book: Any = _decoded(answer.body)
        return msgspec.json.encode({**book, "bids": book["bids"][:depth], "asks": book["asks"][:depth]})

    def instruments(self, ask: Callable[[Request], Answer], now_ms: int) -> list[str]:
        """See Dialect."""
        body = _decoded(ask(Request(f"{_SPOT}/exchangeInfo", {}, now_ms)).body)
        return [row["symbol"] for row in body["symbols"]] if isinstance(body, dict) and "symbols" in body else []


def _opened(text: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """A frame, and the event in it, which is the frame itself where it is not combined."""
    frame = msgspec.json.decode(text)
    return frame, frame.get("data", frame)


def _member(row: Row, key: str | int) -> Any:
    return row[key]  # type: ignore[index]


def _decoded(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
