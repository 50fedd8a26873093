"""The fleet file: which collectors there should be. Decoded strictly, so that a typo cannot pass for a setting."""

import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from common.config import DEFAULT_REDIS_URL, ExchangeCollectorConfig, MaxLen, RedisConfig, check_exchange
from common.errors import ExchangeNotSupportedError, FleetError, InvalidConfigurationError
from common.exchanges import PROFILES, Endpoints, LowerLimits, profile
from common.identity import CollectorId, DataType
from common.nearest import did_you_mean
from common.redis_url import split_secret
from common.settings import Environment
from common.tuning import Tuning


class _Redis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = DEFAULT_REDIS_URL
    password_file: str = ""
    maxlen: MaxLen = field(default_factory=MaxLen)


class _Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand in ``[defaults]``, and in every collector too."""

    data_types: tuple[DataType, ...] | UnsetType = UNSET
    candle_intervals: tuple[str, ...] | UnsetType = UNSET
    auto_restart: bool | UnsetType = UNSET
    health_check_interval: float | UnsetType = UNSET
    max_backfill_wait: float | UnsetType = UNSET
    store_raw_data: bool | UnsetType = UNSET
    transport: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    custom_params: dict[str, str] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The settings that the file makes."""
        names = _Options.__struct_fields__
        return {name: getattr(self, name) for name in names if getattr(self, name) is not UNSET}


