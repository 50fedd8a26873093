"""Binance without a connection: addresses, instruments, REST answers."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import Channel, Feed, Instrument
from common.config.exchanges import Endpoints
from tests.support.binance_adapter import INSTRUMENT, RECV, binance
from tickfleet.contract.events import BookSnapshot, Candle, Level, Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError, NotTradedError, UnknownSymbolError

MINUTE_MS = 60_000
ROW: dict[str, Any] = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
    ],
}  # fmt: skip


def info(*rows: object) -> bytes:
    return json.dumps({"timezone": "UTC", "serverTime": 1, "rateLimits": [], "symbols": rows}).encode()


# --- instruments ------------------------------------------------------------------------------------------------------


def test_the_one_symbol_that_base_and_quote_make_up_is_asked_for() -> None:
    exchange = binance("ETH-BTC")
    assert exchange.instruments_path() == exchange.instrument_path(INSTRUMENT) == "/api/v3/exchangeInfo?symbol=ETHBTC"


def test_an_instrument() -> None:
    assert binance().read_instruments(info(ROW)) == Instrument(
        symbol="BTC-USDT", native="BTCUSDT", state="TRADING", tick_size="0.01000000", lot_size="0.00001000",
        min_size="0.00001000",
    )  # fmt: skip


def test_an_instrument_without_filters() -> None:
    found = binance().read_instruments(info({**ROW, "filters": []}))
    assert (found.tick_size, found.lot_size, found.min_size) == ("", "", "")


@pytest.mark.parametrize("row", [{**ROW, "baseAsset": "BTCU", "quoteAsset": "SDT"}, {**ROW, "quoteAsset": "USDC"}])
def test_the_same_letters_of_other_assets_are_not_believed(row: dict[str, Any]) -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        binance().read_instruments(info(row))
    assert str(caught.value) == "Binance lists no instrument for symbol BTC-USDT"


def test_a_symbol_that_is_not_listed() -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        binance("BTC-XYZ").read_instruments(b'{"code":-1121,"msg":"Invalid symbol."}')
    assert str(caught.value) == "Binance lists no instrument for symbol BTC-XYZ"


@pytest.mark.parametrize(
    "status", ["HALT", "BREAK", "END_OF_DAY", "PRE_TRADING", "CANCEL_ONLY", "", "a word that comes next year"]
)
def test_a_symbol_that_is_not_traded_for_now(status: str) -> None:
    with pytest.raises(NotTradedError) as caught:
        binance().read_instruments(info({**ROW, "status": status}))
    assert str(caught.value) == f"Binance does not trade BTC-USDT now (its status is {status[:20]!r})"
    assert caught.value.state == status[:20]


def test_an_unknown_symbol_during_collection_is_an_ordinary_rest_failure() -> None:
    """It was there when the run began: what becomes of it is seen elsewhere, and a backfill does not end the run."""
    exchange = binance()
    readers: list[Callable[[bytes], object]] = [
        lambda body: exchange.read_book(body, INSTRUMENT, RECV),
        lambda body: exchange.read_trades(body, INSTRUMENT, RECV),
        lambda body: exchange.read_candles(body, "1m", RECV),
    ]
    for reader in readers:
        with pytest.raises(ExchangeUnavailableError, match=r"^Binance answered with error code -1121$"):
            reader(b'{"code":-1121,"msg":"Invalid symbol."}')


def test_a_symbol_of_another_script_is_percent_encoded() -> None:
    """Sheet, section 1; its assets are believed as those of any other."""
    exchange = binance("币安人生-USDT")
    row = {**ROW, "symbol": "币安人生USDT", "baseAsset": "币安人生"}
    instrument = exchange.read_instruments(info(row))
    assert (instrument.symbol, instrument.native) == ("币安人生-USDT", "币安人生USDT")

    name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert exchange.instruments_path() == f"/api/v3/exchangeInfo?symbol={name}"
    paths = [
        exchange.book_path(instrument),
        exchange.trades_path(instrument, 7),
        exchange.newest_trades_path(instrument),
        exchange.candles_path(instrument, "1m", 0, 0),
    ]
    assert [path.partition("?")[2].partition("&")[0] for path in paths] == [f"symbol={name}"] * len(paths)


# --- the feed ---------------------------------------------------------------------------------------------------------

TRADES = Channel(DataType.TRADE, "", "trade")
BOOK = Channel(DataType.ORDERBOOK, "", "depth@100ms", snapshot_wait_s=0.5, seed_levels=1_000, full_levels=1_000)
TICKERS = Channel(DataType.TICKER, "", "ticker")


def candles(interval: str) -> Channel:
    return Channel(DataType.CANDLES, interval, f"kline_{interval}")


@pytest.mark.parametrize(
    ("changes", "channels"),
    [
        ({}, (TRADES, BOOK, TICKERS, candles("1m"))),
        ({"data_types": (DataType.TICKER,)}, (TICKERS,)),
        ({"data_types": (DataType.ORDERBOOK, DataType.TRADE)}, (TRADES, BOOK)),
        ({"data_types": (DataType.CANDLES,), "candle_intervals": ("5m", "1d")}, (candles("5m"), candles("1d"))),
    ],
    ids=["all", "one", "two", "candles"],
)
def test_one_socket_carries_everything(changes: dict[str, Any], channels: tuple[Channel, ...]) -> None:
    url = "wss://stream.binance.com:9443/stream"
    assert binance(**changes).feeds() == (Feed("public", url, channels, max_life_s=82_800.0),)


def test_another_host() -> None:
    exchange = binance(endpoints=Endpoints(ws_public="ws://127.0.0.1:1", rest="http://127.0.0.1:2"))
    assert [feed.url for feed in exchange.feeds()] == ["ws://127.0.0.1:1/stream"]


# --- REST -------------------------------------------------------------------------------------------------------------


def test_what_is_asked_and_what_it_costs() -> None:
    exchange = binance()
    paths = {
        exchange.time_path(): 2.0,
        exchange.instruments_path(): 20.0,
        exchange.book_path(INSTRUMENT): 50.0,
        exchange.trades_path(INSTRUMENT, 7): 25.0,
        exchange.newest_trades_path(INSTRUMENT): 25.0,
        exchange.candles_path(INSTRUMENT, "1m", 180_000_000_000, 999): 2.0,
    }
    assert list(paths) == [
        "/api/v3/time",
        "/api/v3/exchangeInfo?symbol=BTCUSDT",
        "/api/v3/depth?symbol=BTCUSDT&limit=1000",
        "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=1000",
        "/api/v3/historicalTrades?symbol=BTCUSDT&limit=10",
        "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=180000&limit=1000",
    ]
    assert {path: exchange.rest_units(path) for path in paths} == paths


def test_the_server_s_time() -> None:
    assert binance().read_time_ms(b'{"serverTime":1499827319559}') == 1_499_827_319_559


def test_the_seed_of_the_book() -> None:
    body = b'{"lastUpdateId":99076734994,"bids":[["2.10","0.31"]],"asks":[["2.20","1.09"],["2.30","5"]]}'
    assert binance().read_book(body, INSTRUMENT, RECV) == BookSnapshot(
        ts_event=RECV, ts_recv=RECV, bids=[Level("2.10", "0.31")], asks=[Level("2.20", "1.09"), Level("2.30", "5")],
        seq=99_076_734_994, reason="",
    )  # fmt: skip


def test_trades_come_in_the_order_of_their_ids() -> None:
    rows = [
        {"id": 8, "price": "2.0", "qty": "0.1", "quoteQty": "0.2", "time": 1_002, "isBuyerMaker": False},
        {"id": 7, "price": "1.0", "qty": "0.3", "quoteQty": "0.3", "time": 1_001, "isBuyerMaker": True},
    ]
    assert binance().read_trades(json.dumps(rows).encode(), INSTRUMENT, RECV) == [
        Trade(1_001_000_000, RECV, "7", "1.0", "0.3", "sell", "backfill"),
        Trade(1_002_000_000, RECV, "8", "2.0", "0.1", "buy", "backfill"),
    ]


def kline(minute: int, close: str = "1.5") -> list[Any]:
    opened = minute * MINUTE_MS
    return [opened, "1", "2", "0.5", close, "10", opened + MINUTE_MS - 1, "15", 3, "5", "7", "0"]


def closed(minute: int) -> Candle:
    opened = minute * MINUTE_MS * 1_000_000
    return Candle(
        ts_event=opened, ts_recv=RECV, interval="1m", open_time=opened, close_time=opened + MINUTE_MS * 1_000_000,
        open="1", high="2", low="0.5", close="1.5", volume="10", quote_volume="15", closed=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "bars"),
    [([], []), ([5], []), ([5, 6, 7], [5, 6]), ([7, 5, 6], [5, 6])],
    ids=["none", "one", "three", "out of order"],
)
def test_of_the_bars_the_last_may_be_running(rows: list[int], bars: list[int]) -> None:
    body = json.dumps([kline(minute) for minute in rows]).encode()
    assert binance().read_candles(body, "1m", RECV) == [closed(minute) for minute in bars]


RUNNING = RECV // (MINUTE_MS * 1_000_000)


@pytest.mark.parametrize(
    "again", [kline(RUNNING, close="9"), [RUNNING * MINUTE_MS + 1, *kline(RUNNING)[1:]]], ids=["twice", "off its grid"]
)
def test_what_is_no_later_bar_does_not_show_that_one_is_closed(again: list[Any]) -> None:
    body = json.dumps([kline(RUNNING - 1), kline(RUNNING), again]).encode()
    assert binance().read_candles(body, "1m", RECV) == [closed(RUNNING - 1)]


BAD_ROWS: dict[str, dict[str, object]] = {
    "a price that is none": {"price": "abc"},
    "no size": {"qty": None},
    "a time in nanoseconds": {"time": 10**18},
    "an id of twenty digits": {"id": 10**20},
}


@pytest.mark.parametrize("changes", BAD_ROWS.values(), ids=BAD_ROWS)
def test_one_trade_of_a_page_that_is_none_costs_no_other(changes: dict[str, object]) -> None:
    rows: list[dict[str, object]] = [
        {"id": number, "price": "2.0", "qty": "0.1", "time": 1_000 + number, "isBuyerMaker": False}
        for number in (6, 7, 8)
    ]
    rows[1] |= changes
    trades = binance().read_trades(json.dumps(rows).encode(), INSTRUMENT, RECV)
    assert [trade.trade_id for trade in trades] == ["6", "8"]


OFF_GRID = [6 * MINUTE_MS + 1, *kline(6)[1:]]


@pytest.mark.parametrize("bad", [[], None, [5 * MINUTE_MS, "abc"], kline(6)[:3], OFF_GRID], ids=str)
def test_one_bar_of_a_page_that_is_none_costs_no_other(bad: object) -> None:
    body = json.dumps([kline(5), bad, kline(7), kline(8)]).encode()
    assert binance().read_candles(body, "1m", RECV) == [closed(5), closed(7)]


FAILURES = {
    "too many requests": (b'{"code":-1003,"msg":"x"}', "Binance answered with error code -1003"),
    "a page": (b"<html>", "Binance answered with something that is not its protocol"),
    "nothing": (b"", "Binance answered with something that is not its protocol"),
    "another shape": (b'{"a":[]}', "Binance answered with something that is not its protocol"),
    "deep lists": (b"[" * 100_000, "Binance answered with something that is not its protocol"),
    "deep where we do not look": (
        b'{"x":' + b"[" * 100_000,
        "Binance answered with something that is not its protocol",
    ),
    "invalid utf-8": (b'{"code":"\xff\xfe"}', "Binance answered with something that is not its protocol"),
    "a list of others": (b'[{"a":1}]', "Binance answered with something that is not its protocol"),
    "a code that is none": (b'{"code":"\x1b[31m"}', "Binance answered with something that is not its protocol"),
}


@pytest.mark.parametrize(("body", "says"), FAILURES.values(), ids=FAILURES)
def test_an_answer_that_is_of_no_use(body: bytes, says: str) -> None:
    exchange = binance()
    readers: list[Callable[[bytes], object]] = [
        exchange.read_instruments,
        exchange.read_time_ms,
        lambda body: exchange.read_book(body, INSTRUMENT, RECV),
        lambda body: exchange.read_trades(body, INSTRUMENT, RECV),
        lambda body: exchange.read_candles(body, "1m", RECV),
    ]
    for reader in readers:
        with pytest.raises(ExchangeUnavailableError) as caught:
            reader(body)
        assert str(caught.value) == says


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps))
def test_any_answer_is_read_or_refused(body: bytes | str) -> None:
    exchange, raw = binance(), body if isinstance(body, bytes) else body.encode()
    for reader in (
        exchange.read_instruments,
        exchange.read_time_ms,
        lambda raw: exchange.read_book(raw, INSTRUMENT, RECV),
        lambda raw: exchange.read_trades(raw, INSTRUMENT, RECV),
        lambda raw: exchange.read_candles(raw, "1m", RECV),
    ):
        with suppress(ExchangeUnavailableError, UnknownSymbolError):
            reader(raw)
