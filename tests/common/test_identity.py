import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidConfigurationError
from common.identity import CollectorId, DataType, ProductKind, Symbol

CURRENCY = st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True)
EXCHANGE = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
SUFFIX = st.sampled_from(["", "-PERP", "-270326"])


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC-USDT", Symbol("BTC", "USDT", ProductKind.SPOT)),
        ("1INCH-USDT", Symbol("1INCH", "USDT", ProductKind.SPOT)),
        ("BTC-USDT-PERP", Symbol("BTC", "USDT", ProductKind.PERPETUAL)),
        ("BTC-USD-270326", Symbol("BTC", "USD", ProductKind.FUTURE, "270326")),
        ("PERP-USDT", Symbol("PERP", "USDT", ProductKind.SPOT)),
    ],
)
def test_a_symbol_is_taken_apart(text: str, symbol: Symbol) -> None:
    assert Symbol.parse(text) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "", "BTC", "BTC-", "-USDT", "BTCUSDT", "BTC/USDT", "BTC_USDT", "btc-usdt", "BTC-usdt", "BTC-USDT-SWAP",
        "BTC-USDT-2703", "BTC-USDT-2703261", "BTC-USDT-270326-C", "BTC-USDT ", " BTC-USDT", "BTC-USDT\n",
        "BTC-USDT-PERP\n",
        "\u0392TC-USDT", "BTC-USDT-\uff12\uff17\uff10\uff13\uff12\uff16", "B*C-USDT", "A" * 21 + "-USDT",
    ],
)  # fmt: skip
def test_a_misspelt_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        Symbol.parse(text)
    assert str(caught.value) == (
        f"symbol {text!r} is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals"
    )


@given(EXCHANGE, CURRENCY, CURRENCY, SUFFIX)
def test_a_collector_id_reads_back_what_it_writes(exchange: str, base: str, quote: str, suffix: str) -> None:
    collector = CollectorId(exchange, f"{base}-{quote}{suffix}")

    assert CollectorId.parse(str(collector)) == collector


def test_names_of_a_collector() -> None:
    collector = CollectorId("binance-usdm", "BTC-USDT-PERP")

    assert str(collector) == "binance-usdm:BTC-USDT-PERP"
    assert collector.program == "collector-binance-usdm-BTC-USDT-PERP"


@pytest.mark.parametrize(
    "text", ["", "okx", "BTC-USDT", ":BTC-USDT", "OKX:BTC-USDT", "o kx:BTC-USDT", "okx\n:BTC-USDT"]
)
def test_an_id_without_an_exchange_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        CollectorId.parse(text)
    assert str(caught.value) == f"collector id {text!r} is not spelt exchange:SYMBOL"


@pytest.mark.parametrize("symbol", ["", "btc-usdt", "BTC-USDT\n", "BTC-USDT:okx"])
def test_an_id_with_a_misspelt_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=r"^symbol '"):
        CollectorId.parse(f"okx:{symbol}")


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        collector = CollectorId.parse(text)
    except InvalidConfigurationError:
        return
    assert str(collector) == text


def test_ids_sort_by_exchange_then_symbol() -> None:
    ids = [CollectorId("okx", "BTC-USDT"), CollectorId("kraken", "ETH-USD"), CollectorId("kraken", "BTC-USD")]

    assert [str(collector) for collector in sorted(ids)] == ["kraken:BTC-USD", "kraken:ETH-USD", "okx:BTC-USDT"]


def test_data_types() -> None:
    assert [data_type.value for data_type in DataType] == ["trade", "orderbook", "ticker", "candles"]
