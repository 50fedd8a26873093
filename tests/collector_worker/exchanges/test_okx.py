"""OKX without a connection: addresses, instruments, REST answers, the checksum."""

import json
from math import inf
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import Channel, Feed, Instrument
from collector_worker.exchanges.okx import Okx
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.support.okx_adapter import INSTRUMENT
from tickfleet.contract.events import BookSnapshot, Level
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError, NotTradedError, UnknownSymbolError

WS_PUBLIC, WS_BUSINESS = "wss://ws.okx.com/ws/v5/public", "wss://ws.okx.com/ws/v5/business"


def okx(symbol: str = "BTC-USDT", **changes: Any) -> Okx:
    return Okx(
        ExchangeCollectorConfig(**{"exchange": "okx", "symbol": symbol, "data_types": tuple(DataType)} | changes)
    )


def answer(*rows: object, code: str = "0") -> bytes:
    return json.dumps({"code": code, "msg": "", "data": rows}).encode()


SPOT = {
    "instId": "BTC-USDT", "instType": "SPOT", "state": "live", "baseCcy": "BTC", "quoteCcy": "USDT", "instFamily": "",
    "uly": "", "tickSz": "0.1", "lotSz": "0.00000001", "minSz": "0.00001", "ctVal": "", "listTime": "1548133413000",
    "expTime": "", "instIdCode": 5, "upcChg": [],
}  # fmt: skip
SWAP = {
    "instId": "BTC-USDT-SWAP", "instType": "SWAP", "state": "live", "baseCcy": "", "quoteCcy": "",
    "instFamily": "BTC-USDT", "uly": "BTC-USDT", "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1",
    "ctValCcy": "BTC", "ctType": "linear", "tickSz": "0.1", "lotSz": "0.01", "minSz": "0.01",
}  # fmt: skip
FUTURE = {
    **SWAP, "instId": "BTC-USD-270326", "instType": "FUTURES", "instFamily": "BTC-USD", "uly": "BTC-USD",
    "expTime": "1806048000000",
}  # fmt: skip
OTHERS = [
    {**SPOT, "instId": "ETH-USDT", "baseCcy": "ETH"},
    {**SPOT, "instId": "BTC-USDC", "quoteCcy": "USDC"},
    {**SWAP, "instId": "ETH-USDT-SWAP", "instFamily": "ETH-USDT"},
    {**FUTURE, "instId": "BTC-USD-270625", "expTime": "1813910400000"},
    {**FUTURE, "instId": "BTC-USD-X", "expTime": "9" * 30},
    {**FUTURE, "instId": "BTC-USD-Y", "expTime": "\u00b2"},
]

# --- instruments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "kind"), [("BTC-USDT", "SPOT"), ("BTC-USDT-PERP", "SWAP"), ("BTC-USD-270326", "FUTURES")]
)
def test_the_list_of_the_symbols_kind_is_asked(symbol: str, kind: str) -> None:
    assert okx(symbol).instruments_path() == f"/api/v5/public/instruments?instType={kind}"


def test_a_spot_pair_is_found_by_its_currencies() -> None:
    assert okx().read_instruments(answer(*OTHERS, SPOT)) == Instrument(
        symbol="BTC-USDT",
        native="BTC-USDT",
        state="live",
        tick_size="0.1",
        lot_size="0.00000001",
        min_size="0.00001",
        listed_at_ms="1548133413000",
    )


def test_a_perpetual_is_found() -> None:
    assert okx("BTC-USDT-PERP").read_instruments(answer(*OTHERS, SPOT, SWAP)) == Instrument(
        symbol="BTC-USDT-PERP",
        native="BTC-USDT-SWAP",
        state="live",
        tick_size="0.1",
        lot_size="0.01",
        min_size="0.01",
        contract_value="0.01",
        contract_multiplier="1",
        contract_currency="BTC",
        contract_type="linear",
        settle_currency="USDT",
    )


@pytest.mark.parametrize(
    "changes", [{}, {"instFamily": ""}, {"instId": "BTC-USD-Z"}], ids=["both", "by id", "by family"]
)
def test_a_future_is_found_by_its_id_or_by_family_and_expiry(changes: dict[str, str]) -> None:
    found = okx("BTC-USD-270326").read_instruments(answer(*OTHERS, {**FUTURE, **changes}))

    assert (found.native, found.expires_at_ms) == (changes.get("instId", "BTC-USD-270326"), "1806048000000")


