"""OKX instrument ids and metadata (sheet, section 6, "Instrument fields")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.simulator.instruments import Instrument, Settlement, decimal_text

DEFAULT_INSTRUMENTS = "BTC-USDT,ETH-USDT,SOL-USDT,DOGE-USDT,TON-USDT"

_ID = re.compile(r"(?P<base>[A-Z0-9]{1,12})-(?P<quote>[A-Z]{3,5}(_UM(_XPERP)?)?)(-(?P<tail>SWAP|\d{6}))?")
_LIST_TIME_MS = 1_611_907_686_000
_LIQUID_LEVELS = 450
"""More than the 400 levels of the `books` window, so that levels leave and enter it."""
_DATED_LEVELS = 90
"""Dated futures are thin: fewer levels than the window."""


class UnknownInstrumentError(ValueError):
    """An id that is not of the form BASE-QUOTE, BASE-QUOTE-SWAP or BASE-QUOTE-YYMMDD."""


@dataclass(frozen=True, slots=True)
class _Coin:
    """Scale of one coin: price in ticks of 10 ** -price_places, and worth of a linear contract in coins."""

    price_places: int
    start_price: int
    size_places: int
    min_size: int
    linear_value: str


_COINS = {
    "BTC": _Coin(1, 640_000, 8, 1_000, "0.01"),
    "ETH": _Coin(2, 320_000, 6, 1_000, "0.1"),
    "SOL": _Coin(2, 15_000, 6, 10_000, "1"),
    "DOGE": _Coin(5, 16_000, 6, 10_000_000, "1000"),
    "TON": _Coin(4, 32_000, 4, 1_000, "1"),
}
_OTHER_COIN = _Coin(4, 25_000, 4, 1_000, "1")


def parse(inst_id: str) -> Instrument:
    """Build the instrument of an OKX id; any coin is accepted, five have realistic scales.

    Raises:
        UnknownInstrumentError: The id has another form, or its date does not exist.
    """
    match = _ID.fullmatch(inst_id)
    if not match:
        raise UnknownInstrumentError(f"not an OKX instrument id: {inst_id!r}")
    base, quote, tail = match["base"], match["quote"], match["tail"]
    coin = _COINS.get(base, _OTHER_COIN)
    if tail is None:
        settlement, places, least, value = Settlement.SPOT, coin.size_places, coin.min_size, "1"
    elif quote == "USD":
        settlement, places, least, value = Settlement.INVERSE, 0, 1, "100" if base == "BTC" else "10"
    else:
        settlement, places, least, value = Settlement.LINEAR, 2, 1, coin.linear_value
    if tail and tail != "SWAP":
        expiry_ms(inst_id)
    _, _, fraction = value.partition(".")
    return Instrument(
        name=inst_id,
        settlement=settlement,
        base=base,
        quote=quote,
        price_places=coin.price_places,
        size_places=places,
        min_size=least,
        start_price=coin.start_price,
        depth=_LIQUID_LEVELS if tail in (None, "SWAP") else _DATED_LEVELS,
        contract_value=int(value.replace(".", "")),
        contract_places=len(fraction),
    )


def inst_type(inst_id: str) -> str:
    """SPOT, SWAP or FUTURES, from the form of the id."""
    parts = inst_id.split("-")
    if len(parts) == 2:
        return "SPOT"
    return "SWAP" if parts[2] == "SWAP" else "FUTURES"


def expiry_ms(inst_id: str) -> int:
    """Expiry of a dated contract: 08:00 UTC of its day, Unix ms.

    Raises:
        UnknownInstrumentError: The day does not exist.
    """
    try:
        day = datetime.strptime(inst_id.rsplit("-", 1)[1], "%y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UnknownInstrumentError(f"no such date: {inst_id!r}") from error
    return int((day + timedelta(hours=8)).timestamp()) * 1_000


def describe(instrument: Instrument, state: str) -> dict[str, object]:
    """The row of GET /public/instruments and of the `instruments` channel."""
    kind = inst_type(instrument.name)
    spot, inverse = kind == "SPOT", instrument.settlement is Settlement.INVERSE
    value = decimal_text(instrument.contract_value, instrument.contract_places)
    family = "" if spot else f"{instrument.base}-{instrument.quote}"
    index = family.partition("_")[0]
    currency = instrument.quote.partition("_")[0]
    return {
        "instType": kind,
        "instId": instrument.name,
        "instFamily": family,
        "uly": index,
        "baseCcy": instrument.base if spot else "",
        "quoteCcy": instrument.quote if spot else "",
        "settleCcy": "" if spot else instrument.base if inverse else currency,
        "ctVal": "" if spot else value,
        "ctMult": "" if spot else "1",
        "ctValCcy": "" if spot else instrument.quote if inverse else instrument.base,
        "ctType": "" if spot else instrument.settlement.value,
        "tickSz": decimal_text(1, instrument.price_places),
        "lotSz": decimal_text(1, instrument.size_places),
        "minSz": instrument.size_text(instrument.min_size),
        "listTime": str(_LIST_TIME_MS),
        "expTime": str(expiry_ms(instrument.name)) if kind == "FUTURES" else "",
        "contTdSwTime": "",
        "openType": "",
        "ruleType": "normal",
        "state": state,
        "instIdCode": sum(instrument.name.encode()),
        "upcChg": [],
    }
