import json

import pytest

from tests.simulator.faults_dialect import Page, Place, in_place
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.okx_channels import Arg
from tests.simulator.source import Answer, envelope

_OKX = OkxDialect()


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        (Arg("trades", inst_id="A-B"), Place("trade", "trades", "A-B")),
        (Arg("trades-all", inst_id="A-B"), Place("trade", "trades-all", "A-B")),
        (Arg("books", inst_id="A-B"), Place("orderbook", "books", "A-B")),
        (Arg("books5", inst_id="A-B"), Place("orderbook", "books5", "A-B")),
        (Arg("bbo-tbt", inst_id="A-B"), Place("orderbook", "bbo-tbt", "A-B")),
        (Arg("tickers", inst_id="A-B"), Place("ticker", "tickers", "A-B")),
        (Arg("candle1Dutc", inst_id="A-B"), Place("candle", "candle1Dutc", "A-B")),
        (Arg("instruments", inst_type="SPOT"), Place("instruments", "instruments", "")),
        (None, Place("", "", "")),
    ],
)
def test_places(topic: Arg | None, place: Place) -> None:
    assert _OKX.place(topic) == place


@pytest.mark.parametrize(
    ("channel", "instrument", "expected"),
    [
        ("", "", True),
        ("orderbook", "", True),
        ("books5", "a-b", True),
        ("books", "", False),
        ("orderbook", "C-D", False),
    ],
)
def test_in_place(channel: str, instrument: str, expected: bool) -> None:
    assert in_place(Place("orderbook", "books5", "A-B"), channel, instrument) is expected


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("ping", "60014", None),
        ('{"op":"unsubscribe","args":[]}', "60014", None),
        (b"\xff", "60014", None),
        (
            '{"op":"subscribe","args":[]}',
            "63999",
            {"event": "error", "code": "63999", "msg": "Internal system error", "connId": "c0"},
        ),
        (
            b'{"id":"x1","op":"subscribe","args":[]}',
            "60023",
            {"id": "x1", "event": "error", "code": "60023", "msg": "Requests too frequent", "connId": "c0"},
        ),
    ],
)
def test_refusals(text: str | bytes, code: str, expected: object) -> None:
    refusal = _OKX.refusal(text, "c0", code)
    assert (None if refusal is None else json.loads(refusal)) == expected


def test_rows_that_are_arrays_get_nothing_extra() -> None:
    candle = b'{"arg":{"channel":"candle1m","instId":"A-B"},"data":[["1","2"]]}'
    assert json.loads(_OKX.with_extra(candle)) == {**json.loads(candle), "seal": {"of": ["nothing", None]}}


def test_the_name_of_a_candle_is_not_shifted() -> None:
    candle = b'{"arg":{"channel":"candle1m","instId":"A-B"},"data":[["1790000000000","2"]]}'
    assert _OKX.shifted(candle, 60_000) == candle
    assert _OKX.shifted(b'{"ts":"1790000000000","u":"1790000000000"}', 5) == (
        b'{"ts":"1790000000005","u":"1790000000000"}'
    )


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/api/v5/market/trades", Page.TRADES),
        ("/api/v5/market/history-trades", Page.TRADES),
        ("/api/v5/market/history-candles", Page.CANDLES),
        ("/api/v5/market/books", Page.BOOK),
        ("/api/v5/public/instruments", Page.OTHER),
    ],
)
def test_pages(path: str, page: Page) -> None:
    assert _OKX.page(path) is page


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (envelope([{"a": 1}]), [{"a": 1}]),
        (envelope([], "51001"), None),
        (envelope([{"a": 1}], status=500), None),
        (Answer(200, b"[]"), None),
        (Answer(200, b"{"), None),
    ],
)
def test_rows(answer: Answer, rows: object) -> None:
    assert _OKX.rows(answer) == rows


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/api/v5/market/history-trades", {"instId": "A", "before": "1"}, {"instId": "A", "before": "1", "after": "6"}),
        ("/api/v5/market/history-trades", {"type": "2", "after": "9"}, None),
        ("/api/v5/market/trades", {"instId": "A"}, None),
    ],
)
def test_next_page(path: str, query: dict[str, str], expected: object) -> None:
    assert _OKX.next_page(path, query, [{"tradeId": "7"}, {"tradeId": "6"}]) == expected
    assert _OKX.next_page(path, query, []) is None


def test_candle_of_a_month_ends_where_the_next_begins() -> None:
    assert _OKX.end_ms(["1790000040000"], {"bar": "1m"}) == 1_790_000_100_000
    assert _OKX.end_ms(["1790000040000"], {}) == 1_790_000_100_000
    assert _OKX.end_ms(["1788220800000"], {"bar": "1Mutc"}) == 1_790_812_800_000


def test_another_name() -> None:
    assert _OKX.renamed({"instId": "A-B", "px": "1"}) == {"instId": "PEPE-USDC", "px": "1"}
    assert _OKX.renamed({"instId": "PEPE-USDC"}) == {"instId": "BTC-USDT"}
    assert _OKX.renamed(["1"]) == ["1"]
