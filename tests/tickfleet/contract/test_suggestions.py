import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.collector import TRANSPORTS
from common.config.exchanges import PROFILES
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.contract.suggestions import did_you_mean, interval_of_known, of_known, same_collector

KEYS = ["data_types", "candle_intervals", "enabled", "ws_public", "ws_business", "symbol", "url", "maxlen"]
TYPES = [data_type.value for data_type in DataType]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("data_type", "; did you mean 'data_types'?"),
        ("enable", "; did you mean 'enabled'?"),
        ("candel_intervals", "; did you mean 'candle_intervals'?"),
        ("max-len", "; did you mean 'maxlen'?"),
        ("pair", "; did you mean 'symbol'?"),
        ("host", "; did you mean 'url'?"),
        ("ws", "; did you mean 'ws_public' or 'ws_business'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_key_is_proposed(name: str, hint: str) -> None:
    assert did_you_mean(name, KEYS) == hint


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *[(name, "trade") for name in ("trades", "Trade", "aggTrade", "public_trades", "matches", "trad")],
        *[(name, "orderbook") for name in ("l2_book", "L2", "books", "order_book", "depth", "depthUpdate", "orderbok")],
        *[(name, "ticker") for name in ("tickers", "bbo", "quotes", "bookTicker")],
        *[(name, "candles") for name in ("candle", "klines", "kline", "bars", "OHLCV")],
        *[(name, "") for name in ("funding", "liquidations", "open_interest", "index_price", "")],
    ],
)
def test_a_data_type_by_another_name(name: str, meant: str) -> None:
    assert did_you_mean(name, TYPES) == (f"; did you mean {meant!r}?" if meant else "")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("OKX", "okx"), ("okex", "okx"), ("Binance", "binance"), ("binanc", "binance")]
    + [(name, "") for name in ("binanceus", "binance-us", "okcoin", "bybit", "kraken")],
)
def test_another_exchange_is_no_misspelt_one(name: str, meant: str) -> None:
    assert did_you_mean(name, PROFILES) == (f"; did you mean {meant!r}?" if meant else "")


def test_all_that_is_known_stands_behind_it() -> None:
    assert of_known("websocket", TRANSPORTS) == "; did you mean 'websockets'? (known: picows, websockets)"
    assert of_known("aiohttp", TRANSPORTS) == " (known: picows, websockets)"
    assert of_known("x", []) == " (known: none)"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("1min", "1m"), ("60s", "1m"), ("60m", "1h"), ("1H", "1h"), ("1Dutc", "1d"), ("24h", "1d"), ("7d", "1w")]
    + [("2 hours", "2h"), ("30mins", "30m"), ("1week", "1w")]
    + [(name, "") for name in ("1M", "45m", "7m", "60ms", "1mo", "2x", "m", "", "0m", "1" * 9 + "m")],
)
def test_an_interval_of_the_same_length(name: str, meant: str) -> None:
    hint = f"; did you mean {meant!r}?" if meant else ""
    assert interval_of_known(name, INTERVAL_S) == f"{hint} (known: {', '.join(INTERVAL_S)})"


IDS = ["okx:BTC-USDT", "okx:BTC-USDT-PERP", "okx:BTC-USDT-261225", "okx:ETH-USDT", "binance:ETH-USDT"]
IDS += ["hyperliquid:kPEPE-USD-PERP"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("okx:btc-usdt", "'okx:BTC-USDT'"),
        ("okx:BTC/USDT", "'okx:BTC-USDT'"),
        ("okx:BTCUSDT", "'okx:BTC-USDT'"),
        ("okex:BTC-USDT", "'okx:BTC-USDT'"),
        ("BTC-USDT", "'okx:BTC-USDT'"),
        ("collector-okx-BTC-USDT", "'okx:BTC-USDT'"),
        ("okx:BTC-USDT-SWAP", "'okx:BTC-USDT-PERP'"),
        ("okx:BTC-USTD", "'okx:BTC-USDT'"),
        ("okx:BTC-USDT-PREP", "'okx:BTC-USDT-PERP'"),
        ("okx:BTC-USDTT-PERP", "'okx:BTC-USDT-PERP'"),
        ("hyperliquid:KPEPE-USD-PERP", "'hyperliquid:kPEPE-USD-PERP'"),
        ("hyperliquid:kPEPE-USD-PREP", "'hyperliquid:kPEPE-USD-PERP'"),
        ("ETH-USDT", "'okx:ETH-USDT' or 'binance:ETH-USDT'"),
    ],
)
def test_the_same_collector_by_another_spelling(name: str, meant: str) -> None:
    assert same_collector(name, IDS) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        "okx:NOPE-USDT",
        "okx:BTC-USDC",
        "okx:BTC-USD",
        "okx:TBC-USDT",
        "okx:BTC-USDT-261252",
        "okx:BCH-USDT",
        "okx:ETH-USDT-PERP",
        "binance:BTC-USDT",
        "okx:BTC",
        "okx",
        "",
    ],
)
def test_another_asset_or_exchange_is_never_proposed(name: str) -> None:
    assert same_collector(name, IDS) == ""


def test_nothing_known_nothing_proposed() -> None:
    assert did_you_mean("enabled", []) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_only_known_names_are_proposed_and_at_most_two(name: str, known: list[str]) -> None:
    one = {f"; did you mean {each!r}?" for each in known}
    two = {f"; did you mean {first!r} or {second!r}?" for first in known for second in known}
    assert did_you_mean(name, known) in {"", *one, *two}
