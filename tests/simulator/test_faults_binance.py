import asyncio
import json
from random import Random
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.simulator import faults
from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.binance_streams import Stream
from tests.simulator.clock import ManualClock
from tests.simulator.faults import Fault
from tests.simulator.faults_binance import BinanceDialect
from tests.simulator.faults_dialect import Page, Place, Request
from tests.simulator.faults_dialects import dialect_of
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.faults_rest import Served, effect_of
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.simulator.source import Answer, Frame, Kind
from tests.support.waiting import PATIENCE_S

_BINANCE = BinanceDialect()


@pytest.mark.parametrize(
    ("stream", "channel"),
    [
        ("btcusdt@aggTrade", "trade"),
        ("btcusdt@trade", "trade"),
        ("btcusdt@depth@100ms", "orderbook"),
        ("btcusdt@depth20", "orderbook"),
        ("btcusdt@kline_1m", "candle"),
        ("btcusdt@bookTicker", "ticker"),
        ("btcusdt@miniTicker", "ticker"),
        ("btcusdt@ticker_1h", "ticker"),
        ("btcusdt@avgPrice", "avgPrice"),
    ],
)
def test_places(stream: str, channel: str) -> None:
    assert _BINANCE.place(Stream(stream, combined=True)) == Place(channel, stream.partition("@")[2], "BTCUSDT")


def test_frames_without_a_stream_have_no_place() -> None:
    assert _BINANCE.place(None) == Place("", "", "")
    assert not _BINANCE.is_pong(Frame(b"pong", Kind.REPLY))
    assert _BINANCE.refusal('{"method":"SUBSCRIBE","params":["a@trade"],"id":1}', "c0", "60014") is None


@pytest.mark.parametrize(
    ("text", "shifted"),
    [
        (b'{"e":"trade","E":1790000000000,"T":1790000000000}', b'{"e":"trade","E":1790000000007,"T":1790000000007}'),
        (b'[{"id":1790000000000,"time":1790000000000}]', b'[{"id":1790000000000,"time":1790000000007}]'),
        (b'{"serverTime":1790000000000}', b'{"serverTime":1790000000007}'),
        (
            b'{"e":"kline","E":1790000000000,"k":{"t":1790000000000,"T":1790000000000}}',
            b'{"e":"kline","E":1790000000007,"k":{"t":1790000000000,"T":1790000000000}}',
        ),
        (b'[[1790000000000,"1",1790000059999]]', b'[[1790000000000,"1",1790000059999]]'),
    ],
)
def test_times_are_shifted_but_not_the_names_of_candles(text: bytes, shifted: bytes) -> None:
    assert _BINANCE.shifted(text, 7) == shifted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"e":"trade"}', {"e": "trade", "seal": {"of": ["nothing", None]}}),
        (
            b'{"stream":"a@kline_1m","data":{"k":{}}}',
            {
                "stream": "a@kline_1m",
                "data": {"k": {}, "seal": {"of": ["nothing", None]}},
                "seal": {"of": ["nothing", None]},
            },
        ),
        (b"[]", []),
    ],
)
def test_extra_members(text: bytes, expected: object) -> None:
    assert json.loads(_BINANCE.with_extra(text)) == expected


def test_unknown_frames_and_error_bodies_are_json() -> None:
    assert json.loads(_BINANCE.unknown("event"))["e"] == "weatherUpdate"
    assert json.loads(_BINANCE.unknown("channel"))["stream"] == "btcusdt@weather"
    assert json.loads(_BINANCE.limited())["code"] == -1003
    assert json.loads(_BINANCE.broken())["code"] == -1000


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/api/v3/aggTrades", Page.TRADES),
        ("/api/v3/historicalTrades", Page.TRADES),
        ("/api/v3/klines", Page.CANDLES),
        ("/api/v3/depth", Page.BOOK),
        ("/api/v3/time", Page.OTHER),
    ],
)
def test_pages(path: str, page: Page) -> None:
    assert _BINANCE.page(path) is page


