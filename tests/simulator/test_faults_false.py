import json
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from tests.simulator.binance_streams import Stream
from tests.simulator.faults import KINDS, TYPES, Fault
from tests.simulator.faults_binance import BinanceDialect
from tests.simulator.faults_dialect import FALSE_PRICE, OTHERS_PRICE, Dialect, Request
from tests.simulator.faults_false import (
    EARLY_MS,
    TRUE_FIRST,
    effect_of,
    false_book,
    rest_effect_of,
    with_false_row,
    without_levels,
)
from tests.simulator.faults_hostile import (
    FalseBar,
    FalseBook,
    FalseBookStyle,
    FalseName,
    FalseRefusal,
    FalseTime,
    FalseTrade,
    RestEmptyBook,
    RestFalseBook,
    RestFalseRows,
)
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.faults_rest import Served
from tests.simulator.okx_channels import Arg
from tests.simulator.source import Answer, Frame, Kind, envelope

_NOW_MS = 1_790_000_000_000
_OPEN_MS = _NOW_MS // 60_000 * 60_000
_OKX, _BINANCE = OkxDialect(), BinanceDialect()
_OF_REST = ("rest_false_rows", "rest_empty_book", "rest_false_book")
_NAME = "BTC-USDT"


def _nothing(request: Request) -> Answer:
    """An exchange that answers nothing."""
    return Answer(404, b"{}")


def _okx(channel: str, *rows: object) -> Frame:
    text = msgspec.json.encode({"arg": {"channel": channel, "instId": _NAME}, "data": rows})
    return Frame(text, Kind.DATA, Arg(channel, inst_id=_NAME))


def _binance(stream: str, **data: object) -> Frame:
    text = msgspec.json.encode({"stream": f"btcusdt@{stream}", "data": {"s": "BTCUSDT", **data}})
    return Frame(text, Kind.DATA, Stream(f"btcusdt@{stream}", combined=True))


_OKX_ROW = {"instId": _NAME, "tradeId": "5000", "px": "1", "sz": "2", "side": "buy", "ts": str(_NOW_MS)}
_OKX_TRADE = _okx("trades-all", _OKX_ROW)
_OKX_TICKER = _okx("tickers", {"instId": _NAME, "last": "1", "askPx": "1", "bidPx": "1", "ts": str(_NOW_MS)})
_OKX_BOOK = _okx("books", {"asks": [], "bids": [], "ts": str(_NOW_MS), "seqId": 7})
_OKX_BAR = _okx("candle1m", [str(_OPEN_MS), "1", "1", "1", "1", "2", "2", "2", "0"])
_TRADE = _binance("trade", E=_NOW_MS, t=5_000, p="1", q="2", T=_NOW_MS, m=True)
_TICKER = _binance("ticker", E=_NOW_MS, c="1", b="1", a="1")
_BOOK = _binance("depth@100ms", E=_NOW_MS, U=8, u=9, b=[["1", "2"]], a=[])
_BAR = _binance("kline_1m", E=_NOW_MS, k={"t": _OPEN_MS, "T": _OPEN_MS + 59_999, "s": "BTCUSDT", "c": "1", "x": False})


def _through(
    fault: Fault, frames: Sequence[Frame], dialect: Dialect, now_ms: int = _NOW_MS, seed: int = 1
) -> list[Any]:
    """The frames that pass, each as JSON; ``True`` for a true one."""
    effect = effect_of(fault, dialect, Random(seed), lambda: now_ms)
    assert effect is not None
    passed = [each for frame in frames for each in effect.on_frame(frame)]
    assert all(each.delay_ms == 0 for each in passed)
    assert list(effect.held()) == []
    return [True if each.frame in frames else json.loads(each.frame.text) for each in passed]


def _beside(fault: Fault, frame: Frame, dialect: Dialect, now_ms: int = _NOW_MS, seed: int = 1) -> list[Any]:
    """What passes in place of the first frame that gets company."""
    passed = _through(fault, [frame] * (TRUE_FIRST + 1), dialect, now_ms, seed)
    assert passed[:TRUE_FIRST] == [True] * TRUE_FIRST
    return passed[TRUE_FIRST:]


