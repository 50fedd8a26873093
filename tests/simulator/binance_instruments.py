"""Binance spot symbols and their metadata (sheet, section 8)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.simulator.instruments import Instrument, Settlement, fixed_text

DEFAULT_SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT,DOGEUSDT,TONUSDT"

TRADING = "TRADING"
WIRE_PLACES = 8
"""Every price and amount has 8 decimals, whatever the tick (section 4)."""

_SYMBOL = re.compile(r"(?P<base>[^\W_a-z]{1,14}?)(?P<quote>USDT|USDC|FDUSD|TUSD|BUSD|BTC|ETH|BNB|EUR|TRY|BRL|JPY)")
_MAX_PRICE = 10**6
_MAX_SIZE = 9 * 10**9
_DEEP_LEVELS = 1_200
"""More than the 1000 of the usual snapshot, so that levels outside it exist (section 5.3)."""
_OTHER_LEVELS = 600


class UnknownSymbolError(ValueError):
    """A text that is not a base coin followed by a known quote currency, in upper case."""


@dataclass(frozen=True, slots=True)
class _Coin:
    """Scale of one coin: price in ticks of 10 ** -price_places, sizes in lots of 10 ** -size_places."""

    price_places: int
    start_price: int
    size_places: int
    depth: int = _DEEP_LEVELS


_COINS = {
    "BTC": _Coin(2, 6_400_000, 5),
    "ETH": _Coin(2, 320_000, 4),
    "SOL": _Coin(2, 15_000, 3),
    "DOGE": _Coin(5, 16_000, 0),
    "TON": _Coin(3, 3_200, 2, _OTHER_LEVELS),
}
_OTHER_COIN = _Coin(4, 25_000, 2, _OTHER_LEVELS)


def parse(symbol: str) -> Instrument:
    """Build the instrument of a symbol; any coin is accepted, five have realistic scales.

    Raises:
        UnknownSymbolError: The text has another form.
    """
    match = _SYMBOL.fullmatch(symbol)
    if not match:
        raise UnknownSymbolError(f"not a Binance spot symbol: {symbol!r}")
    coin = _COINS.get(match["base"], _OTHER_COIN)
    return Instrument(
        name=symbol,
        settlement=Settlement.SPOT,
        base=match["base"],
        quote=match["quote"],
        price_places=coin.price_places,
        size_places=coin.size_places,
        min_size=1,
        start_price=coin.start_price,
        depth=coin.depth,
        text_places=WIRE_PLACES,
    )


def describe(instrument: Instrument, status: str) -> dict[str, object]:
    """The row of exchangeInfo."""
    tick, lot = instrument.price_text(1), instrument.size_text(1)
    return {
        "symbol": instrument.name,
        "status": status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": WIRE_PLACES,
        "quoteAsset": instrument.quote,
        "quotePrecision": WIRE_PLACES,
        "quoteAssetPrecision": WIRE_PLACES,
        "baseCommissionPrecision": WIRE_PLACES,
        "quoteCommissionPrecision": WIRE_PLACES,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": _whole(_MAX_PRICE),
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": instrument.size_text(instrument.min_size),
                "maxQty": _whole(_MAX_SIZE),
                "stepSize": lot,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": _whole(5),
                "applyMinToMarket": True,
                "maxNotional": _whole(_MAX_SIZE),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _whole(number: int) -> str:
    return fixed_text(number, 0, WIRE_PLACES)
