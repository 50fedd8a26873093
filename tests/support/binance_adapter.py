"""A Binance adapter as a connection has it, and the frames it gets."""

import json
from typing import Any

from collector_worker.exchanges.adapter import Adapter, Instrument, Output
from collector_worker.exchanges.binance import BinanceSpot
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.identity import DataType

RECV = 1_787_602_466_400_000_000
INSTRUMENT = Instrument(symbol="BTC-USDT", native="BTCUSDT", state="TRADING", tick_size="", lot_size="", min_size="")

TRADE: dict[str, Any] = {
    "e": "trade", "E": 1787602466354, "s": "BTCUSDT", "t": 5131004411, "p": "78564.00000000", "q": "0.00500000",
    "T": 1787602466353, "m": False, "M": True,
}  # fmt: skip
TICKER: dict[str, Any] = {
    "e": "24hrTicker", "E": 1787602466354, "s": "BTCUSDT", "p": "-131.40000000", "P": "-0.167", "w": "78628.97377498",
    "x": "78695.40000000", "c": "78564.00000000", "Q": "0.00200000", "b": "78564.00000000", "B": "0.31000000",
    "a": "78564.01000000", "A": "1.09000000", "o": "78695.40000000", "h": "78764.89000000", "l": "78156.51000000",
    "v": "12247.48160000", "q": "962036102.08569746", "O": 1787516066354, "C": 1787602466354, "F": 5129689691,
    "L": 5131004413, "n": 1314723,
}  # fmt: skip
DEPTH: dict[str, Any] = {
    "e": "depthUpdate", "E": 1787602466354, "s": "BTCUSDT", "U": 99076734903, "u": 99076734994,
    "b": [["78564.00000000", "0.31000000"]], "a": [["78565.10000000", "0.00000000"]],
}  # fmt: skip
KLINE: dict[str, Any] = {
    "e": "kline", "E": 1787602499998, "s": "BTCUSDT", "k": {
        "t": 1787602440000, "T": 1787602499999, "s": "BTCUSDT", "i": "1m", "f": 5131004100, "L": 5131004413,
        "o": "78560.00000000", "c": "78564.00000000", "h": "78570.00000000", "l": "78555.10000000", "v": "12.51000000",
        "n": 314, "x": False, "q": "982779.12000000", "V": "6.20000000", "Q": "487012.00000000", "B": "0",
    },
}  # fmt: skip
VALID = {"trade": TRADE, "ticker": TICKER, "depth@100ms": DEPTH, "kline_1m": KLINE}
"""A frame's data by its stream, from the protocol sheet, section 4."""


def binance(symbol: str = "BTC-USDT", **changes: Any) -> BinanceSpot:
    """The exchange for one symbol, all data types unless told otherwise."""
    given = {"exchange": "binance", "symbol": symbol, "data_types": tuple(DataType)} | changes
    return BinanceSpot(ExchangeCollectorConfig(**given))


def new_adapter(**changes: Any) -> Adapter:
    """The adapter of the one socket."""
    exchange = binance(**changes)
    return exchange.adapter(exchange.feeds()[0], INSTRUMENT)


def pushed(stream: str, data: object) -> bytes:
    """A combined frame."""
    return json.dumps({"stream": f"btcusdt@{stream}", "data": data}).encode()


def read(adapter: Adapter, frame: bytes) -> list[Output]:
    """What an adapter makes of a frame that came at ``RECV``."""
    return list(adapter.on_frame(frame, RECV))