def test_false_trades_come_behind_true_ones() -> None:
    fault = FalseTrade(count=2, by=5_000, step=7, off_ms=-60_000)
    first, second = (
        {**_OKX_ROW, "tradeId": number, "px": FALSE_PRICE, "ts": str(_NOW_MS - 60_000)} for number in ("10000", "10007")
    )
    arg = {"channel": "trades-all", "instId": _NAME}
    assert _through(fault, [_OKX_TRADE] * 6, _OKX) == [
        *(True, True, True),
        *(True, {"arg": arg, "data": [first]}),
        *(True, {"arg": arg, "data": [second]}),
        True,
    ]


def test_false_trade_of_binance() -> None:
    at_ms = _NOW_MS + 3_600_000
    data = {"s": "BTCUSDT", "E": at_ms, "t": 2_000, "p": FALSE_PRICE, "q": "2", "T": at_ms, "m": True}
    assert _beside(FalseTrade(by=-3_000), _TRADE, _BINANCE) == [True, {"stream": "btcusdt@trade", "data": data}]


@pytest.mark.parametrize(
    ("fault", "by_ms", "closed"),
    [
        (FalseBar(style="ahead", bars=3), 180_000, True),
        (FalseBar(style="ahead", bars=3, closed=False), 180_000, False),
        (FalseBar(style="early"), 0, True),
        (FalseBar(style="off_grid", closed=False), 60_000 // 7, False),
    ],
)
def test_bars_that_cannot_be(fault: FalseBar, by_ms: int, closed: bool) -> None:
    now_ms = _OPEN_MS + 60_000 - EARLY_MS
    _, okx = _beside(fault, _OKX_BAR, _OKX, now_ms)
    assert okx["data"] == [[str(_OPEN_MS + by_ms), "1", "1", "1", "1", "2", "2", "2", "1" if closed else "0"]]
    _, binance = _beside(fault, _BAR, _BINANCE, now_ms)
    bar = binance["data"]["k"]
    assert (bar["t"], bar["T"], bar["x"]) == (_OPEN_MS + by_ms, _OPEN_MS + 59_999 + by_ms, closed)


def test_near_its_end_no_bar_is_closed_early() -> None:
    now_ms = _OPEN_MS + 60_001 - EARLY_MS
    assert _beside(FalseBar(style="early"), _OKX_BAR, _OKX, now_ms) == [True]
    assert _beside(FalseBar(style="early"), _BAR, _BINANCE, now_ms) == [True]


@pytest.mark.parametrize(
    ("style", "price", "by"),
    [("crossed", OTHERS_PRICE, 0), ("malformed", "abc", 0), ("behind", OTHERS_PRICE, -1_000_000)],
)
def test_updates_of_a_book_that_cannot_be(style: FalseBookStyle, price: str, by: int) -> None:
    row = {"asks": [["2", "1", "0", "1"]], "bids": [], "ts": str(_NOW_MS), "seqId": 9, "prevSeqId": 8}
    update = {"arg": {"channel": "books", "instId": _NAME}, "action": "update", "data": [row]}
    frame = Frame(msgspec.json.encode(update), Kind.DATA, Arg("books", inst_id=_NAME))
    false = {**row, "asks": [[price, "1", "0", "1"]], "seqId": 9 + by, "prevSeqId": 8 + by}
    assert _beside(FalseBook(style=style), frame, _OKX) == [{**update, "data": [false]}, True]
    first, true = _beside(FalseBook(style=style), _BOOK, _BINANCE)
    assert (first["data"]["U"], first["data"]["u"], first["data"]["b"], first["data"]["a"], true) == (
        *(8 + by, 9 + by, [], [[price, "1"]]),
        True,
    )


def test_a_snapshot_of_a_book_has_no_false_update_before_it() -> None:
    assert _beside(FalseBook(), _OKX_BOOK, _OKX) == [True]


def test_true_frames_under_a_false_time() -> None:
    shifted, *others = _through(FalseTime(channel="orderbook", shift_ms=1_000), [_BOOK, _TRADE, _BOOK], _BINANCE)
    assert (shifted["data"]["E"], shifted["data"]["u"], others) == (_NOW_MS + 1_000, 9, [True, True])
    shifted, *others = _through(FalseTime(shift_ms=1_000), [_OKX_BOOK, _OKX_TRADE], _OKX)[::-1]
    assert (shifted["data"][0]["ts"], others) == (str(_NOW_MS + 1_000), [True])


@pytest.mark.parametrize(
    ("channel", "frame", "prices"),
    [("trade", _OKX_TRADE, ("px",)), ("ticker", _OKX_TICKER, ("last", "askPx", "bidPx"))],
)
def test_rows_of_another_instrument_at_okx(channel: str, frame: Frame, prices: Sequence[str]) -> None:
    false, true = _beside(FalseName(channel=channel), frame, _OKX)
    (row,) = json.loads(frame.text)["data"]
    assert true is True
    assert false["data"] == [{**row, "instId": "PEPE-USDC", **dict.fromkeys(prices, OTHERS_PRICE)}]
    assert false["arg"]["instId"] == _NAME


def test_rows_that_name_nothing_cannot_name_another() -> None:
    assert _beside(FalseName(channel="orderbook"), _OKX_BOOK, _OKX) == [True]
    assert _beside(FalseName(channel="candle"), _OKX_BAR, _OKX) == [True]


@pytest.mark.parametrize(
    ("channel", "frame", "changed"),
    [
        ("trade", _TRADE, {"p": OTHERS_PRICE}),
        ("ticker", _TICKER, {"c": OTHERS_PRICE, "a": OTHERS_PRICE, "b": OTHERS_PRICE}),
        ("orderbook", _BOOK, {"b": [["1", "2"], [OTHERS_PRICE, "1"]]}),
    ],
)
def test_data_of_another_instrument_at_binance(channel: str, frame: Frame, changed: dict[str, object]) -> None:
    false, _ = _beside(FalseName(channel=channel), frame, _BINANCE)
    assert false["data"] == {**json.loads(frame.text)["data"], "s": "DOGEUSDT", **changed}


def test_a_bar_may_be_of_another_instrument_in_three_ways() -> None:
    frames = [_beside(FalseName(channel="candle"), _BAR, _BINANCE, seed=seed)[0]["data"] for seed in range(20)]
    names = {(data["s"], data["k"]["s"]) for data in frames}
    assert names == {("DOGEUSDT", "BTCUSDT"), ("BTCUSDT", "DOGEUSDT"), ("DOGEUSDT", "DOGEUSDT")}
    assert {data["k"]["c"] for data in frames} == {OTHERS_PRICE}


@pytest.mark.parametrize("dialect", [_OKX, _BINANCE])
def test_refusals_answer_nothing_that_was_asked(dialect: Dialect) -> None:
    said = [_beside(FalseRefusal(), _OKX_TRADE, dialect, seed=seed)[1] for seed in range(30)]
    assert all("code" in each or "code" in each["error"] for each in said)
    assert {each.get("id") for each in said} <= {"zz9", "r999", None, 987_654}


def test_others_leave_frames_and_answers_alone() -> None:
    for kind in KINDS:
        fault = TYPES[kind]()
        assert kind.startswith("false_") == (effect_of(fault, _OKX, Random(1), lambda: 0) is not None)
        assert (kind in _OF_REST) == (rest_effect_of(fault, _OKX, Random(1), _nothing) is not None)


# --- REST -------------------------------------------------------------------------------------------------------------

_REST_ROWS: dict[str, tuple[str, list[Any]]] = {
    "okx trades": ("/api/v5/market/history-trades", [{**_OKX_ROW, "tradeId": str(n)} for n in range(9, 0, -1)]),
    "okx bars": ("/api/v5/market/candles", [[str(n * 60_000), "1", "1", "1", "1", "2", "1"] for n in range(9, 0, -1)]),
    "binance trades": ("/api/v3/historicalTrades", [{"id": n, "price": "1", "time": _NOW_MS} for n in range(1, 10)]),
    "binance bars": ("/api/v3/klines", [[n * 60_000, "1", "1", "1", "1", "2", n * 60_000 + 59_999] for n in range(9)]),
}


def _rows(who: str, style: Any, seed: int) -> tuple[list[Any], list[Any]]:
    """The true rows and those with a false one among them, newest last."""
    path, rows = _REST_ROWS[who]
    dialect: Dialect = _OKX if who.startswith("okx") else _BINANCE
    true = Answer(200, dialect.with_rows(rows))
    changed = with_false_row(style, dialect, Random(seed), Request(path, {}, _NOW_MS), true)
    found: list[Any] = list(dialect.rows(changed) or ())
    return (rows[::-1], found[::-1]) if who.startswith("okx") else (rows, found)


@pytest.mark.parametrize("who", _REST_ROWS)
def test_a_row_of_the_future_is_the_newest(who: str) -> None:
    true, found = _rows(who, "future", 1)
    assert found[:-1] == true
    dialect: Dialect = _OKX if who.startswith("okx") else _BINANCE
    assert dialect.row_number(found[-1]) - dialect.row_number(true[-1]) >= 3_000
    if "trades" in who:
        assert dialect.trade_ms(found[-1]) >= _NOW_MS + 3_600_000


@pytest.mark.parametrize("who", _REST_ROWS)
def test_a_malformed_row_stands_among_true_ones(who: str) -> None:
    for seed in range(20):
        true, found = _rows(who, "malformed", seed)
        assert [row for row in found if row in true] == true
        assert len(found) == len(true) + 1


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (Answer(500, b"{}"), "/api/v3/klines"),
        (Answer(200, b"[]"), "/api/v3/historicalTrades"),
        (Answer(200, b'[{"a":1}]'), "/api/v3/depth"),
    ],
)
def test_what_has_no_rows_stays(answer: Answer, path: str) -> None:
    effect = rest_effect_of(RestFalseRows(), _BINANCE, Random(1), _nothing)
    assert effect is not None
    assert effect.serve(Request(path, {}, 0), lambda _: Served(answer)) == Served(answer)


