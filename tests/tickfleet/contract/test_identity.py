import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickfleet.contract.exchanges import ASSETS
from tickfleet.contract.identity import CollectorId, DataType, ProductKind, Symbol
from tickfleet.errors import InvalidConfigurationError

CURRENCY = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.]{1,20}", fullmatch=True).filter(lambda text: len(re.sub("[^uv.]", "", text)) < 8),
    st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=8),
)
QUOTE = CURRENCY.filter(lambda text: text != "PERP" and not re.fullmatch("[0-9]{6}", text))
EXCHANGE = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(lambda name: name not in ASSETS)
OKX = ASSETS["okx"]
SUFFIX = st.sampled_from(["", "-PERP", "-270326"])


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC-USDT", Symbol("BTC", "USDT", ProductKind.SPOT)),
        ("1INCH-USDT", Symbol("1INCH", "USDT", ProductKind.SPOT)),
        ("BTC-USDT-PERP", Symbol("BTC", "USDT", ProductKind.PERPETUAL)),
        ("BTC-USD-270326", Symbol("BTC", "USD", ProductKind.FUTURE, "270326")),
        ("PERP-USDT", Symbol("PERP", "USDT", ProductKind.SPOT)),
        ("币安人生-USDT", Symbol("币安人生", "USDT", ProductKind.SPOT)),
        ("kPEPE-USD-PERP", Symbol("kPEPE", "USD", ProductKind.PERPETUAL)),
        ("AAPLx-USD", Symbol("AAPLx", "USD", ProductKind.SPOT)),
        ("हिन्दी-USDT", Symbol("हिन्दी", "USDT", ProductKind.SPOT)),
        ("BTC-USD_UM-PERP", Symbol("BTC", "USD_UM", ProductKind.PERPETUAL)),
        ("BTC-USD_UM-261225", Symbol("BTC", "USD_UM", ProductKind.FUTURE, "261225")),
        ("BTC-USD_UM_XPERP-310404", Symbol("BTC", "USD_UM_XPERP", ProductKind.FUTURE, "310404")),
        ("BTC-USDT-280229", Symbol("BTC", "USDT", ProductKind.FUTURE, "280229")),
    ],
)
def test_a_symbol_is_taken_apart(text: str, symbol: Symbol) -> None:
    assert Symbol.parse(text) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "", "BTC", "BTC-", "-USDT", "BTCUSDT", "BTC/USDT", "BTC_USDT", "btc-usdt", "BTC-usdt", "币a-USDT", "kPEPE-USDT",
        "BTC-PERP", "BTC-270326", "BTC-USDT-2703", "BTC-USDT-2703261", "BTC-USDT-270326-C", "BTC-USDT ",
        " BTC-USDT", "BTC-USDT\n",
        "BTC-USDT-PERP\n",
        "BTC-USDT-\uff12\uff17\uff10\uff13\uff12\uff16", "A" * 21 + "-USDT",
        *(f"B{sign}C-USDT" for sign in "*?[]{}:/\\%$'\"\x00\n\u200b\u202e\ud800 "),
    ],
)  # fmt: skip
def test_a_misspelt_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        Symbol.parse(text, OKX)
    said = f"symbol {text!r} is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals"
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("btc-usdt", "BTC-USDT"),
        ("btc/usdt", "BTC-USDT"),
        ("BTC_USDT", "BTC-USDT"),
        ("1000SHIBusdc", "1000SHIB-USDC"),
        (" BTC-USDT-PERP\n", "BTC-USDT-PERP"),
    ],
)
def test_the_same_symbol_in_the_signs_of_others_is_proposed(text: str, meant: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        Symbol.parse(text, OKX)
    assert str(caught.value).endswith(f" in capitals; did you mean {meant!r}?")


@pytest.mark.parametrize("text", ["BTC", "sol", "STETH", "BTC-USDT-2703", "BTC USDT", "USDT", "btc-usdt-270230"])
def test_nothing_is_guessed(text: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=r" in capitals$"):
        Symbol.parse(text, OKX)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("kPEPE/USD", "kPEPE-USD"),
        ("kPEPE_USD_PERP", "kPEPE-USD-PERP"),
        ("kPEPE-USD-perp", "kPEPE-USD-PERP"),
        ("kPEPE USD", ""),
        ("btcusdt", ""),
    ],
)
def test_where_small_letters_are_listed_none_is_taken_for_a_capital(text: str, meant: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        CollectorId.parse(f"hyperliquid:{text}")
    hint = f"; did you mean {meant!r}?" if meant else ""
    said = f"symbol {text!r} is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD{hint}"
    assert str(caught.value) == said


@pytest.mark.parametrize("tail", ["SWAP", "PERPETUAL"])
def test_the_name_that_others_give_a_perpetual_is_told(tail: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=r"; a perpetual swap is spelt BTC-USD_UM-PERP$"):
        Symbol.parse(f"BTC-USD_UM-{tail}")


@pytest.mark.parametrize("day", ["271332", "270230", "270229", "270001", "999999"])
def test_an_expiry_is_a_date(day: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        Symbol.parse(f"BTC-USDT-{day}")
    assert str(caught.value) == f"symbol 'BTC-USDT-{day}': its expiry {day} is not a date (YYMMDD)"


def test_a_symbol_that_no_file_can_be_named_after_is_refused() -> None:
    assert Symbol.parse("币" * 20 + "-USDT").base == "币" * 20
    with pytest.raises(InvalidConfigurationError, match=r"is too long for the names of its files$"):
        Symbol.parse("币" * 20 + "-" + "币" * 20)


@given(EXCHANGE, CURRENCY, QUOTE, SUFFIX)
@example("okx", "1", "USDT", "-PERP")
@example("okx", "1000", "2", "")
@example("binance", "U5E01", "U5E01", "")
@example("kraken", "u5e01", "uv", "")
@example("hyperliquid", "kPEPE", "USD", "-PERP")
@example("binance", "\U0001d7d8币", "USDT", "-270326")
def test_a_collector_id_reads_back_what_it_writes(exchange: str, base: str, quote: str, suffix: str) -> None:
    collector = CollectorId(exchange, f"{base}-{quote}{suffix}")

    assert CollectorId.parse(str(collector)) == collector
    assert CollectorId.of_program(collector.program) == collector
    assert CollectorId.of_file_name(exchange, collector.file_name) == collector
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", collector.program)


@pytest.mark.parametrize(
    ("collector", "program"),
    [
        (CollectorId("binance-usdm", "BTC-USDT-PERP"), "collector-binance-usdm-BTC-USDT-PERP"),
        (CollectorId("okx", "BTC-USD_UM_XPERP-310404"), "collector-okx-BTC-USD_UM_XPERP-310404"),
        (CollectorId("binance", "币安人生-USDT"), "collector-binance-u5e01u5b89u4ebau751f-USDT"),
        (CollectorId("hyperliquid", "kPEPE-USD-PERP"), "collector-hyperliquid-kPEPE-USD-PERP"),
        (CollectorId("hyperliquid", "KPEPE-USD-PERP"), "collector-hyperliquid-KPEPE-USD-PERP"),
        (CollectorId("kraken", "u5e01-USD"), "collector-kraken-u00755e01-USD"),
        (CollectorId("binance", "\U00020000.B-USDT"), "collector-binance-v020000u002eB-USDT"),
    ],
)
def test_names_of_a_collector(collector: CollectorId, program: str) -> None:
    assert (collector.program, CollectorId.of_program(program)) == (program, collector)
    assert str(collector) == f"{collector.exchange}:{collector.symbol}"


@pytest.mark.parametrize(
    "program",
    [
        "manager", "okx-BTC-USDT", "collector-", "collector-okx", "collector-okx-BTC", "collector-BTC-USDT",
        "collector-okx-BTC-PERP", "collector-okx-u0042TC-USDT", "collector-okx-v110000-USDT",
        "collector-okx-ud800-USDT",
        "collector-okx-btc-usdt", "collector-okx-BTC-USDT-271332", "collector-okx-币-USDT",
    ],
)  # fmt: skip
def test_a_program_that_is_no_collectors(program: str) -> None:
    with pytest.raises(InvalidConfigurationError):
        CollectorId.of_program(program)


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
