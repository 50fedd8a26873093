"""The payloads of Binance spot streams (sheet, sections 2 and 4)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tests.simulator.binance_aggregates import Aggregate
from tests.simulator.binance_instruments import WIRE_PLACES
from tests.simulator.candles import DAY_MS
from tests.simulator.desk import Desk
from tests.simulator.events import Candle, Level, Side, Trade
from tests.simulator.instruments import Instrument, fixed_text

_PERCENT_PLACES = 3
encode = msgspec.json.Encoder().encode


def trade(instrument: Instrument, match: Trade, now_ms: int) -> bytes:
    """`trade`: one match (section 4.1); ``m`` is true if the taker sold."""
    return encode(
        {
            "e": "trade",
            "E": now_ms,
            "s": instrument.name,
            "t": match.trade_id,
            "p": instrument.price_text(match.price),
            "q": instrument.size_text(match.size),
            "T": match.ts_ms,
            "m": match.side is Side.ASK,
            "M": True,
        }
    )


def agg_trade(instrument: Instrument, row: Aggregate, now_ms: int) -> bytes:
    """`aggTrade`: the matches of one taker order at one price (section 4.1)."""
    return encode({"e": "aggTrade", "E": now_ms, "s": instrument.name, **aggregate_fields(instrument, row)})


def aggregate_fields(instrument: Instrument, row: Aggregate) -> dict[str, object]:
    """What the stream and GET /aggTrades share."""
    return {
        "a": row.trade_id,
        "p": instrument.price_text(row.price),
        "q": instrument.size_text(row.size),
        "f": row.first_id,
        "l": row.last_id,
        "T": row.ts_ms,
        "m": row.side is Side.ASK,
        "M": True,
    }


def book_ticker(desk: Desk) -> bytes:
    """`bookTicker`: neither event name nor time (section 4.2)."""
    return encode({"u": desk.seq, "s": desk.instrument.name, **_quotes(desk)})


def ticker(desk: Desk, now_ms: int) -> bytes:
    """`ticker`: the last 24 hours with best prices and last trade (section 4.2)."""
    instrument, day, order = desk.instrument, desk.day.last_day(), desk.last_order
    change = day.close - day.open
    percent = (2 * change * 10 ** (2 + _PERCENT_PLACES) + day.open) // (2 * day.open)  # rounded
    return encode(
        {
            "e": "24hrTicker",
            "E": now_ms,
            "s": instrument.name,
            "p": instrument.price_text(change),
            "P": fixed_text(percent, _PERCENT_PLACES, _PERCENT_PLACES),
            "w": _mean_price(instrument, day),
            "x": instrument.price_text(desk.day.before),
            "c": instrument.price_text(day.close),
            "Q": instrument.size_text(order.trades[-1].size if order else 0),
            **_quotes(desk),
            "o": instrument.price_text(day.open),
            "h": instrument.price_text(day.high),
            "l": instrument.price_text(day.low),
            "v": instrument.base_text(day.base),
            "q": instrument.quote_text(day.quote),
            "O": now_ms - DAY_MS,
            "C": now_ms,
            "F": day.first_id,
            "L": day.last_id,
            "n": day.trades,
        }
    )


def mini_ticker(desk: Desk, now_ms: int) -> bytes:
    """`miniTicker`: prices and volumes only (section 4.2)."""
    instrument, day = desk.instrument, desk.day.last_day()
    return encode(
        {
            "e": "24hrMiniTicker",
            "E": now_ms,
            "s": instrument.name,
            "c": instrument.price_text(day.close),
            "o": instrument.price_text(day.open),
            "h": instrument.price_text(day.high),
            "l": instrument.price_text(day.low),
            "v": instrument.base_text(day.base),
            "q": instrument.quote_text(day.quote),
        }
    )


def kline(instrument: Instrument, interval: str, candle: Candle, end_ms: int, now_ms: int, *, closed: bool) -> bytes:
    """`kline_<interval>`: one candle (section 4.4); `end_ms` is the start of the next."""
    price = instrument.price_text
    fields = {
        "t": candle.open_ms,
        "T": end_ms - 1,
        "s": instrument.name,
        "i": interval,
        "f": candle.first_id,
        "L": candle.last_id,
        "o": price(candle.open),
        "c": price(candle.close),
        "h": price(candle.high),
        "l": price(candle.low),
        "v": instrument.base_text(candle.base),
        "n": candle.trades,
        "x": closed,
        "q": instrument.quote_text(candle.quote),
        "V": instrument.base_text(candle.taker_base),
        "Q": instrument.quote_text(candle.taker_quote),
        "B": "0",
    }
    return encode({"e": "kline", "E": now_ms, "s": instrument.name, "k": fields})


def depth_levels(instrument: Instrument, levels: Iterable[Level]) -> list[tuple[str, str]]:
    """[price, absolute quantity]; a quantity of zero deletes (section 4.3)."""
    return [(instrument.price_text(level.price), instrument.size_text(level.size)) for level in levels]


def server_shutdown(now_ms: int) -> bytes:
    """The announcement of a planned loss (section 2)."""
    return encode({"e": "serverShutdown", "E": now_ms})


def _quotes(desk: Desk) -> dict[str, str]:
    """Best bid and ask; zeros for an empty side."""
    instrument = desk.instrument
    bid, ask = desk.book.bids.best() or Level(0, 0, 0), desk.book.asks.best() or Level(0, 0, 0)
    return {
        "b": instrument.price_text(bid.price),
        "B": instrument.size_text(bid.size),
        "a": instrument.price_text(ask.price),
        "A": instrument.size_text(ask.size),
    }


def _mean_price(instrument: Instrument, day: Candle) -> str:
    """Quote volume by base volume, cut to the digits of the wire; zero without trades."""
    if not day.base:
        return instrument.price_text(0)
    scale = 10 ** (WIRE_PLACES + instrument.base_places - instrument.quote_places)
    return fixed_text(day.quote * scale // day.base, WIRE_PLACES, WIRE_PLACES)