@pytest.mark.parametrize(
    ("sides", "expected"), [("both", ([], [])), ("bids", ([], [["2", "1"]])), ("asks", ([["1", "1"]], []))]
)
def test_books_without_levels(sides: Any, expected: tuple[object, object]) -> None:
    book = {"bids": [["1", "1"]], "asks": [["2", "1"]], "seqId": 7, "lastUpdateId": 7}
    fault = RestEmptyBook(sides=sides)
    okx = without_levels(fault.sides, _OKX, Request("/api/v5/market/books", {}, 0), envelope([book]))
    (row,) = json.loads(okx.body)["data"]
    assert (row["bids"], row["asks"], row["seqId"]) == (*expected, 7)
    request = Request("/api/v3/depth", {}, 0)
    row = json.loads(without_levels(fault.sides, _BINANCE, request, Answer(200, json.dumps(book).encode())).body)
    assert (row["bids"], row["asks"], row["lastUpdateId"]) == (*expected, 7)
    refused = Answer(429, b"{}")
    assert without_levels(fault.sides, _BINANCE, request, refused) == refused


def _exchange(dialect: Dialect) -> Any:
    """An exchange with two instruments, of three levels each."""

    def ask(request: Request) -> Answer:
        name = dialect.instrument(request.query)
        first = 100 if name.startswith("BTC") else 7
        book = {
            side: [[str(first + by * level), "1"] for level in range(1, 4)] for side, by in (("bids", -1), ("asks", 1))
        }
        if dialect is _OKX:
            if request.path.endswith("instruments"):
                return envelope([{"instId": "BTC-USDT"}, {"instId": "ETH-USDT"}])
            return envelope([{**book, "seqId": first}])
        if request.path.endswith("exchangeInfo"):
            return Answer(200, b'{"symbols":[{"symbol":"BTCUSDT"},{"symbol":"ETHUSDT"}]}')
        return Answer(200, json.dumps({**book, "lastUpdateId": first}).encode())

    return ask