UM = {"uly": "BTC-USD", "settleCcy": "USD", "ctType": "linear"}
FAMILIES = [
    {**SWAP, **UM, "instId": "BTC-USD_UM-SWAP", "instFamily": "BTC-USD_UM"},
    {**SWAP, "instId": "BTC-USD-SWAP", "instFamily": "BTC-USD", "uly": "BTC-USD", "settleCcy": "BTC"},
    {**FUTURE, **UM, "instId": "BTC-USD_UM-270326", "instFamily": "BTC-USD_UM"},
    FUTURE,
    {**FUTURE, **UM, "instId": "BTC-USD_UM_XPERP-310404", "instFamily": "BTC-USD_UM", "expTime": "1933056000000"},
    {**FUTURE, **UM, "instId": "BTC-USD_UM-310404", "instFamily": "BTC-USD_UM", "expTime": "1933056000000"},
]
"""Of one underlying; the last two also have family and expiry in common."""


@pytest.mark.parametrize(
    ("symbol", "native"),
    [
        ("BTC-USD_UM-PERP", "BTC-USD_UM-SWAP"),
        ("BTC-USD-PERP", "BTC-USD-SWAP"),
        ("BTC-USD_UM-270326", "BTC-USD_UM-270326"),
        ("BTC-USD-270326", "BTC-USD-270326"),
        ("BTC-USD_UM_XPERP-310404", "BTC-USD_UM_XPERP-310404"),
        ("BTC-USD_UM-310404", "BTC-USD_UM-310404"),
    ],
)
def test_families_of_one_underlying_are_told_apart(symbol: str, native: str) -> None:
    for rows in (FAMILIES, FAMILIES[::-1]):
        assert okx(symbol).read_instruments(answer(*rows)).native == native


def test_another_family_of_the_same_underlying_is_not_taken_instead() -> None:
    blank = {**FAMILIES[0], "instFamily": ""}
    with pytest.raises(UnknownSymbolError, match=r"^OKX lists no instrument for symbol BTC-USD-PERP$"):
        okx("BTC-USD-PERP").read_instruments(answer(blank))


def test_any_name_can_stand_in_an_address() -> None:
    instrument = Instrument(symbol="币-USDT", native="币&=-USDT", state="live", tick_size="", lot_size="", min_size="")
    exchange = okx("币-USDT")
    paths = [
        exchange.instrument_path(instrument),
        exchange.book_path(instrument),
        exchange.trades_path(instrument, 1),
        exchange.newest_trades_path(instrument),
        exchange.candles_path(instrument, "1m", 0, 0),
    ]
    assert [parse_qs(urlsplit(path).query)["instId"] for path in paths] == [["币&=-USDT"]] * len(paths)
    assert all(path.isascii() for path in paths)


EMPTY = dict.fromkeys(("baseCcy", "quoteCcy", "instFamily", "uly", "tickSz", "lotSz", "minSz", "expTime"), "")


@pytest.mark.parametrize(
    ("symbol", "row"),
    [("BTC-USDT", SPOT), ("BTC-USDT-PERP", SWAP), ("BTC-USD-270326", FUTURE)],
    ids=["spot", "swap", "future"],
)
def test_an_instrument_that_is_announced_is_waited_for(symbol: str, row: dict[str, Any]) -> None:
    """Its figures are empty until some minutes before it is listed (section 6)."""
    announced = {**row, **EMPTY, "state": "preopen"}
    for rows in ([announced], [*OTHERS, announced], [{**announced, "tickSz": "0.1"}]):
        with pytest.raises(NotTradedError) as caught:
            okx(symbol).read_instruments(answer(*rows))
        assert (str(caught.value), caught.value.state) == (
            f"OKX does not trade {symbol} now (its state is 'preopen')",
            "preopen",
        )
    assert okx(symbol).read_instruments(answer({**row, "state": "preopen"})).native == row["instId"]


def test_before_the_market_opens_the_book_may_be_crossed() -> None:
    legal = [okx().read_instruments(answer({**SPOT, "state": state})).crossed_is_legal for state in ("live", "preopen")]

    assert legal == [False, True]


def test_a_symbol_that_is_not_listed() -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        okx("SOL-USDT").read_instruments(answer(*OTHERS, SPOT))
    assert str(caught.value) == "OKX lists no instrument for symbol SOL-USDT"


def test_a_symbol_that_has_expired_is_gone() -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        okx().read_instruments(answer({**SPOT, "state": "expired"}))
    assert str(caught.value) == "OKX lists no instrument for symbol BTC-USDT"


def test_one_instrument_is_asked_for_by_its_native_name() -> None:
    exchange = okx("BTC-USDT-PERP")
    found = exchange.read_instruments(answer(*OTHERS, SPOT, SWAP))
    path = exchange.instrument_path(found)
    assert path == "/api/v5/public/instruments?instType=SWAP&instId=BTC-USDT-SWAP"
    assert exchange.read_instruments(answer(SWAP)) == found


