"""The abilities of each exchange, as data: the fleet file is checked against it before any process starts.

The adapters are in the worker's package; a test keeps the two lists equal.
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
        ws_business: WebSocket of the business channels, if the exchange has them.
        rest: The root of its REST.
    """

    ws_public: str = ""
    ws_business: str = ""
    rest: str = ""

    def over(self, others: "Endpoints") -> "Endpoints":
        """These addresses; for empty ones, those of ``others``."""
        names = Endpoints.__struct_fields__
        return Endpoints(**{name: getattr(self, name) or getattr(others, name) for name in names})


class Region(Struct, frozen=True, kw_only=True):
    """The addresses of an exchange for one part of the world. Addresses become stale, so each region has a check date.

    Attributes:
        checked: The month in which the addresses were last compared with ``source``, ``YYYY-MM``.
        spares: Alternative addresses for some of ``endpoints``.
    """

    endpoints: Endpoints
    checked: str
    source: str
    spares: tuple[Endpoints, ...] = ()


class Rate(Struct, frozen=True):
    """Units per second in the long run, and how many are allowed at once after a quiet time."""

    per_s: float
    burst: float = 1.0


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of an exchange per IP address: new connections, and REST calls in its own units."""

    connect: Rate
    rest: Rate


class LowerLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that a fleet file may lower, e.g. if other programs call from the same address; None: not lowered.

    Attributes:
        connects_per_s: New connections per second.
        rest_units_per_s: REST calls in the exchange's own units per second; ``ExchangeProfile.rest_unit`` names them.
    """

    connects_per_s: float | None = None
    rest_units_per_s: float | None = None

    def of(self, limits: Limits) -> Limits:
        """``limits``, lowered; the burst shrinks in proportion, down to one unit."""
        return Limits(
            connect=_lowered(limits.connect, self.connects_per_s), rest=_lowered(limits.rest, self.rest_units_per_s)
        )


def _lowered(rate: Rate, per_s: float | None) -> Rate:
    return rate if per_s is None else Rate(per_s, max(1.0, rate.burst * per_s / rate.per_s))


class ExchangeProfile(Struct, frozen=True, kw_only=True):
    """Abilities and defaults of one exchange.

    Attributes:
        regions: By name, as a fleet file chooses them; the default region is first.
        ws_path: The path added to the address of a socket.
        ws_other_paths: Other paths of the exchange, for frames of another form, which we do not read.
        time_path: The cheapest REST call.
        limits: Kept by all processes of a machine together; lower than the exchange's stated limits.
        rest_unit: The exchange's unit for REST calls.
        kinds: The kinds of products that we collect there.
        assets: How it spells the assets of a symbol. It comes from the contract, because readers use it, too.
        custom_params: Allowed names with their allowed values, the default first.
        start_connects, start_rest_units: The most that the start of one collector uses, if nothing was missed.
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
        """The addresses of the default region."""
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
    """The socket uses the default port: OKX closed 8443 on 2026-10-31."""
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