def test_rows() -> None:
    assert _BINANCE.rows(Answer(200, b'[{"a":1}]')) == [{"a": 1}]
    for answer in (Answer(429, b"[]"), Answer(200, b"{}"), Answer(200, b"<")):
        assert _BINANCE.rows(answer) is None
    assert _BINANCE.with_rows([{"a": 1}]) == b'[{"a":1}]'
    assert (_BINANCE.trade_id({"a": 5, "T": 9}), _BINANCE.trade_ms({"a": 5, "T": 9})) == (5, 9)
    assert (_BINANCE.trade_id({"id": 6, "time": 8}), _BINANCE.trade_ms({"id": 6, "time": 8})) == (6, 8)
    assert _BINANCE.end_ms([0, "1", "1", "1", "1", "1", 59_999], {}) == 60_000
    assert _BINANCE.renamed({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("query", "expected"),
    [({"symbol": "A", "fromId": "5"}, {"symbol": "A", "fromId": "8"}), ({"symbol": "A"}, None)],
)
def test_next_page(query: dict[str, str], expected: object) -> None:
    assert _BINANCE.next_page("/api/v3/aggTrades", query, [{"a": 6}, {"a": 7}]) == expected


def test_books() -> None:
    request = _BINANCE.whole_book("BTCUSDT", 3)
    assert request == Request("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "1000"}, 3)
    assert _BINANCE.instrument(request.query) == "BTCUSDT"
    book = Answer(200, b'{"lastUpdateId":1,"bids":[["2","1"],["1","1"]],"asks":[["3","1"],["4","1"]]}')
    assert json.loads(_BINANCE.cut_book(book, {"limit": "1"})) == {
        "lastUpdateId": 1,
        "bids": [["2", "1"]],
        "asks": [["3", "1"]],
    }


def test_instruments() -> None:
    def ask(request: Request) -> Answer:
        assert request == Request("/api/v3/exchangeInfo", {}, 5)
        return Answer(200, b'{"symbols":[{"symbol":"BTCUSDT"},{"symbol":"ETHUSDT"}]}')

    assert _BINANCE.instruments(ask, 5) == ["BTCUSDT", "ETHUSDT"]
    assert _BINANCE.instruments(lambda _: Answer(429, b'{"code":-1003}'), 5) == []


_START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def source() -> BinanceSource:
    return BinanceSource(BinanceOptions(instruments=("BTCUSDT",), trades_per_s=20, warmup_ms=120_000), _START_MS)


def test_dialects_are_known_by_their_paths(source: BinanceSource) -> None:
    assert isinstance(dialect_of(source), BinanceDialect)
    assert isinstance(dialect_of(OkxSource(OkxOptions(warmup_ms=0), _START_MS)), OkxDialect)


def _walk(source: BinanceSource, fault: Fault, **query: str) -> list[int]:
    """Ids of a page of aggregates under a fault that has just begun."""
    effect = effect_of(
        fault, _BINANCE, Random(1), lambda request: source.rest(*request), _START_MS, _START_MS + fault.length_ms
    )
    assert effect is not None
    request = Request("/api/v3/aggTrades", {"symbol": "BTCUSDT", **query}, _START_MS)
    answer = effect.serve(request, lambda request: Served(source.rest(*request))).answer
    assert answer is not None
    return [row["a"] for row in json.loads(answer.body)]


def test_pages_of_trades_under_faults(source: BinanceSource) -> None:
    rows = json.loads(source.rest("/api/v3/aggTrades", {"symbol": "BTCUSDT", "limit": "1000"}, _START_MS).body)
    first = rows[0]["a"]
    lost = faults.RestLost(first_id=first + 3, last_id=first + 8)
    assert _walk(source, lost, fromId=str(first), limit="5") == [first, first + 1, first + 2, first + 9, first + 10]

    old = [row["a"] for row in rows if row["T"] <= _START_MS - 3_000]
    assert 0 < len(old) < len(rows)
    assert _walk(source, faults.RestBehind(behind_ms=3_000), fromId=str(first), limit="1000") == old
    assert _walk(source, faults.RestBehind(behind_ms=3_000), fromId=str(old[-1] + 1)) == []


def _message(text: str | bytes) -> Any:
    return json.loads(text)["data"]


async def test_faults_of_streams_in_the_url() -> None:
    clock = ManualClock(_START_MS)
    source = BinanceSource(BinanceOptions(instruments=("BTCUSDT",), warmup_ms=1_000), _START_MS)
    async with asyncio.timeout(PATIENCE_S), Simulator(source, clock=clock) as simulator:
        url = f"ws://127.0.0.1:{simulator.port}/stream?streams=btcusdt@depth@100ms"
        async with connect(url) as socket:
            await simulator.wait_until(lambda: len(simulator.connections) == 1)
            clock.move(100)
            before = _message(await socket.recv())
            simulator.faults.start(faults.SequenceGap(instrument="BTCUSDT", count=2))
            clock.move(300)
            after = _message(await socket.recv())
            assert after["U"] > before["u"] + 1

            simulator.faults.start(faults.ClockOff(shift_ms=-60_000))
            clock.move(100)
            assert _message(await socket.recv())["E"] == clock.now_ms() - 60_000

            simulator.faults.start(faults.SlowReaderClosed(backlog_bytes=1))
            clock.move(100)
            assert _message(await socket.recv())["e"] == "depthUpdate"
            with pytest.raises(ConnectionClosed, match="1008"):
                await socket.recv()
