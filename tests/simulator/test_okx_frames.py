import json

from tests.simulator import okx_frames
from tests.simulator.desk import Activity, Desk
from tests.simulator.events import Candle, Level, Side, TakerOrder, Trade
from tests.simulator.okx_channels import Arg
from tests.simulator.okx_instruments import parse

_SPOT, _SWAP = parse("BTC-USDT"), parse("BTC-USDT-SWAP")


def test_frame_text() -> None:
    arg = Arg("trades", inst_id="BTC-USDT")

    assert okx_frames.frame(arg, [1]) == b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[1]}'
    assert okx_frames.frame(arg, [], "update") == (
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"action":"update","data":[]}'
    )


def test_notice() -> None:
    notice = json.loads(okx_frames.notice("a4d3ae55"))
    assert (notice["event"], notice["code"], notice["connId"]) == ("notice", "64008", "a4d3ae55")


def test_matches_at_one_price_are_merged_under_the_last_id() -> None:
    trades = tuple(
        Trade(number, 1_790_000_000_000, Side.BID, price, size)
        for number, price, size in ((11, 640_001, 5), (12, 640_001, 7), (13, 640_010, 1))
    )

    common = {"instId": "BTC-USDT-SWAP", "side": "buy", "ts": "1790000000000", "source": "0", "seqId": 99}
    assert okx_frames.aggregate_rows(_SWAP, TakerOrder("BTC-USDT-SWAP", 1_790_000_000_000, 99, trades)) == [
        {**common, "tradeId": "12", "px": "64000.1", "sz": "0.12", "count": "2"},
        {**common, "tradeId": "13", "px": "64001", "sz": "0.01", "count": "1"},
    ]


def test_candle_volumes_of_spot_and_derivatives() -> None:
    for instrument, volumes in ((_SPOT, ["0.00000005", "0.0032", "0.0032"]), (_SWAP, ["0.05", "0.0005", "32"])):
        price, size = 640_000, 5
        base, quote = instrument.amounts(price, size)
        candle = Candle(60_000, price, price + 5, price - 5, price, size, base, quote)

        prices = ["64000", "64000.5", "63999.5", "64000"]
        assert okx_frames.candle_row(instrument, candle, closed=False) == ["60000", *prices, *volumes, "0"]
        assert okx_frames.candle_row(instrument, candle, closed=True)[-1] == "1"


def test_book_row() -> None:
    sides = {Side.ASK: [Level(640_001, 3, 2)], Side.BID: []}

    assert okx_frames.book_row(_SPOT, sides, 5, 7) == {
        "asks": [["64000.1", "0.00000003", "0", "2"]],
        "bids": [],
        "ts": "5",
        "seqId": 7,
    }


def test_ticker_before_any_trade() -> None:
    desk = Desk(_SPOT, Activity(trades_per_s=0.0, quotes_per_s=0.0), (), seed=1, start_ms=0)
    ask, bid = desk.book.asks.at(0), desk.book.bids.at(0)

    assert okx_frames.ticker_row(desk, 8) == {
        "instType": "SPOT",
        "instId": "BTC-USDT",
        "last": "64000",
        "lastSz": "0",
        "askPx": _SPOT.price_text(ask.price),
        "askSz": _SPOT.size_text(ask.size),
        "bidPx": _SPOT.price_text(bid.price),
        "bidSz": _SPOT.size_text(bid.size),
        **dict.fromkeys(("open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"), "64000"),
        "volCcy24h": "0",
        "vol24h": "0",
        "ts": "8",
    }
