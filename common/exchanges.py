"""What each exchange can do, as data: the fleet file is checked against it before any process starts.

The adapters that do it live with the worker; a test holds the two lists together.
"""

from msgspec import Struct

from common.errors import ExchangeNotSupportedError
from common.identity import DataType
from common.intervals import INTERVAL_S
from common.nearest import did_you_mean


class Endpoints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses of an exchange: WebSocket for public and for business channels, and the root of its REST."""

    ws_public: str = ""
    ws_business: str = ""
    rest: str = ""


class ExchangeProfile(Struct, frozen=True, kw_only=True):
    """Abilities and defaults of one exchange.

    Attributes:
        custom_params: Allowed names with their allowed values, the default first.
    """

    name: str
    endpoints: Endpoints
    data_types: tuple[DataType, ...]
    candle_intervals: tuple[str, ...]
    custom_params: dict[str, tuple[str, ...]]


PROFILES: dict[str, ExchangeProfile] = {
    "okx": ExchangeProfile(
        name="OKX",
        endpoints=Endpoints(
            ws_public="wss://ws.okx.com:8443/ws/v5/public",
            ws_business="wss://ws.okx.com:8443/ws/v5/business",
            rest="https://www.okx.com",
        ),
        data_types=(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES),
        candle_intervals=tuple(INTERVAL_S),
        custom_params={
            "trade_channel": ("trades-all", "trades"),
            "book_channel": ("books", "books5", "bbo-tbt"),
        },
    ),
}


def profile(exchange: str) -> ExchangeProfile:
    """The abilities of an exchange.

    Raises:
        ExchangeNotSupportedError: There is no such exchange here.
    """
    if exchange not in PROFILES:
        supported = ", ".join(sorted(PROFILES))
        hint = did_you_mean(exchange, PROFILES)
        raise ExchangeNotSupportedError(f"exchange {exchange!r} is not supported{hint} (supported: {supported})")
    return PROFILES[exchange]
