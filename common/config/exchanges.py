"""What each exchange can do, as data: the fleet file is checked against it before any process starts.

The adapters that do it live with the worker; a test holds the two lists together.
"""

from msgspec import Struct

from tickfleet.contract.exchanges import ASSETS, AssetGrammar, require_exchange
from tickfleet.contract.identity import DataType, ProductKind
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.contract.suggestions import of_known
from tickfleet.errors import InvalidConfigurationError


class Endpoints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses of an exchange.

    Attributes:
        ws_public: WebSocket of the public channels.
        ws_business: WebSocket of the business channels, where the exchange has such.
        rest: The root of its REST.
    """

    ws_public: str = ""
    ws_business: str = ""
    rest: str = ""

    def over(self, others: "Endpoints") -> "Endpoints":
        """These, and those of ``others`` where these are empty."""
        names = Endpoints.__struct_fields__
        return Endpoints(**{name: getattr(self, name) or getattr(others, name) for name in names})


class Region(Struct, frozen=True, kw_only=True):
    """Where an exchange serves one part of the world. Addresses rot, so each says when it was looked at last.

    Attributes:
        checked: The month in which the addresses were last compared with ``source``, ``YYYY-MM``.
        spares: Other addresses of the same, which take the place of some of ``endpoints``.
    """

    endpoints: Endpoints
    checked: str
    source: str
    spares: tuple[Endpoints, ...] = ()


class Rate(Struct, frozen=True):
    """Units per second in the long run, and how many may come at once after a quiet time."""

    per_s: float
    burst: float = 1.0


class Limits(Struct, frozen=True, kw_only=True):
    """What an exchange allows one address: new connections, and REST calls in its own units."""

    connect: Rate
    rest: Rate


class LowerLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a fleet file may lower, e.g. where others call from the same address; None leaves it as it is.

    Attributes:
        connects_per_s: New connections per second.
        rest_units_per_s: REST in the exchange's own units per second; ``ExchangeProfile.rest_unit`` names them.
    """

    connects_per_s: float | None = None
    rest_units_per_s: float | None = None

    def of(self, limits: Limits) -> Limits:
        """``limits`` with what is lowered; what may come at once shrinks in proportion, down to one unit."""
        return Limits(
            connect=_lowered(limits.connect, self.connects_per_s), rest=_lowered(limits.rest, self.rest_units_per_s)
        )


def _lowered(rate: Rate, per_s: float | None) -> Rate:
    return rate if per_s is None else Rate(per_s, max(1.0, rate.burst * per_s / rate.per_s))


class ExchangeProfile(Struct, frozen=True, kw_only=True):
    """Abilities and defaults of one exchange.

    Attributes:
        regions: By the name that a fleet file may choose, the usual one first.
        ws_path: What follows the address of a socket when it is opened.
        ws_other_paths: What the exchange has there beside it, for frames of another shape: we do not read those.
        time_path: The REST call that costs least.
        limits: Kept by all processes of a machine together; below what the exchange states.
        rest_unit: What the exchange counts of REST.
        kinds: What it trades, as far as we collect it.
        assets: How it spells the assets of a symbol. Readers keep to it too, so it is the contract's.
        custom_params: Allowed names with their allowed values, the default first.
        start_connects, start_rest_units: What the start of one collector takes at most where nothing was missed.
    """

    name: str
    regions: dict[str, Region]
    ws_path: str = ""
    ws_other_paths: tuple[str, ...] = ()
    time_path: str
    limits: Limits
    rest_unit: str
    kinds: tuple[ProductKind, ...]
    assets: AssetGrammar
    data_types: tuple[DataType, ...]
    candle_intervals: tuple[str, ...]
    custom_params: dict[str, tuple[str, ...]]
    start_connects: int
    start_rest_units: float

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the usual region."""
        return next(iter(self.regions.values())).endpoints

    def region(self, name: str) -> Region:
        """A region by its name.

        Raises:
            InvalidConfigurationError: There is no such region.
        """
        if name not in self.regions:
            raise InvalidConfigurationError(f"region is {name!r}{of_known(name, self.regions)}")
        return self.regions[name]


def _okx(host: str, rest: str) -> Region:
    """The socket's port is the usual one: OKX closed 8443 on 2026-10-31."""
    return Region(
        endpoints=Endpoints(
            ws_public=f"wss://{host}/ws/v5/public", ws_business=f"wss://{host}/ws/v5/business", rest=f"https://{rest}"
        ),
        checked="2026-11",
        source="https://www.okx.com/docs-v5/log_en/ (entry of 2026-09-30) and /docs-v5/en/ (overview, production)",
    )


PROFILES: dict[str, ExchangeProfile] = {
    "binance": ExchangeProfile(
        name="Binance",
        regions={
            "global": Region(
                endpoints=Endpoints(ws_public="wss://stream.binance.com:9443", rest="https://api.binance.com"),
                checked="2026-07",
                source="https://github.com/binance/binance-spot-api-docs (web-socket-streams.md, rest-api.md)",
                spares=(
                    Endpoints(ws_public="wss://stream.binance.com:443", rest="https://api-gcp.binance.com"),
                    Endpoints(ws_public="wss://data-stream.binance.vision"),  # its REST has no trades by id
                ),
            )
        },
        ws_path="/stream",
        ws_other_paths=("/ws",),
        time_path="/api/v3/time",
        # 300 connections in 5 minutes, 6,000 units of weight a minute (Binance sheet, sections 2 and 3).
        limits=Limits(connect=Rate(per_s=0.8, burst=50.0), rest=Rate(per_s=80.0, burst=800.0)),
        rest_unit="request weight",
        kinds=(ProductKind.SPOT,),
        assets=ASSETS["binance"],
        data_types=(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES),
        candle_intervals=tuple(INTERVAL_S),
        custom_params={},
        start_connects=1,
        start_rest_units=80.0,  # the instrument 20, the book 50, bars 2 an interval, the time 1 a look
    ),
    "okx": ExchangeProfile(
        name="OKX",
        regions={
            "global": _okx("ws.okx.com", "www.okx.com"),
            "eea": _okx("wseea.okx.com", "eea.okx.com"),
            "us": _okx("wsus.okx.com", "us.okx.com"),
        },
        time_path="/api/v5/public/time",
        # 3 connections a second; the tightest endpoint we use takes 20 calls in 2 s (OKX sheet, sections 2 and 6).
        # Evenly spaced, so that three a second would be four in a second by the least delay on the way: hence 2.5.
        limits=Limits(connect=Rate(per_s=2.5), rest=Rate(per_s=8.0, burst=4.0)),
        rest_unit="calls",
        kinds=tuple(ProductKind),
        assets=ASSETS["okx"],
        data_types=(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES),
        candle_intervals=tuple(INTERVAL_S),
        custom_params={
            "trade_channel": ("trades-all", "trades"),
            "book_channel": ("books", "books5", "bbo-tbt"),
        },
        start_connects=2,
        start_rest_units=8.0,
    ),
}


def profile(exchange: str) -> ExchangeProfile:
    """The abilities of an exchange.

    Raises:
        ExchangeNotSupportedError: There is no such exchange here.
    """
    require_exchange(exchange)
    return PROFILES[exchange]