class _Collector(_Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exchange: str
    symbol: str


class _Exchange(Endpoints, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand in ``[exchanges.NAME]``: the fields of ``Endpoints`` and of ``LowerLimits`` (one base only)."""

    connects_per_s: float | None = None
    rest_units_per_s: float | None = None

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(**{name: getattr(self, name) for name in Endpoints.__struct_fields__})

    @property
    def limits(self) -> LowerLimits:
        return LowerLimits(**{name: getattr(self, name) for name in LowerLimits.__struct_fields__})


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    redis: _Redis = field(default_factory=_Redis)
    defaults: _Options = field(default_factory=_Options)
    exchanges: dict[str, _Exchange] = {}
    manager: Tuning = field(default_factory=Tuning)
    collectors: tuple[_Collector, ...] = ()


class Ground(Struct, frozen=True):
    """What the file says for every collector, also for those that are added at run time."""

    defaults: _Options = field(default_factory=_Options)
    exchanges: dict[str, _Exchange] = {}


class Fleet(Struct, frozen=True, kw_only=True):
    """The fleet that is wanted, every setting resolved; ``tuning`` is the manager's own."""

    redis: RedisConfig
    collectors: tuple[ExchangeCollectorConfig, ...]
    ground: Ground = field(default_factory=Ground)
    tuning: Tuning = field(default_factory=Tuning)

    def find(self, collector: CollectorId) -> ExchangeCollectorConfig | None:
        """The configuration of one collector, or None where the fleet has no such."""
        return next((config for config in self.collectors if config.id == collector), None)

    def resolve(self, table: Mapping[str, Any]) -> ExchangeCollectorConfig:
        """The configuration that a table under ``[[collectors]]`` would make in this fleet's file.

        Raises:
            InvalidConfigurationError: It would be refused there, for the reason that the message names.
        """
        if unknown := _unknown_key(table, _Collector):
            raise InvalidConfigurationError(unknown)
        try:
            given = msgspec.convert(dict(table), _Collector)
        except msgspec.ValidationError as error:
            raise InvalidConfigurationError(_place_first(str(error))) from error
        return _resolve(self.ground, given)


def load_fleet(path: Path, environment: Environment, also: CollectorId | None = None) -> Fleet:
    """Read, decode and check a fleet file.

    Args:
        path: The file.
        environment: What of it the environment outranks.
        also: A collector that the fleet should hold even where the file does not list it; it then takes the defaults.

    Raises:
        InvalidConfigurationError: The file cannot be read, is not TOML, or holds something that cannot work. The
            message names the file, the place in it, and the reason.
    """
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfigurationError(f"{path}: not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise InvalidConfigurationError(f"{path}: not valid TOML: a value is too long or too deep") from error
    _check_names(path, raw)
    try:
        parsed = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise InvalidConfigurationError(f"{path}: {_place_first(str(error))}") from error
    except FleetError as error:
        raise InvalidConfigurationError(f"{path}: {error}") from error
    _check_exchanges(path, parsed)
    ground = Ground(parsed.defaults, parsed.exchanges)
    collectors = _collectors(path, ground, parsed.collectors)
    fleet = Fleet(
        redis=_redis(path, parsed.redis, environment), collectors=collectors, ground=ground, tuning=parsed.manager
    )
    if also is None or fleet.find(also) is not None:
        return fleet
    try:
        extra = _resolve(ground, _Collector(exchange=also.exchange, symbol=also.symbol))
    except ExchangeNotSupportedError:
        raise  # no matter of the file
    except FleetError as error:
        raise type(error)(f"{path}: for {also}: {error}") from error
    return msgspec.structs.replace(fleet, collectors=(*fleet.collectors, extra))


def load_wanted_fleet(path: Path, environment: Environment) -> Fleet:
    """As ``load_fleet``, for those who make the fleet so: a file that lists nothing would stop everything.

    Raises:
        InvalidConfigurationError: As ``load_fleet``, or there is no collector in the file (cut off while written?).
    """
    fleet = load_fleet(path, environment)
    if not fleet.collectors:
        raise InvalidConfigurationError(f"{path}: has no [[collectors]]; an empty file would stop the whole fleet")
    return fleet


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InvalidConfigurationError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:  # not text, or a name that no file can have
        raise InvalidConfigurationError(f"{path}: the file cannot be read (check its permissions)") from error


_SECTIONS: dict[str, type[Struct]] = {
    "redis": _Redis,
    "defaults": _Options,
    "manager": Tuning,
    "collectors": _Collector,
}


def _check_names(path: Path, raw: dict[str, Any]) -> None:
    """Refuse unknown names with the nearest known one; msgspec would refuse them too, without the hint."""
    _check_table(path, "", raw, _File)
    for section, struct in _SECTIONS.items():
        value = raw.get(section)
        tables = value if isinstance(value, list) else [value]
        for index, table in enumerate(tables):
            place = f"{section}[{index}]" if isinstance(value, list) else section
            _check_table(path, place, table, struct)
    exchanges = raw.get("exchanges")
    for name, table in (exchanges if isinstance(exchanges, dict) else {}).items():
        if name not in PROFILES:
            hint = did_you_mean(name, PROFILES)
            raise InvalidConfigurationError(f"{path}: exchanges.{name}: exchange {name!r} is not supported{hint}")
        _check_table(path, f"exchanges.{name}", table, _Exchange)


def _check_table(path: Path, place: str, table: object, struct: type[Struct]) -> None:
    if not isinstance(table, dict):
        return  # a wrong type is msgspec's to report
    if unknown := _unknown_key(table, struct):
        raise InvalidConfigurationError(f"{path}: {place}{': ' if place else ''}{unknown}")


def _unknown_key(table: Mapping[str, Any], struct: type[Struct]) -> str:
    """What is wrong with the first name that is none of the struct's; empty where all are."""
    known = struct.__struct_fields__
    return next((f"unknown key {name!r}{did_you_mean(name, known)}" for name in table if name not in known), "")


def _place_first(message: str) -> str:
    """``Expected `int`, got `str` - at `$.redis.maxlen.trade``` with the place in front."""
    what, found, place = message.rpartition(" - at `$")
    return f"{place.strip('.`')}: {what}" if found else message


def _check_exchanges(path: Path, parsed: _File) -> None:
    """Refuse in its own place what would be refused in every collector of the exchange."""
    for name, exchange in parsed.exchanges.items():
        try:
            check_exchange(name, exchange.endpoints, exchange.limits)
        except FleetError as error:
            raise type(error)(f"{path}: exchanges.{name}: {error}") from error


def _redis(path: Path, given: _Redis, environment: Environment) -> RedisConfig:
    url, secret = split_secret(given.url, f"{path}: redis.url")
    if secret is not None:
        _refuse_readable_by_others(path, path)
    if environment.redis_url:
        url, secret = split_secret(environment.redis_url, "TICKFLEET_REDIS_URL")
    password, password_file = environment.redis_password, ""
    if password is None and given.password_file:
        password_path = path.parent / given.password_file
        text = _read(password_path)
        _refuse_readable_by_others(path, password_path)
        password, password_file = text.strip(), str(password_path.absolute())
    return RedisConfig(url=url, password=password or secret, maxlen=given.maxlen, password_file=password_file)


def _refuse_readable_by_others(fleet: Path, secret: Path) -> None:
    if stat.S_IMODE(secret.stat().st_mode) & 0o077:
        raise InvalidConfigurationError(
            f"{fleet}: redis: {secret} holds a secret and others can read it; run: chmod 600 {secret}"
        )


def _collectors(path: Path, ground: Ground, tables: tuple[_Collector, ...]) -> tuple[ExchangeCollectorConfig, ...]:
    resolved: dict[CollectorId, ExchangeCollectorConfig] = {}
    for index, given in enumerate(tables):
        place = f"{path}: collectors[{index}] ({given.exchange}:{given.symbol})"
        try:
            config = _resolve(ground, given)
        except FleetError as error:
            raise type(error)(f"{place}: {error}") from error
        if config.id in resolved:
            raise InvalidConfigurationError(f"{place}: the collector is listed twice")
        resolved[config.id] = config
    return tuple(resolved.values())


def _resolve(ground: Ground, given: _Collector) -> ExchangeCollectorConfig:
    options = {**ground.defaults.given(), **given.given()}
    known = profile(given.exchange)
    options.setdefault("data_types", known.data_types)
    exchange = ground.exchanges.get(given.exchange, _Exchange())
    return ExchangeCollectorConfig(
        given.exchange, given.symbol, endpoints=exchange.endpoints, limits=exchange.limits, **options
    )