@pytest.mark.parametrize(
    ("dialect", "path", "query"),
    [
        (_OKX, "/api/v5/market/books", {"instId": "BTC-USDT", "sz": "2"}),
        (_BINANCE, "/api/v3/depth", {"symbol": "BTCUSDT", "limit": "2"}),
    ],
)
def test_books_that_were_not_asked_for(dialect: Dialect, path: str, query: dict[str, str]) -> None:
    def answered(fault: RestFalseBook) -> Any:
        body = json.loads(false_book(fault, dialect, ask, request, true).body)
        return body["data"][0] if dialect is _OKX else body

    ask, request = _exchange(dialect), Request(path, query, _NOW_MS)
    true, number = ask(request), "seqId" if dialect is _OKX else "lastUpdateId"
    assert answered(RestFalseBook(levels=1)) == {"bids": [["99", "1"]], "asks": [["101", "1"]], number: 100}
    assert answered(RestFalseBook(style="another")) == {
        "bids": [["6", "1"], ["5", "1"]], "asks": [["8", "1"], ["9", "1"]], number: 7,
    }  # fmt: skip
    refused = Answer(429, b"{}")
    assert false_book(RestFalseBook(), dialect, ask, request, refused) == refused
    assert false_book(RestFalseBook(style="another"), dialect, _nothing, request, true) == true
