"""The texts of OKX data frames and the rows that REST shares with them (sheet, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import msgspec

from tests.simulator.desk import Desk
from tests.simulator.events import Candle, Level, Side, TakerOrder, Trade
from tests.simulator.instruments import Instrument, Settlement, decimal_text
from tests.simulator.okx_channels import Arg
from tests.simulator.okx_instruments import inst_type

Row = dict[str, object]
_encode = msgspec.json.Encoder().encode


def frame(arg: Arg, data: Sequence[object], action: str | None = None) -> bytes:
    """One data frame; only incremental books carry an action."""
    if action is None:
        return _encode({"arg": arg, "data": data})
    return _encode({"arg": arg, "action": action, "data": data})


def notice(conn_id: str) -> bytes:
    """The announcement of a forced close, 60 s ahead (sheet, section 2)."""
    msg = "The connection will soon be closed for a service upgrade. Please reconnect."
    return _encode({"event": "notice", "code": "64008", "msg": msg, "connId": conn_id})


def trade_row(instrument: Instrument, trade: Trade) -> Row:
    """One match, as on `trades-all` and on both REST trade endpoints (sheet 4.1, section 6)."""
    return {
        "instId": instrument.name,
        "tradeId": str(trade.trade_id),
        "px": instrument.price_text(trade.price),
        "sz": instrument.size_text(trade.size),
        "side": trade.side.taker,
        "ts": str(trade.ts_ms),
        "source": "0",
    }


def aggregate_rows(instrument: Instrument, order: TakerOrder) -> list[Row]:
    """`trades`: matches of one taker order at one price merged, under the last id (sheet 4.1)."""
    rows = []
    for _, group in groupby(order.trades, key=lambda trade: trade.price):
        matches = list(group)
        last = matches[-1]
        merged = Trade(last.trade_id, last.ts_ms, last.side, last.price, sum(match.size for match in matches))
        row = trade_row(instrument, merged)
        rows.append({**row, "count": str(len(matches)), "seqId": order.seq})
    return rows


def ticker_row(desk: Desk, now_ms: int) -> Row:
    """`tickers` and GET /market/ticker (sheet 4.2): best prices of the book, last of the history."""
    instrument, day = desk.instrument, desk.day.last_day()
    price = instrument.price_text
    ask, bid = desk.book.asks.best(), desk.book.bids.best()
    return {
        "instType": inst_type(instrument.name),
        "instId": instrument.name,
        "last": price(desk.last_price),
        "lastSz": instrument.size_text(desk.last_order.trades[-1].size if desk.last_order else 0),
        "askPx": price(ask.price) if ask else "",
        "askSz": instrument.size_text(ask.size) if ask else "0",
        "bidPx": price(bid.price) if bid else "",
        "bidSz": instrument.size_text(bid.size) if bid else "0",
        "open24h": price(day.open),
        "high24h": price(day.high),
        "low24h": price(day.low),
        "sodUtc0": price(desk.day.open_utc0),
        "sodUtc8": price(desk.day.open_utc8),
        "volCcy24h": _currency_volume(instrument, day),
        "vol24h": instrument.size_text(day.volume),
        "ts": str(now_ms),
    }


def candle_row(instrument: Instrument, candle: Candle, *, closed: bool) -> list[str]:
    """[ts, open, high, low, close, vol, volCcy, volCcyQuote, confirm] (sheet 4.4)."""
    price = instrument.price_text
    return [
        str(candle.open_ms),
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        instrument.size_text(candle.volume),
        _currency_volume(instrument, candle),
        decimal_text(candle.quote, instrument.quote_places),
        "1" if closed else "0",
    ]


def level_rows(instrument: Instrument, levels: Iterable[Level]) -> list[list[str]]:
    """[px, sz, "0", orderCount] (sheet 4.3)."""
    price, size = instrument.price_text, instrument.size_text
    return [[price(level.price), size(level.size), "0", str(level.orders)] for level in levels]


def book_row(instrument: Instrument, sides: Mapping[Side, Iterable[Level]], ts_ms: int, seq: int) -> Row:
    """Asks and bids of any book channel or of GET /market/books (sheet, section 5)."""
    return {
        "asks": level_rows(instrument, sides[Side.ASK]),
        "bids": level_rows(instrument, sides[Side.BID]),
        "ts": str(ts_ms),
        "seqId": seq,
    }


def _currency_volume(instrument: Instrument, bar: Candle) -> str:
    """`volCcy`: quote for spot, base for derivatives (sheet 4.2 and 4.4)."""
    if instrument.settlement is Settlement.SPOT:
        return decimal_text(bar.quote, instrument.quote_places)
    return decimal_text(bar.base, instrument.base_places)
