"""Frames of OKX, one kind after the other."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from collector_worker.exchanges.adapter import (
    Acknowledged,
    Adapter,
    ClosingSoon,
    KeepAlive,
    Malformed,
    Output,
    Refused,
)
from collector_worker.exchanges.okx import Okx
from common.config.collector import ExchangeCollectorConfig
from tests.support.okx_adapter import NATIVE, RECV, new_adapter, pushed, read
from tickfleet.contract.events import Candle, Ticker, Trade
from tickfleet.contract.identity import DataType

# --- requests ---------------------------------------------------------------------------------------------------------


def test_each_channel_is_asked_for_by_itself() -> None:
    assert new_adapter("business").subscribe() == [
        '{"id":"r1","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}',
        '{"id":"r2","op":"subscribe","args":[{"channel":"candle1m","instId":"BTC-USDT"}]}',
    ]


def test_a_channel_begins_anew_by_being_left_and_asked_for_again() -> None:
    adapter = new_adapter()
    books = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.ORDERBOOK,))).feeds()[0].channels[0]
    adapter.subscribe()

    assert adapter.resubscribe(books) == [
        '{"id":"r3","op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}',
        '{"id":"r4","op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}',
    ]


def test_the_text_ping_comes_before_the_exchange_loses_patience() -> None:
    keepalive = new_adapter().keepalive

    assert keepalive == KeepAlive(idle_s=20.0, answer_s=10.0, frame="ping")
    assert keepalive.idle_s < 30


# --- events -----------------------------------------------------------------------------------------------------------


def test_a_confirmation() -> None:
    adapter = new_adapter()
    tickers = {channel.name: channel for channel in okx_channels()}["tickers"]

    frame = b'{"id":"a1","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"accb8e21"}'
    assert read(adapter, frame) == [Acknowledged(tickers)]


def okx_channels() -> list[Any]:
    feeds = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType))).feeds()
    return [channel for feed in feeds for channel in feed.channels]


@pytest.mark.parametrize(
    "frame",
    [
        b"pong",
        b'{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"}}',
        b'{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}',
        b'{"event":"subscribe","arg":{"channel":"books","instId":"DOGE-USDT"}}',
        b'{"event":"subscribe"}',
        b'{"event":"channel-conn-count","channel":"orders","connCount":"2"}',
        b'{"event":"something new"}',
    ],
)
def test_what_needs_no_reaction(frame: bytes) -> None:
    assert read(new_adapter(), frame) == []


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("60018", Refused("OKX knows no such channel or instrument (60018)", permanent=True, unlisted=True)),
        ("64003", Refused("OKX refuses the channel: the fee tier is too low (64003)", permanent=True)),
        ("60011", Refused("OKX refuses the channel: it needs a login (60011)", permanent=True)),
        ("64001", Refused("OKX refuses the channel: it lives on another path (64001)", permanent=True)),
        ("60012", Refused("OKX refuses a request (code 60012)", permanent=True)),
        ("60014", Refused("OKX refuses a request (code 60014)", permanent=False)),
        ("60023", Refused("OKX refuses a request (code 60023)", permanent=False)),
        ("63999", Refused("OKX refuses a request (code 63999)", permanent=False)),
        ("64007", Refused("OKX refuses a request (code 64007)", permanent=False)),
        ("69999", Refused("OKX refuses a request (code 69999)", permanent=False)),
        ("\x1b[31mpw", Refused("OKX refuses a request (code unreadable)", permanent=False)),
    ],
)
def test_a_refusal(code: str, refused: Refused) -> None:
    adapter = new_adapter()
    adapter.subscribe()
    assert refusal(adapter, "r1", code) == [refused]


def refusal(adapter: Adapter, number: str, code: str) -> list[Output]:
    frame = json.dumps({"id": number, "event": "error", "code": code, "msg": "some text", "connId": "x"}).encode()
    return list(adapter.on_frame(frame, RECV))


def test_only_a_refusal_of_what_we_have_asked_for_is_for_good() -> None:
    """One frame must not end a healthy run: neither a stray one, nor the answer to what is answered already."""
    adapter = new_adapter()
    later = Refused("OKX knows no such channel or instrument (60018)", permanent=False)
    stray = Malformed("a refusal of what we did not ask for")
    assert refusal(adapter, "r1", "60018") == [stray]
    adapter.subscribe()
    assert [refusal(adapter, number, "60018") for number in ("", "x1", "r9")] == [[later], [stray], [stray]]

    books = next(channel for channel in okx_channels() if channel.name == "books")
    confirmed = adapter.on_frame(b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}', RECV)
    assert confirmed == (Acknowledged(books),)
    assert refusal(adapter, "r1", "60018") == [stray]
    adapter.resubscribe(books)
    assert refusal(adapter, "r3", "60018") == [stray], "to leave a channel"
    assert refusal(adapter, "r4", "60018") == [Refused(later.reason, permanent=True, unlisted=True)]


def test_a_notice_of_the_end() -> None:
    frame = b'{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a4d3ae55"}'

    assert read(new_adapter(), frame) == [ClosingSoon("the exchange announced that it will close the connection")]


# --- trades -----------------------------------------------------------------------------------------------------------

ROW = {
    "instId": NATIVE, "tradeId": "2832749645", "px": "63913.4", "sz": "34.95", "side": "sell", "ts": "1786540436090",
    "count": "10", "source": "0", "seqId": 333793118093,
}  # fmt: skip
NO_NUMBER = [Malformed("a trade whose id, price or size is not a number")]
TRADE = Trade(1_786_540_436_090_000_000, RECV, "2832749645", "63913.4", "34.95", "sell", "live")


def test_a_match() -> None:
    assert read(new_adapter("business"), pushed("trades-all", ROW)) == [TRADE]


def test_an_aggregate_says_how_many_matches_it_holds() -> None:
    aggregate = Trade(TRADE.ts_event, RECV, "2832749645", "63913.4", "34.95", "sell", "live", "10")

    assert read(new_adapter(trade_channel="trades"), pushed("trades", ROW)) == [aggregate]


@pytest.mark.parametrize("count", ["many", "", "-1", "1" * 19, "\u0665"])
def test_an_aggregate_of_no_number(count: str) -> None:
    frame = pushed("trades", {**ROW, "count": count})
    assert read(new_adapter(trade_channel="trades"), frame) == NO_NUMBER
    assert read(new_adapter("business"), pushed("trades-all", {**ROW, "count": count})) == [TRADE], "a match has none"


def test_several_trades_in_one_frame_keep_their_order() -> None:
    rows = [{**ROW, "tradeId": str(number)} for number in (3, 1, 2)]

    trades = read(new_adapter("business"), pushed("trades-all", *rows))
    assert [trade.trade_id for trade in trades if isinstance(trade, Trade)] == ["3", "1", "2"]
    assert read(new_adapter("business"), pushed("trades-all")) == []


NO_FRAME = [Malformed("not a frame of OKX' protocol")]


@pytest.mark.parametrize(
    ("changes", "outputs"),
    [
        ({"tradeId": ""}, NO_NUMBER),
        ({"tradeId": "-5"}, NO_NUMBER),
        ({"tradeId": "1" * 19}, NO_NUMBER),
        ({"tradeId": "\u0665"}, NO_NUMBER),
        ({"px": ""}, NO_NUMBER),
        ({"px": "1e5"}, NO_NUMBER),
        ({"px": "nan"}, NO_NUMBER),
        ({"sz": "--5"}, NO_NUMBER),
        ({"px": "5."}, NO_NUMBER),
        ({"sz": "."}, NO_NUMBER),
        ({"sz": ".5"}, NO_NUMBER),
        ({"sz": "-5"}, NO_NUMBER),
        ({"sz": "1" * 41}, NO_NUMBER),
        ({"sz": "1,5"}, NO_NUMBER),
        ({"tradeId": 5}, NO_FRAME),
        ({"px": 63913.4}, NO_FRAME),
        ({"side": "BUY"}, NO_FRAME),
        ({"ts": "now"}, NO_FRAME),
        ({"ts": "-1"}, NO_FRAME),
        ({"ts": "9" * 14}, NO_FRAME),
        ({"ts": None}, NO_FRAME),
    ],
    ids=str,
)
def test_a_trade_that_is_none(changes: dict[str, Any], outputs: list[Output]) -> None:
    assert read(new_adapter("business"), pushed("trades-all", {**ROW, **changes})) == outputs


# --- tickers ----------------------------------------------------------------------------------------------------------

TICKER_ROW = {
    "instType": "SPOT", "instId": NATIVE, "last": "64028.6", "lastSz": "0.0011553", "askPx": "64028.7",
    "askSz": "2.31126955", "bidPx": "64028.6", "bidSz": "0.00503393", "open24h": "64324", "high24h": "64496.9",
    "low24h": "63237.6", "sodUtc0": "63589.4", "sodUtc8": "63606.7", "volCcy24h": "374703695.177360964",
    "vol24h": "5874.19398956", "ts": "1786538789464",
}  # fmt: skip
TICKER = Ticker(
    ts_event=1_786_538_789_464_000_000, ts_recv=RECV, last="64028.6", last_size="0.0011553", bid="64028.6",
    bid_size="0.00503393", ask="64028.7", ask_size="2.31126955", open_24h="64324", high_24h="64496.9",
    low_24h="63237.6", volume_24h="5874.19398956", quote_volume_24h="374703695.177360964",
)  # fmt: skip


def test_a_ticker() -> None:
    assert read(new_adapter(), pushed("tickers", TICKER_ROW)) == [TICKER]


def test_the_currency_volume_of_a_derivative_is_not_in_quote() -> None:
    (ticker,) = read(new_adapter(symbol="BTC-USDT-PERP"), pushed("tickers", TICKER_ROW))

    assert isinstance(ticker, Ticker)
    assert (ticker.volume_24h, ticker.quote_volume_24h) == ("5874.19398956", None)


def test_what_a_ticker_does_not_give_is_left_out() -> None:
    empty = {"ts": "5", "bidPx": "", "bidSz": "", "last": "3"}

    assert read(new_adapter(), pushed("tickers", empty)) == [Ticker(ts_event=5_000_000, ts_recv=RECV, last="3")]


@pytest.mark.parametrize(
    "changes",
    [
        {"last": "abc"},
        {"bidPx": "1e5"},
        {"askSz": 5},
        {"ts": ""},
        {"vol24h": "1\n"},
        {"bidSz": "-1"},
        {"vol24h": "."},
        {"last": "5."},
    ],
    ids=str,
)
def test_a_ticker_that_is_none(changes: dict[str, Any]) -> None:
    assert read(new_adapter(), pushed("tickers", {**TICKER_ROW, **changes})) == NO_FRAME


def test_a_figure_that_is_null_costs_no_other() -> None:
    expected = replace(TICKER, bid=None, quote_volume_24h=None)
    assert read(new_adapter(), pushed("tickers", {**TICKER_ROW, "bidPx": None, "volCcy24h": None})) == [expected]


# --- rows of another instrument ---------------------------------------------------------------------------------------

NOT_OURS = Malformed("data of another instrument")
BOOK = {"asks": [["2", "1", "0", "1"]], "bids": [["1", "1", "0", "1"]], "ts": "5", "checksum": 0, "seqId": 9}
NAMED: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "trades-all": ("business", ROW, {}),
    "trades": ("public", ROW, {"trade_channel": "trades"}),
    "tickers": ("public", TICKER_ROW, {}),
    "books": ("public", {**BOOK, "prevSeqId": -1}, {}),
    "books5": ("public", BOOK, {"book_channel": "books5"}),
    "bbo-tbt": ("public", BOOK, {"book_channel": "bbo-tbt"}),
}
"""Feed, row and parameters of each channel whose rows can have a name."""


@pytest.mark.parametrize("name", ["DOGE-USDT", "BTC-USDT-SWAP", "btc-usdt", ""])
@pytest.mark.parametrize("channel", NAMED)
def test_a_row_that_names_another_instrument_is_not_taken(channel: str, name: str) -> None:
    """Whatever the frame says it is about; the rows beside it are."""
    feed, row, params = NAMED[channel]
    adapter = new_adapter(feed, **params)
    (ours,) = read(adapter, pushed(channel, {**row, "instId": NATIVE}, action="snapshot"))
    assert not isinstance(ours, Malformed)
    theirs = {**row, "instId": name}
    frame = pushed(channel, theirs, {**row, "instId": NATIVE}, theirs, action="snapshot")
    assert read(adapter, frame) == [NOT_OURS, ours, NOT_OURS]


# --- candles ----------------------------------------------------------------------------------------------------------

BAR = ["1786538760000", "64040.2", "64041", "64025.7", "64033.5", "2.16787395", "138825.26", "138825.27", "0"]
CANDLE = Candle(
    ts_event=1_786_538_760_000_000_000, ts_recv=RECV, interval="1m", open_time=1_786_538_760_000_000_000,
    close_time=1_786_538_820_000_000_000, open="64040.2", high="64041", low="64025.7", close="64033.5",
    volume="2.16787395", quote_volume="138825.27", closed=False,
)  # fmt: skip


@pytest.mark.parametrize(("confirm", "closed"), [("0", False), ("1", True)])
def test_a_bar(confirm: str, closed: bool) -> None:
    expected = Candle(**{name: getattr(CANDLE, name) for name in CANDLE.__struct_fields__} | {"closed": closed})

    assert read(new_adapter("business"), pushed("candle1m", [*BAR[:8], confirm])) == [expected]
    assert read(new_adapter("business"), pushed("candle1m", [*BAR[:8], confirm, "new"])) == [expected]


@pytest.mark.parametrize("off_ms", [-1, 1, 30_000])
@pytest.mark.parametrize("confirm", ["0", "1"])
def test_a_bar_that_opens_between_two_is_none(off_ms: int, confirm: str) -> None:
    """The true one is missed behind the next, and fetched."""
    row = [str(int(BAR[0]) + off_ms), *BAR[1:8], confirm]
    none = Malformed("a bar that opens between two")
    assert read(new_adapter("business"), pushed("candle1m", row)) == [none]
    body = json.dumps({"code": "0", "data": [row, [*BAR[:8], "1"]]}).encode()
    okx = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.CANDLES,)))
    assert okx.read_candles(body, "1m", RECV) == [replace(CANDLE, closed=True)]


@pytest.mark.parametrize(
    "row",
    [
        [],
        BAR[:5],
        ["x", *BAR[1:]],
        [BAR[0], "", *BAR[2:]],
        [BAR[0], "abc", *BAR[2:]],
        [*BAR[:5], "-1", *BAR[6:]],
        {},
        "bar",
        [1, 2, 3],
    ],
    ids=str,
)
def test_a_bar_that_is_none(row: object) -> None:
    assert read(new_adapter("business"), pushed("candle1m", row)) == NO_FRAME
