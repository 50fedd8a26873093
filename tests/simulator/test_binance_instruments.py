import pytest

from tests.simulator.binance_instruments import DEFAULT_SYMBOLS, UnknownSymbolError, describe, parse
from tests.simulator.instruments import Settlement


@pytest.mark.parametrize(
    ("symbol", "base", "quote", "tick", "lot"),
    [
        ("BTCUSDT", "BTC", "USDT", "0.01000000", "0.00001000"),
        ("ETHBTC", "ETH", "BTC", "0.01000000", "0.00010000"),
        ("DOGEUSDT", "DOGE", "USDT", "0.00001000", "1.00000000"),
        ("币安人生USDT", "币安人生", "USDT", "0.00010000", "0.01000000"),
        ("1000SATSFDUSD", "1000SATS", "FDUSD", "0.00010000", "0.01000000"),
    ],
)
def test_symbols_and_their_scales(symbol: str, base: str, quote: str, tick: str, lot: str) -> None:
    instrument = parse(symbol)
    assert (instrument.base, instrument.quote, instrument.settlement) == (base, quote, Settlement.SPOT)

    row = describe(instrument, "HALT")
    assert {key: row[key] for key in ("symbol", "status", "baseAsset", "quoteAsset")} == {
        "symbol": symbol,
        "status": "HALT",
        "baseAsset": base,
        "quoteAsset": quote,
    }
    filters = row["filters"]
    assert isinstance(filters, list)
    assert filters[:2] == [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000000.00000000", "stepSize": lot},
    ]


def test_default_symbols_have_no_more_digits_than_the_wire() -> None:
    for symbol in DEFAULT_SYMBOLS.split(","):
        assert parse(symbol).quote_places <= 8


@pytest.mark.parametrize("symbol", ["", "BTC", "USDT", "btcusdt", "BTC-USDT", "BTCUSDT_260925"])
def test_other_texts_are_refused(symbol: str) -> None:
    with pytest.raises(UnknownSymbolError, match="not a Binance spot symbol"):
        parse(symbol)
