"""Frames of Binance, one kind after the other."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from collector_worker.exchanges.adapter import (
    Acknowledged,
    BookFrame,
    Channel,
    ClosingSoon,
    Instrument,
    KeepAlive,
    Malformed,
    Output,
    Refused,
)
from collector_worker.exchanges.binance import BinanceAdapter
from tests.support.binance_adapter import (
    DEPTH,
    KLINE,
    RECV,
    TICKER,
    TRADE,
    VALID,
    binance,
    new_adapter,
    pushed,
    read,
)
from tickfleet.contract.events import BookDelta, Candle, Level, Ticker, Trade
from tickfleet.contract.identity import DataType

MS = 1_000_000
NOT_OURS = Malformed("neither data nor an answer to us")
NOT_PROTOCOL = Malformed("not a frame of Binance's protocol")
ANOTHER = Malformed("data of another instrument")


def channels(**changes: Any) -> dict[str, Channel]:
    return {channel.name: channel for channel in binance(**changes).feeds()[0].channels}


def answered(adapter: Any, **fields: object) -> list[Output]:
    return read(adapter, json.dumps(fields).encode())


# --- requests ---------------------------------------------------------------------------------------------------------


def test_all_streams_are_asked_for_at_once() -> None:
    """The exchange takes five frames a second."""
    assert new_adapter(candle_intervals=("1m", "1h")).subscribe() == [
        '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@100ms","btcusdt@ticker","btcusdt@kline_1m",'
        '"btcusdt@kline_1h"],"id":1}'
    ]


def test_one_answer_confirms_them_all_once() -> None:
    adapter = new_adapter()
    adapter.subscribe()
    assert answered(adapter, result=None, id=1) == [Acknowledged(channel) for channel in channels().values()]
    assert answered(adapter, result=None, id=1) == [NOT_OURS]


def test_a_stream_begins_anew_by_being_left_and_asked_for_again() -> None:
    adapter, trades = new_adapter(), channels()["trade"]
    adapter.subscribe()
    assert adapter.resubscribe(trades) == [
        '{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}',
        '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":3}',
    ]
    assert adapter.resubscribe(channels()["ticker"])[1] == '{"method":"SUBSCRIBE","params":["btcusdt@ticker"],"id":5}'
    assert [answered(adapter, result=None, id=number) for number in (2, 3, 4)] == [[], [Acknowledged(trades)], []]
    assert answered(adapter, result=None, id=6) == [NOT_OURS]


def test_a_book_begins_anew_by_its_snapshot_alone() -> None:
    assert new_adapter().resubscribe(channels()["depth@100ms"]) == []


def test_a_ping_of_the_websocket_notices_that_the_exchange_is_gone() -> None:
    assert new_adapter().keepalive == KeepAlive(idle_s=20.0, answer_s=20.0, frame="")


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("nested", [False, True])
def test_a_refusal_of_our_request_is_a_fault_of_ours(code: int, nested: bool) -> None:
    """A wrong stream or symbol is confirmed and then silent (section 3); what is refused is malformed."""
    adapter = new_adapter()
    adapter.subscribe()
    refused = Refused(f"Binance refuses a request (code {code})", permanent=True)
    assert answered(adapter, id=1, **error(code, nested)) == [refused]
    assert answered(adapter, id=1, **error(code, nested)) == [NOT_OURS], "it has been answered"


def error(code: int, nested: bool) -> dict[str, object]:
    body = {"code": code, "msg": "some text"}
    return {"error": body} if nested else body


@pytest.mark.parametrize("code", [-1001, -1003, -1008, 4, 2])
@pytest.mark.parametrize("nested", [False, True])
def test_a_refusal_of_nothing_that_we_have_asked_for_is_counted(code: int, nested: bool) -> None:
    adapter = new_adapter()
    adapter.subscribe()
    answered(adapter, result=None, id=1)
    body = error(code, nested)
    numbers = [1, 3, "1", None]
    assert [answered(adapter, id=number, **body) for number in numbers] == [[NOT_OURS]] * len(numbers)
    assert answered(adapter, **body) == [NOT_OURS]


@pytest.mark.parametrize("code", [-1001, -1003, -1008, 4])
@pytest.mark.parametrize("nested", [False, True])
def test_what_may_pass_by_itself_is_asked_for_again(code: int, nested: bool) -> None:
    """The book, too, whose new beginnings need no request else."""
    adapter, book = new_adapter(), channels()["depth@100ms"]
    adapter.subscribe()
    refused = Refused(f"Binance refuses a request (code {code})", permanent=False)
    assert answered(adapter, id=1, **error(code, nested)) == [refused]
    again = '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":3}'
    assert adapter.resubscribe(book)[1] == again
    assert answered(adapter, id=2, **error(2, nested)) == [
        Refused("Binance refuses a request (code 2)", permanent=False)
    ], "to leave a stream"
    assert answered(adapter, result=None, id=3) == [Acknowledged(book)]
    assert adapter.resubscribe(book) == []


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "serverShutdown", "E": 1770123456789},
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1770123456789}},
    ],
    ids=["raw", "combined"],
)
def test_a_notice_of_the_end(frame: dict[str, Any]) -> None:
    soon = ClosingSoon("the exchange announced that it will close the connection")
    assert read(new_adapter(), json.dumps(frame).encode()) == [soon]


# --- data -------------------------------------------------------------------------------------------------------------


def test_a_symbol_of_another_script() -> None:
    """Streams are named in small letters (section 1); JSON may spell other scripts either way."""
    native = Instrument(symbol="币Ä-USDT", native="币ÄUSDT", state="TRADING", tick_size="", lot_size="", min_size="")
    exchange = binance("币Ä-USDT", data_types=(DataType.TRADE,))
    adapter = exchange.adapter(exchange.feeds()[0], native)
    assert [json.loads(frame)["params"] for frame in adapter.subscribe()] == [["币äusdt@trade"]]
    for ascii_only in (True, False):
        frame = json.dumps({"stream": "币äusdt@trade", "data": {**TRADE, "s": "币ÄUSDT"}}, ensure_ascii=ascii_only)
        assert [type(found) for found in read(adapter, frame.encode())] == [Trade]
    shape = exchange.trade_shape(native)
    assert shape is not None
    assert shape.beginning.decode() == '{"stream":"币äusdt@trade","data":{"e":"trade","E":'


@pytest.mark.parametrize(("buyer_is_maker", "side"), [(True, "sell"), (False, "buy")])
def test_a_trade(buyer_is_maker: bool, side: Any) -> None:
    assert read(new_adapter(), pushed("trade", {**TRADE, "m": buyer_is_maker})) == [
        Trade(1_787_602_466_353 * MS, RECV, "5131004411", "78564.00000000", "0.00500000", side)
    ]


def test_a_ticker() -> None:
    assert read(new_adapter(), pushed("ticker", TICKER)) == [
        Ticker(
            ts_event=1_787_602_466_354 * MS,
            ts_recv=RECV,
            last="78564.00000000",
            last_size="0.00200000",
            bid="78564.00000000",
            bid_size="0.31000000",
            ask="78564.01000000",
            ask_size="1.09000000",
            open_24h="78695.40000000",
            high_24h="78764.89000000",
            low_24h="78156.51000000",
            volume_24h="12247.48160000",
            quote_volume_24h="962036102.08569746",
        )
    ]


@pytest.mark.parametrize("name", ["c", "b", "a", "h", "q"])
@pytest.mark.parametrize("absent", [False, True])
def test_a_figure_that_is_not_there_costs_no_other(name: str, absent: bool) -> None:
    (whole,) = read(new_adapter(), pushed("ticker", TICKER))
    (ticker,) = read(new_adapter(), pushed("ticker", without(name) if absent else {**TICKER, name: None}))
    fields = {"c": "last", "b": "bid", "a": "ask", "h": "high_24h", "q": "quote_volume_24h"}
    assert isinstance(whole, Ticker)
    assert ticker == replace(whole, **{fields[name]: None})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in TICKER.items() if key != name}


def test_an_update_of_the_book() -> None:
    """A removed level is written ``0`` as everywhere; the ids from U to u follow U - 1."""
    delta = BookDelta(
        ts_event=1_787_602_466_354 * MS,
        ts_recv=RECV,
        bids=[Level("78564.00000000", "0.31000000")],
        asks=[Level("78565.10000000", "0")],
        seq=99_076_734_994,
        prev_seq=99_076_734_902,
    )
    assert read(new_adapter(), pushed("depth@100ms", DEPTH)) == [BookFrame(delta)]


@pytest.mark.parametrize(
    ("size", "written"),
    [("0.00000000", "0"), ("0", "0"), ("0.0", "0"), ("0.00000001", "0.00000001"), ("10.00000000", "10.00000000")],
)
def test_only_nothing_removes_a_level(size: str, written: str) -> None:
    (output,) = read(new_adapter(), pushed("depth@100ms", {**DEPTH, "b": [["1.10", size, []]], "a": []}))
    assert isinstance(output, BookFrame)
    assert output.event.bids == [Level("1.10", written)]


@pytest.mark.parametrize("closed", [False, True])
def test_a_bar(closed: bool) -> None:
    frame = pushed("kline_1m", {**KLINE, "k": {**KLINE["k"], "x": closed}})
    assert read(new_adapter(), frame) == [
        Candle(
            ts_event=1_787_602_499_998 * MS,
            ts_recv=RECV,
            interval="1m",
            open_time=1_787_602_440_000 * MS,
            close_time=1_787_602_500_000 * MS,
            open="78560.00000000",
            high="78570.00000000",
            low="78555.10000000",
            close="78564.00000000",
            volume="12.51000000",
            quote_volume="982779.12000000",
            closed=closed,
        )
    ]


def test_a_bar_without_a_trade() -> None:
    (bar,) = read(new_adapter(), pushed("kline_1m", {**KLINE, "k": {**KLINE["k"], "f": -1, "L": -1, "n": 0}}))
    assert isinstance(bar, Candle)


@pytest.mark.parametrize("off_ms", [-1, 1, 30_000])
@pytest.mark.parametrize("closed", [False, True])
def test_a_bar_that_opens_between_two_is_none(off_ms: int, closed: bool) -> None:
    """The true one is missed behind the next, and fetched."""
    bar = {**KLINE["k"], "t": KLINE["k"]["t"] + off_ms, "x": closed}
    none = Malformed("a bar that opens between two")
    assert read(new_adapter(), pushed("kline_1m", {**KLINE, "k": bar})) == [none]


def test_a_month_is_no_minute() -> None:
    frame = pushed("kline_1m", {**KLINE, "k": {**KLINE["k"], "i": "1M"}})
    assert read(new_adapter(), frame) == [Malformed("a bar of another interval")]


@pytest.mark.parametrize("name", ["ETHUSDT", "btcusdt", "BTCUSDT_260925", ""])
@pytest.mark.parametrize("stream", VALID)
def test_what_names_another_symbol_is_not_taken(stream: str, name: str) -> None:
    """Whatever stream the frame says it is of."""
    data = VALID[stream]
    assert read(new_adapter(), pushed(stream, {**data, "s": name})) == [ANOTHER]
    if "k" in data:
        assert read(new_adapter(), pushed(stream, {**data, "k": {**data["k"], "s": name}})) == [ANOTHER]


@pytest.mark.parametrize("event", ["aggTrade", "trade", "24hrTicker", "depthUpdate", "kline", "", None, 5])
@pytest.mark.parametrize("stream", VALID)
def test_what_is_called_another_event_is_not_taken(stream: str, event: object) -> None:
    data = VALID[stream]
    if data["e"] != event:
        assert read(new_adapter(), pushed(stream, {**data, "e": event})) == [NOT_PROTOCOL]


@pytest.mark.parametrize("member", ["e", "s"])
@pytest.mark.parametrize("stream", VALID)
def test_what_has_no_name_is_not_taken(stream: str, member: str) -> None:
    """All frames have one (section 4)."""
    data = {key: value for key, value in VALID[stream].items() if key != member}
    assert read(new_adapter(), pushed(stream, data)) == [NOT_PROTOCOL]


# --- what is not ours -------------------------------------------------------------------------------------------------

ELSEWHERE: dict[str, tuple[bytes, Malformed]] = {
    "a stream that nobody asked for": (pushed("bookTicker", {"u": 1}), NOT_OURS),
    "another symbol": (pushed("trade", TRADE).replace(b"btcusdt", b"ethusdt"), NOT_OURS),
    "a raw event": (json.dumps(TRADE).encode(), NOT_OURS),
    "an empty object": (b"{}", NOT_OURS),
    "a list": (b"[]", NOT_PROTOCOL),
    "a text of a close frame": (b"Pong timeout", NOT_PROTOCOL),
    "no data": (b'{"stream":"btcusdt@trade"}', NOT_PROTOCOL),
    "null for data": (b'{"stream":"btcusdt@trade","data":null}', NOT_PROTOCOL),
    "data of another stream": (pushed("trade", TICKER), NOT_PROTOCOL),
    "a negative size": (pushed("trade", {**TRADE, "q": "-1"}), NOT_PROTOCOL),
    "a price with an exponent": (pushed("trade", {**TRADE, "p": "1e5"}), NOT_PROTOCOL),
    "a time in microseconds": (pushed("trade", {**TRADE, "T": 1787602466353000}), NOT_PROTOCOL),
    "an id of twenty digits": (pushed("trade", {**TRADE, "t": 10**20}), NOT_PROTOCOL),
    "an update that ends before it begins": (pushed("depth@100ms", {**DEPTH, "u": DEPTH["U"] - 1}), NOT_PROTOCOL),
    "a text for a flag": (pushed("trade", {**TRADE, "m": "false"}), NOT_PROTOCOL),
}


@pytest.mark.parametrize(("frame", "output"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_not_ours_is_counted_and_skipped(frame: bytes, output: Malformed) -> None:
    assert read(new_adapter(), frame) == [output]


@pytest.mark.parametrize("stream", VALID)
def test_what_was_not_asked_for_is_not_taken(stream: str) -> None:
    (data_type,) = [channel.data_type for name, channel in channels().items() if name == stream]
    others = tuple(each for each in DataType if each is not data_type)
    adapter = new_adapter(data_types=others)
    assert isinstance(adapter, BinanceAdapter)
    assert read(adapter, pushed(stream, VALID[stream])) == [NOT_OURS]
