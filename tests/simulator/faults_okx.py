"""How faults speak OKX (sheet, sections 2 to 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Any

import msgspec

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
from tests.simulator.okx_bars import PERIODS
from tests.simulator.okx_channels import INST_TYPES, Arg
from tests.simulator.okx_rest import PREFIX
from tests.simulator.source import Answer, Frame, Topic, envelope

_TS = re.compile(rb'"ts":"(\d{13})"')
_PERIOD = {period.name: period for period in PERIODS}
_PAGES = {
    "/market/trades": Page.TRADES,
    "/market/history-trades": Page.TRADES,
    "/market/candles": Page.CANDLES,
    "/market/history-candles": Page.CANDLES,
    "/market/books": Page.BOOK,
}
_CLASSES = {"trades": "trade", "trades-all": "trade", "tickers": "ticker", "bbo-tbt": "orderbook"}
_BOOK_DEPTH = 400
_MINUTE_MS = 60_000


class OkxDialect:
    """See Dialect."""

    def place(self, topic: Topic) -> Place:
        """See Dialect."""
        if not isinstance(topic, Arg):
            return Place("", "", "")
        name = topic.channel
        channel = _CLASSES.get(name, name)
        for prefix, of in (("books", "orderbook"), ("candle", "candle")):
            channel = of if name.startswith(prefix) else channel
        return Place(channel, name, topic.inst_id or "")

    def is_pong(self, frame: Frame) -> bool:
        """See Dialect."""
        return frame.text == b"pong"

    def refusal(self, text: str | bytes, conn_id: str, code: str) -> bytes | None:
        """See Dialect. The refusal names no arg."""
        request = _decoded(text)
        if not isinstance(request, dict) or request.get("op") != "subscribe":
            return None
        head = {"id": request["id"]} if "id" in request else {}
        msg = "Requests too frequent" if code in ("60014", "60023") else "Internal system error"
        return msgspec.json.encode({**head, "event": "error", "code": code, "msg": msg, "connId": conn_id})

    def unknown(self, style: str) -> bytes:
        """See Dialect."""
        if style == "event":
            return b'{"event":"channel-weather","channel":"trades","forecast":"12","connId":"00000000"}'
        return b'{"arg":{"channel":"books-weather","instId":"BTC-USDT"},"data":[{"px":"1","kind":7,"more":[[]]}]}'

    def with_extra(self, text: bytes) -> bytes:
        """See Dialect. Rows that are arrays stay: their length is documented."""
        frame = msgspec.json.decode(text)
        frame["seal"] = {"of": ["nothing", None]}
        for row in frame.get("data", ()):
            if isinstance(row, dict):
                row["tide"] = "3"
        return msgspec.json.encode(frame)

    def shifted(self, text: bytes, by_ms: int) -> bytes:
        """See Dialect. Every time but that of a candle is called ts."""
        return _TS.sub(lambda found: b'"ts":"%d"' % (int(found[1]) + by_ms), text)

    def limited(self) -> bytes:
        """See Dialect."""
        return envelope([], "50011", "Too Many Requests").body

    def broken(self) -> bytes:
        """See Dialect."""
        return envelope([], "50026", "System error. Try again later").body

    def page(self, path: str) -> Page:
        """See Dialect."""
        return _PAGES.get(path.removeprefix(PREFIX), Page.OTHER)

    def instrument(self, query: Query) -> str:
        """See Dialect."""
        return query.get("instId", "")

    def is_success(self, answer: Answer) -> bool:
        """See Dialect."""
        return bool(self.rows(answer))

    def rows(self, answer: Answer) -> list[Row] | None:
        """See Dialect."""
        body = _decoded(answer.body)
        if answer.status != 200 or not isinstance(body, dict) or body.get("code") != "0":
            return None
        rows: list[Row] = body["data"]
        return rows

    def with_rows(self, rows: Sequence[Row]) -> bytes:
        """See Dialect."""
        return envelope(rows).body

    def trade_id(self, row: Row) -> int:
        """See Dialect."""
        return int(_member(row, "tradeId"))

    def trade_ms(self, row: Row) -> int:
        """See Dialect."""
        return int(_member(row, "ts"))

    def end_ms(self, row: Row, query: Query) -> int:
        """See Dialect."""
        return _PERIOD[query.get("bar", "1m")].next_open(int(_member(row, 0)))

    def renamed(self, row: Row) -> Row:
        """See Dialect."""
        return self._named(row) if isinstance(row, dict) and "instId" in row else row

    @staticmethod
    def _named(row: dict[str, object]) -> dict[str, object]:
        return {**row, "instId": "PEPE-USDC" if row["instId"] != "PEPE-USDC" else "BTC-USDT"}

    def false_trade(self, text: bytes, by: int, at_ms: int) -> bytes | None:
        """See Dialect."""
        frame = msgspec.json.decode(text)
        row = frame["data"][-1]
        false = {**row, "tradeId": str(int(row["tradeId"]) + by), "ts": str(at_ms), "px": FALSE_PRICE}
        return msgspec.json.encode({**frame, "data": [false]})

    def bar(self, text: bytes) -> tuple[int, int] | None:
        """See Dialect."""
        frame = msgspec.json.decode(text)
        period = _PERIOD.get(frame["arg"]["channel"].removeprefix("candle"))
        open_ms = int(frame["data"][-1][0])
        return None if period is None else (open_ms, period.next_open(open_ms))

    def false_bar(self, text: bytes, by_ms: int, *, closed: bool) -> bytes:
        """See Dialect."""
        frame = msgspec.json.decode(text)
        row = frame["data"][-1]
        false = [str(int(row[0]) + by_ms), *row[1:-1], "1" if closed else "0"]
        return msgspec.json.encode({**frame, "data": [false]})

    def of_another(self, text: bytes, rng: Random) -> bytes | None:
        """See Dialect. Only trades and tickers name an instrument in their rows."""
        frame = msgspec.json.decode(text)
        rows = [row for row in frame["data"] if isinstance(row, dict) and "instId" in row]
        if not rows:
            return None
        prices = {name: OTHERS_PRICE for name in ("px", "last", "askPx", "bidPx") if name in rows[0]}
        return msgspec.json.encode({**frame, "data": [{**self._named(row), **prices} for row in rows]})

    def false_book(self, text: bytes, style: FalseBookStyle) -> bytes | None:
        """See Dialect."""
        frame = msgspec.json.decode(text)
        row = frame["data"][-1]
        if frame.get("action") != "update":
            return None
        false = {**row, "bids": [], "asks": [[*FALSE_LEVELS[style], "0", "1"]]}
        if style == "behind":
            false |= {"prevSeqId": row["prevSeqId"] - TOO_LOW_BY, "seqId": row["seqId"] - TOO_LOW_BY}
        return msgspec.json.encode({**frame, "data": [false]})

    def stray_refusal(self, rng: Random) -> bytes:
        """See Dialect."""
        code = rng.choice(("60018", "60012", "64000", "60014", "60004", "1", ""))
        head = rng.choice(({"id": "zz9"}, {"id": "r999"}))
        return msgspec.json.encode({**head, "event": "error", "code": code, "msg": "?", "connId": "00000000"})

    def row_number(self, row: Row) -> int:
        """See Dialect."""
        return int(_member(row, 0 if isinstance(row, list) else "tradeId"))

    def false_row(self, row: Row, by: int, at_ms: int) -> Row:
        """See Dialect."""
        if isinstance(row, list):
            return [str(int(_member(row, 0)) + (by + 2) * _MINUTE_MS), *row[1:-1], "1"]
        return {**row, "tradeId": str(self.trade_id(row) + by), "ts": str(at_ms), "px": FALSE_PRICE}

    def without_levels(self, answer: Answer, sides: Collection[str]) -> bytes:
        """See Dialect."""
        book: Any = _decoded(answer.body)["data"][0]
        return envelope([{**book, **{side: [] for side in sides}}]).body

    def next_page(self, path: str, query: Query, rows: Sequence[Row]) -> Query | None:
        """See Dialect. Rows are newest first."""
        if not path.endswith("/history-trades") or query.get("type", "1") != "1" or not rows:
            return None
        return {**query, "after": str(min(map(self.trade_id, rows)))}

    def whole_book(self, instrument: str, now_ms: int) -> Request:
        """See Dialect."""
        return Request(f"{PREFIX}/market/books", {"instId": instrument, "sz": str(_BOOK_DEPTH)}, now_ms)

    def cut_book(self, answer: Answer, query: Query) -> bytes:
        """See Dialect."""
        depth = int(query.get("sz", "1"))
        book: Any = _decoded(answer.body)["data"][0]
        return envelope([{**book, "asks": book["asks"][:depth], "bids": book["bids"][:depth]}]).body

    def instruments(self, ask: Callable[[Request], Answer], now_ms: int) -> list[str]:
        """See Dialect."""
        path = f"{PREFIX}/public/instruments"
        answers = [ask(Request(path, {"instType": kind, "instFamily": ""}, now_ms)) for kind in INST_TYPES]
        return [str(_member(row, "instId")) for answer in answers for row in self.rows(answer) or ()]


def _member(row: Row, key: str | int) -> Any:
    return row[key]  # type: ignore[index]


def _decoded(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
