"""The payloads of OKX that the load sends, and the data of its REST answers. Each carries its number, from 1 on."""

import json
from collections.abc import Callable, Mapping

from tests.bench.load.books import book_frames

NATIVE = "BTC-USDT"

Payload = Callable[[int, int], bytes]
"""From the number of a frame and the time it is sent (ms since the epoch) to what it says."""

_TRADE = (
    b'{"arg":{"channel":"%s","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"%d.%d",'
    b'"sz":"0.12060306","side":"%s","ts":"%d","count":"1","source":"0","seqId":%d}]}'
)
_TICKER = (
    b'{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"64028.6",'
    b'"lastSz":"0.0011553","askPx":"64028.7","askSz":"2.%08d","bidPx":"64028.6","bidSz":"0.00503393",'
    b'"open24h":"64324","high24h":"64496.9","low24h":"63237.6","sodUtc0":"63589.4","sodUtc8":"63606.7",'
    b'"volCcy24h":"374703695.177360964","vol24h":"5874.19398956","ts":"%d"}]}'
)
_CANDLE = (
    b'{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["%d","64040.2","64040.2","64025.7","64033.5",'
    b'"2.%08d","138825.265446816","138825.265446816","0"]]}'
)
_SIDES = (b"sell", b"buy")
_MINUTE_MS = 60_000


def trade_payload(channel: str) -> Payload:
    """Trades of ``trades`` or ``trades-all``, one a frame, ids consecutive; both have all fields, so they compare."""
    name = channel.encode()

    def payload(number: int, ts_ms: int) -> bytes:
        tenth = 422_199 + number % 100
        return _TRADE % (name, number, tenth // 10, tenth % 10, _SIDES[number % 2], ts_ms, number)

    return payload


def ticker_payload(number: int, ts_ms: int) -> bytes:
    """A push of ``tickers``."""
    return _TICKER % (number % 10**8, ts_ms)


def candle_payload(number: int, ts_ms: int) -> bytes:
    """A push of a running bar of ``candle1m``."""
    return _CANDLE % (ts_ms - ts_ms % _MINUTE_MS, number % 10**8)


def payload_of(channel: str) -> Payload:
    """The frames of a channel. Those of ``books`` are a chain that must be asked for in order."""
    if channel in ("trades", "trades-all"):
        return trade_payload(channel)
    if channel == "books":
        return book_frames(NATIVE)
    return {"tickers": ticker_payload, "candle1m": candle_payload}[channel]


_INSTRUMENT: Mapping[str, str] = {
    **dict.fromkeys(
        ("expTime", "instFamily", "settleCcy", "ctVal", "ctMult", "ctValCcy", "ctType", "uly", "alias"), ""
    ),
    "instId": NATIVE,
    "instType": "SPOT",
    "state": "live",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "tickSz": "0.1",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "listTime": "1548133413000",
    "ruleType": "normal",
}


def rest_data(path: str, now_ms: int) -> list[Mapping[str, str]]:
    """What a REST path answers: the instrument and the time; of trades, bars and books there are none to fetch."""
    if "/public/instruments" in path:
        return [_INSTRUMENT]
    if path.endswith("/public/time"):
        return [{"ts": str(now_ms)}]
    return []


def acknowledged(arg: Mapping[str, str]) -> bytes:
    """The answer to one argument of a subscription."""
    return json.dumps({"event": "subscribe", "arg": arg, "connId": "bench"}).encode()
