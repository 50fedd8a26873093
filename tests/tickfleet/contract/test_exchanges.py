import pytest

from tickfleet.contract.exchanges import EXCHANGES, require_exchange
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError

LISTED = [
    "binance:BTC-USDT",
    "binance:币安人生-USDT",
    "binance:1000SATS-USDT",
    "okx:BTC-USD_UM-PERP",
    "okx:BTC-USD_UM-261225",
    "okx:BTC-USD_UM_XPERP-310404",
    "okx:币安人生-USDT",
    "bybit:SHIB1000-USDT-PERP",
    "kraken:AAPLx-USD",
    "coinbase:00-USD",
    "hyperliquid:kPEPE-USD-PERP",
    "deribit:BTC-USDC-261225",
]
"""What exchanges list, in our spelling; of those without a grammar here the contract's own holds."""


@pytest.mark.parametrize("text", LISTED)
def test_what_an_exchange_lists_is_an_id(text: str) -> None:
    assert str(CollectorId.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("binance:btc-usdt", "BTC-USDT"),
        ("binance:币安人生-usdt", "币安人生-USDT"),
        ("okx:btc-usdt", "BTC-USDT"),
        ("okx:BTC-usd_um-perp", "BTC-USD_UM-PERP"),
        ("okx:жук-USDT", "ЖУК-USDT"),
    ],
)
def test_what_an_exchange_never_lists_is_refused_with_what_is_meant(text: str, meant: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        CollectorId.parse(text)
    said = "is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals"
    assert str(caught.value) == f"symbol {text.partition(':')[2]!r} {said}; did you mean {meant!r}?"


@pytest.mark.parametrize("exchange", [*EXCHANGES, "hyperliquid"])
@pytest.mark.parametrize("sign", "*?[]{}:/\\%$'\"@#;,=+~&|<>()!^`\x00\n\u200b\u202e\ud800 ")
def test_what_would_break_a_key_or_a_file_is_no_exchanges(exchange: str, sign: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=r"is not spelt BASE-QUOTE"):
        CollectorId.parse(f"{exchange}:B{sign}C-USDT")


def test_binance_may_list_small_letters_of_other_scripts() -> None:
    assert CollectorId.parse("binance:жук-USDT").symbol == "жук-USDT"


def test_an_exchange_that_is_none_of_ours() -> None:
    with pytest.raises(ExchangeNotSupportedError, match=r"^exchange 'okex' is not supported; did you mean 'okx'\?"):
        require_exchange("okex")