def test_an_instrument_that_okx_does_not_know_any_more() -> None:
    """Section 3: 51001, with HTTP status 200. Elsewhere it is trouble that may pass: the symbol was there once."""
    gone = answer(code="51001")
    with pytest.raises(UnknownSymbolError) as caught:
        okx().read_instruments(gone)
    assert str(caught.value) == "OKX lists no instrument for symbol BTC-USDT"
    for read in (okx().read_time_ms, lambda body: okx().read_book(body, INSTRUMENT, 1)):
        with pytest.raises(ExchangeUnavailableError, match=r"^OKX answered with error code 51001$"):
            read(gone)


def test_an_empty_list_says_nothing_of_the_symbol() -> None:
    with pytest.raises(ExchangeUnavailableError, match="empty list"):
        okx().read_instruments(answer())


@pytest.mark.parametrize("state", ["suspend", "test", "rebase", "post_only", "", "a word that comes next year"])
def test_a_symbol_that_is_not_traded_for_now(state: str) -> None:
    with pytest.raises(NotTradedError) as caught:
        okx().read_instruments(answer({**SPOT, "state": state}))
    assert str(caught.value) == f"OKX does not trade BTC-USDT now (its state is {state[:20]!r})"
    assert caught.value.state == state[:20]


# --- REST -------------------------------------------------------------------------------------------------------------

FAILURES = {
    "rate limit": (answer(code="50011"), "OKX answered with error code 50011"),
    "a code that is none": (answer(code="\x1b[31mno"), "OKX answered with error code unreadable"),
    "an empty code": (answer(code=""), "OKX answered with error code unreadable"),
    "a page": (b"<html>", "OKX answered something that is not its protocol"),
    "nothing": (b"", "OKX answered something that is not its protocol"),
    "no text": (b'{"code":"\xff"}', "OKX answered something that is not its protocol"),
    "no bottom": (b'{"x":' + b"[" * 100_000, "OKX answered something that is not its protocol"),
    "no bottom inside": (
        b'{"code":"0","data":[{"x":' + b"[" * 100_000,
        "OKX answered something that is not its protocol",
    ),
    "a row that is none": (answer(1), "OKX answered something that is not its protocol"),
    "a list that is none": (b'{"code":"0","data":{}}', "OKX answered something that is not its protocol"),
}


@pytest.mark.parametrize(("body", "message"), FAILURES.values(), ids=FAILURES)
def test_an_answer_that_is_none_may_be_one_later(body: bytes, message: str) -> None:
    for read in (okx().read_instruments, okx().read_time_ms, lambda body: okx().read_book(body, INSTRUMENT, 1)):
        with pytest.raises(ExchangeUnavailableError) as caught:
            read(body)
        assert str(caught.value) == message


@given(st.binary())
@example(b'{"code":"0"}')
@example(b'{"code":"0","data":[{"ts":"-1"}]}')
@example(b'{"code":"0","data":[{"ts":"' + b"9" * 400 + b'"}]}')
def test_any_answer_is_read_or_refused(body: bytes) -> None:
    for read in (okx().read_instruments, okx().read_time_ms, lambda body: okx().read_book(body, INSTRUMENT, 1)):
        with pytest.raises((ExchangeUnavailableError, UnknownSymbolError)):
            read(body)


def test_the_time() -> None:
    assert okx().time_path() == "/api/v5/public/time"
    assert okx().read_time_ms(answer({"ts": "1597026383085"})) == 1_597_026_383_085
    with pytest.raises(ExchangeUnavailableError, match=r"^OKX answered no time$"):
        okx().read_time_ms(answer())


def test_a_book() -> None:
    instrument = okx("BTC-USDT-PERP").read_instruments(answer(SWAP))
    row = {"bids": [["9", "1", "0", "3"]], "asks": [["10", "2", "0", "1"]], "ts": "7", "seqId": 5, "prevSeqId": 3}

    assert okx().book_path(instrument) == "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=400"
    assert okx().read_book(answer(row), instrument, 99) == BookSnapshot(
        ts_event=7_000_000, ts_recv=99, bids=[Level("9", "1")], asks=[Level("10", "2")], reason="", seq=5, prev_seq=3
    )
    ours = {**row, "instId": "BTC-USDT-SWAP", "seqId": 6}
    assert okx().read_book(answer({**row, "instId": "DOGE-USDT-SWAP"}, ours), instrument, 99).seq == 6
    for rows in ([], [{**row, "seqId": None}], [{**row, "instId": "BTC-USDT"}], [{**row, "instId": ""}]):
        with pytest.raises(ExchangeUnavailableError, match=r"^OKX answered no book$"):
            okx().read_book(answer(*rows), instrument, 99)


