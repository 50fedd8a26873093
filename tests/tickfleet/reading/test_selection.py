import pytest

from tests.support.stream_writer import BTC, BTC_BOOK, BTC_TRADES, ETH_TRADES
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.reading.selection import Selection, StreamName, select

CANDLES = StreamName(BTC, DataType.CANDLES, "1m")


@pytest.mark.parametrize(
    ("collectors", "data_types", "expected"),
    [
        ("okx:BTC-USDT", "trade", Selection((BTC_TRADES,), ())),
        ("okx:BTC-USDT", DataType.ORDERBOOK, Selection((BTC_BOOK,), ())),
        ("okx:BTC-USDT", ["trade", "orderbook", "trade"], Selection((BTC_TRADES, BTC_BOOK), ())),
        (["okx:BTC-USDT", "okx:ETH-USDT"], ("trade",), Selection((BTC_TRADES, ETH_TRADES), ())),
        ("okx:BTC-USDT", "candles:1m", Selection((CANDLES,), ())),
        ("okx:BTC-USDT", "candles", Selection((), ("md:v1:{okx:BTC-USDT}:candles:*",))),
        ("okx:*", "trade", Selection((), ("md:v1:{okx:*}:trade",))),
        ("*:币安*-USDT", "trade", Selection((), ("md:v1:{*:币安*-USDT}:trade",))),
        ("okx:BTC-USD_UM*", "trade", Selection((), ("md:v1:{okx:BTC-USD_UM*}:trade",))),
        ("*:BTC-????", "candles:5m", Selection((), ("md:v1:{*:BTC-????}:candles:5m",))),
        (["okx:BTC-USDT", "*"], "ticker", Selection((StreamName(BTC, DataType.TICKER),), ("md:v1:{*}:ticker",))),
        (
            "okx:*",
            "*",
            Selection((), tuple(f"md:v1:{{okx:*}}:{kind}" for kind in ("trade", "orderbook", "ticker", "candles:*"))),
        ),
    ],
)
def test_what_is_written_is_understood(collectors: str, data_types: str, expected: Selection) -> None:
    assert select(collectors, data_types) == expected


@pytest.mark.parametrize(
    ("collectors", "data_types", "message"),
    [
        ("BTC-USDT", "trade", "not spelt exchange:SYMBOL"),
        ("okx:btc-usdt", "trade", "BASE-QUOTE"),
        ("okx BTC*", "trade", "pattern 'okx BTC\\*' is not spelt"),
        ("BTC*", "trade", "is not spelt"),
        ("okx:BTC-USDT", "trades", "no data type 'trades'; did you mean 'trade'"),
        ("okx:BTC-USDT", "trade:1m", "no data type"),
        ("okx:BTC-USDT", "candles:7m", "no interval '7m'"),
        ([], "trade", "at least one collector"),
        ("okx:BTC-USDT", [], "one data type"),
    ],
)
def test_what_is_misspelt_is_refused(collectors: str, data_types: str, message: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=message):
        select(collectors, data_types)


@pytest.mark.parametrize("collectors", ["okxx:BTC-USDT", "okxx:*"])
def test_an_exchange_that_nobody_knows_is_refused(collectors: str) -> None:
    with pytest.raises(ExchangeNotSupportedError, match="did you mean 'okx'"):
        select(collectors, "trade")


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        (BTC_TRADES, "md:v1:{okx:BTC-USDT}:trade", "okx:BTC-USDT trade"),
        (CANDLES, "md:v1:{okx:BTC-USDT}:candles:1m", "okx:BTC-USDT candles:1m"),
        (
            StreamName(CollectorId("binance", "ETH-USDT-PERP"), DataType.TICKER),
            "md:v1:{binance:ETH-USDT-PERP}:ticker",
            "binance:ETH-USDT-PERP ticker",
        ),
    ],
)
def test_a_stream_and_its_key(name: StreamName, key: str, text: str) -> None:
    assert (name.key, StreamName.of_key(key), str(name)) == (key, name, text)


@pytest.mark.parametrize(
    "key",
    [
        "md:v1:{okx:BTC-USDT}:heartbeat",
        "md:v1:{okx:BTC-USDT}:coverage",
        "md:v1:{okx:BTC-USDT}:candles",
        "md:v1:{okx:BTC-USDT}:trade:1m",
        "md:v1:{okx:BTC-USDT}:dead:archive",
        "md:v1:{BTC-USDT}:trade",
        "md:v2:{okx:BTC-USDT}:trade",
        "md:v1:fleet:events",
        "",
    ],
)
def test_other_keys_name_no_stream_of_data(key: str) -> None:
    assert StreamName.of_key(key) is None
