import json
from typing import Any

from tests.simulator import binance_frames as frames
from tests.simulator.binance_aggregates import Aggregate
from tests.simulator.binance_instruments import parse
from tests.simulator.desk import Activity, Desk
from tests.simulator.events import BookChange, Candle, Side, TakerOrder, Trade

_START_MS = 1_790_000_000_000
_BTC = parse("BTCUSDT")


def _order_of(text: bytes) -> list[str]:
    return [key for key, _ in json.loads(text, object_pairs_hook=list)]


def test_trade() -> None:
    text = frames.trade(_BTC, Trade(5_131_004_411, 1_787_602_466_353, Side.BID, 7_856_400, 500), 1_787_602_466_354)

    assert text == (  # the sheet's own example (section 4.1)
        b'{"e":"trade","E":1787602466354,"s":"BTCUSDT","t":5131004411,"p":"78564.00000000","q":"0.00500000",'
        b'"T":1787602466353,"m":false,"M":true}'
    )
    sold = frames.trade(_BTC, Trade(1, 2, Side.ASK, 1, 1), 3)
    assert json.loads(sold)["m"] is True


def test_agg_trade() -> None:
    row = Aggregate(3_583_019_221, 1_787_602_466_353, Side.BID, 7_856_400, 1_250, 5_131_004_411, 5_131_004_413)

    assert frames.agg_trade(_BTC, row, 1_787_602_466_354) == (
        b'{"e":"aggTrade","E":1787602466354,"s":"BTCUSDT","a":3583019221,"p":"78564.00000000","q":"0.01250000",'
        b'"f":5131004411,"l":5131004413,"T":1787602466353,"m":false,"M":true}'
    )


def test_kline() -> None:
    bar = Candle(
        open_ms=1_787_602_440_000,
        open=7_856_000,
        high=7_857_000,
        low=7_855_510,
        close=7_856_400,
        volume=1_251_000,
        base=1_251_000,
        quote=9_827_791_200_000,
        trades=314,
        first_id=5_131_004_100,
        last_id=5_131_004_413,
        taker_base=620_000,
        taker_quote=4_870_120_000_000,
    )

    assert frames.kline(_BTC, "1m", bar, 1_787_602_500_000, 1_787_602_499_998, closed=False) == (
        b'{"e":"kline","E":1787602499998,"s":"BTCUSDT","k":{"t":1787602440000,"T":1787602499999,"s":"BTCUSDT",'
        b'"i":"1m","f":5131004100,"L":5131004413,"o":"78560.00000000","c":"78564.00000000","h":"78570.00000000",'
        b'"l":"78555.10000000","v":"12.51000000","n":314,"x":false,"q":"982779.12000000","V":"6.20000000",'
        b'"Q":"487012.00000000","B":"0"}}'
    )


def _desk() -> tuple[Desk, list[Trade]]:
    desk = Desk(_BTC, Activity(level_ids=True), (), seed=5, start_ms=_START_MS)
    trades: list[Trade] = []
    while desk.next_ms < _START_MS + 10_000:
        for event in desk.run():
            if isinstance(event, TakerOrder):
                trades += event.trades
            else:
                assert isinstance(event, BookChange)
    return desk, trades


def test_tickers_are_what_was_traded() -> None:
    desk, trades = _desk()
    bid, ask = desk.book.bids.at(0), desk.book.asks.at(0)
    prices, now_ms = [trade.price for trade in trades], _START_MS + 10_000
    base, quote = sum(t.size for t in trades), sum(t.size * t.price for t in trades)
    small: dict[str, Any] = {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": "BTCUSDT",
        "c": _BTC.price_text(prices[-1]),
        "o": _BTC.price_text(prices[0]),
        "h": _BTC.price_text(max(prices)),
        "l": _BTC.price_text(min(prices)),
        "v": _BTC.base_text(base),
        "q": _BTC.quote_text(quote),
    }
    best = {
        "b": _BTC.price_text(bid.price),
        "B": _BTC.size_text(bid.size),
        "a": _BTC.price_text(ask.price),
        "A": _BTC.size_text(ask.size),
    }

    assert json.loads(frames.mini_ticker(desk, now_ms)) == small
    assert json.loads(frames.book_ticker(desk)) == {"u": desk.seq, "s": "BTCUSDT", **best}
    text = frames.ticker(desk, now_ms)
    assert _order_of(text) == list("eEspPwxcQbBaAohlvqOCFLn")
    full = json.loads(text)
    assert abs(float(full.pop("w")) - quote / base / 100) < 1e-6
    assert abs(float(full.pop("P")) - 100 * (prices[-1] / prices[0] - 1)) <= 0.0005
    assert full == {
        **small,
        **best,
        "e": "24hrTicker",
        "p": f"{(prices[-1] - prices[0]) / 100:.8f}",
        "x": "64000.00000000",
        "Q": _BTC.size_text(trades[-1].size),
        "O": now_ms - 86_400_000,
        "C": now_ms,
        "F": trades[0].trade_id,
        "L": trades[-1].trade_id,
        "n": len(trades),
    }


def test_ticker_before_the_first_trade() -> None:
    ticker = json.loads(frames.ticker(Desk(_BTC, Activity(), (), seed=5, start_ms=_START_MS), _START_MS))

    assert {key: ticker[key] for key in "pPwcQvqFLn"} == {
        "p": "0.00000000",
        "P": "0.000",
        "w": "0.00000000",
        "c": "64000.00000000",
        "Q": "0.00000000",
        "v": "0.00000000",
        "q": "0.00000000",
        "F": -1,
        "L": -1,
        "n": 0,
    }


def test_announcement() -> None:
    assert frames.server_shutdown(1_770_123_456_789) == b'{"e":"serverShutdown","E":1770123456789}'