TRADE_ROW = {"instId": "BTC-USDT-SWAP", "px": "1", "sz": "2", "side": "buy", "ts": "5"}
BAD_ROWS: dict[str, dict[str, object]] = {
    "of another instrument": {"instId": "DOGE-USDT-SWAP"},
    "of none": {"instId": ""},
    "no side": {"side": "none"},
    "a price that is none": {"px": "abc"},
    "no size": {"sz": None},
    "an id of twenty digits": {"tradeId": "1" * 20},
    "no time": {"ts": ""},
}


@pytest.mark.parametrize("changes", BAD_ROWS.values(), ids=BAD_ROWS)
def test_one_trade_of_a_page_that_is_none_costs_no_other(changes: dict[str, object]) -> None:
    instrument = okx("BTC-USDT-PERP").read_instruments(answer(SWAP))
    rows: list[dict[str, object]] = [{**TRADE_ROW, "tradeId": str(number)} for number in (8, 7, 6)]
    rows[1] |= changes
    trades = okx("BTC-USDT-PERP").read_trades(answer(*rows), instrument, 99)
    assert [trade.trade_id for trade in trades] == ["6", "8"]
    with pytest.raises(ExchangeUnavailableError):
        okx("BTC-USDT-PERP").read_trades(answer(rows[1]), instrument, 99)


@pytest.mark.parametrize("bad", [[], None, ["60000", "abc"], ["60000", "1", "1", "1"]], ids=str)
def test_one_bar_of_a_page_that_is_none_costs_no_other(bad: object) -> None:
    def bar(ts: str) -> list[str]:
        return [ts, "1", "1", "1", "1", "0", "0", "0", "1"]

    bars = okx().read_candles(answer(bar("120000"), bad, bar("0")), "1m", 99)
    assert [each.open_time for each in bars] == [0, 120_000_000_000]


def test_one_instrument_that_is_none_costs_no_other() -> None:
    found = okx("BTC-USDT-PERP").read_instruments(answer({"instId": 5}, SWAP, None))
    assert found.native == "BTC-USDT-SWAP"


# --- feeds ------------------------------------------------------------------------------------------------------------

TRADES_ALL = Channel(DataType.TRADE, "", "trades-all")
BOOKS = Channel(DataType.ORDERBOOK, "", "books", 65.0, full_levels=400)
TICKERS = Channel(DataType.TICKER, "", "tickers")
MINUTES = Channel(DataType.CANDLES, "1m", "candle1m", 90.0)


@pytest.mark.parametrize(
    ("changes", "feeds"),
    [
        (
            {},
            (Feed("public", WS_PUBLIC, (BOOKS, TICKERS)), Feed("business", WS_BUSINESS, (TRADES_ALL, MINUTES))),
        ),
        ({"data_types": (DataType.TICKER,)}, (Feed("public", WS_PUBLIC, (TICKERS,)),)),
        ({"data_types": (DataType.TRADE,)}, (Feed("business", WS_BUSINESS, (TRADES_ALL,)),)),
        (
            {
                "data_types": (DataType.TRADE, DataType.ORDERBOOK),
                "custom_params": {"trade_channel": "trades", "book_channel": "bbo-tbt"},
                "endpoints": Endpoints(ws_public="ws://127.0.0.1:1/x"),
            },
            (
                Feed(
                    "public",
                    "ws://127.0.0.1:1/x",
                    (Channel(DataType.TRADE, "", "trades"), Channel(DataType.ORDERBOOK, "", "bbo-tbt", 65.0, inf)),
                ),
            ),
        ),
        (
            {"data_types": (DataType.CANDLES,), "candle_intervals": ("4h", "1d")},
            (
                Feed(
                    "business",
                    WS_BUSINESS,
                    (
                        Channel(DataType.CANDLES, "4h", "candle4H", 14_430.0),
                        Channel(DataType.CANDLES, "1d", "candle1Dutc", 86_430.0),
                    ),
                ),
            ),
        ),
    ],
    ids=["everything", "tickers alone", "trades alone", "other channels elsewhere", "long candles"],
)
def test_one_socket_per_path_that_is_needed(changes: dict[str, Any], feeds: tuple[Feed, ...]) -> None:
    assert okx(**changes).feeds() == feeds


# --- checksum (sheet, section 5) --------------------------------------------------------------------------------------


def test_the_tiny_checksum() -> None:
    bids, asks = [Level("3366.1", "7"), Level("3366", "6")], [Level("3366.8", "9"), Level("3368", "8")]

    assert okx().book_checksum(bids, asks) == -1_881_014_294


def test_where_one_side_ends_the_other_goes_on() -> None:
    bids, asks = [Level("2", "1")], [Level("3", "1"), Level("4", "1")]

    assert okx().book_checksum(bids, asks) == okx().book_checksum([*bids, *asks[1:]], asks[:1])
    assert okx().book_checksum([], []) == 0
