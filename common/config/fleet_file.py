"""The fleet file lists the wanted collectors. It is decoded strictly, so that a typo is never ignored."""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from common.config.collector import ExchangeCollectorConfig, check_exchange
from common.config.environment import Environment
from common.config.exchanges import Endpoints, ExchangeProfile, LowerLimits, profile
from common.config.manager_limits import Tuning
from common.config.own_file import read_own, refuse_readable
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.contract.suggestions import of_known
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.redis.config import DEFAULT_REDIS_URL, MaxLen, RedisConfig
from tickfleet.redis.url import split_secret


class _Redis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings in ``[redis]``.

    Attributes:
        url: Where Redis is; ``TICKFLEET_REDIS_URL`` outranks it. Sentinels and a Cluster have their own schemes.
        password_file: A file with the password, readable only by its owner; the path is relative to the fleet file.
        maxlen: Entries kept per stream of each data type.
    """

    url: str = DEFAULT_REDIS_URL
    password_file: str = ""
    maxlen: MaxLen = field(default_factory=MaxLen)


class _Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings in ``[defaults]``, and in every collector."""

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
        """The settings that the file gives."""
        names = _Options.__struct_fields__
        return {name: getattr(self, name) for name in names if getattr(self, name) is not UNSET}


class _Collector(_Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exchange: str
    symbol: str


class _Exchange(Endpoints, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings in ``[exchanges.NAME]``: the fields of ``Endpoints`` and of ``LowerLimits`` (one base only).

    Attributes:
        region: The region whose addresses to use, if the file gives none.
        connects_per_s: New connections per second for all collectors of a machine together.
        rest_units_per_s: The same for REST calls, in the exchange's own units.
    """

    region: str | None = None
    connects_per_s: float | None = None
    rest_units_per_s: float | None = None

    def endpoints_of(self, known: ExchangeProfile) -> Endpoints:
        """The addresses to use instead of the default ones.

        Raises:
            InvalidConfigurationError: There is no such region.
        """
        given = Endpoints(**{name: getattr(self, name) for name in Endpoints.__struct_fields__})
        return given if self.region is None else given.over(known.region(self.region).endpoints)

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
    """The settings for every collector, including those added at run time."""

    defaults: _Options = field(default_factory=_Options)
    exchanges: dict[str, _Exchange] = {}


class Fleet(Struct, frozen=True, kw_only=True):
    """The wanted fleet, with every setting resolved; ``tuning`` is for the manager."""

    redis: RedisConfig
    collectors: tuple[ExchangeCollectorConfig, ...]
    ground: Ground = field(default_factory=Ground)
    tuning: Tuning = field(default_factory=Tuning)

    def find(self, collector: CollectorId) -> ExchangeCollectorConfig | None:
        """The configuration of one collector, or None if the fleet does not have it."""
        return next((config for config in self.collectors if config.id == collector), None)

    def fingerprint(self) -> str:
        """Short digest of what to collect and how; equal fleets give equal digests.

        The address of Redis does not count: each host may use its own name for it.
        """
        collectors = sorted(self.collectors, key=lambda config: config.id)
        facts = msgspec.to_builtins((self.redis.maxlen, collectors, self.ground, self.tuning))
        return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:12]

    def resolve(self, table: Mapping[str, Any]) -> ExchangeCollectorConfig:
        """The configuration that a table under ``[[collectors]]`` in this fleet's file would give.

        Raises:
            InvalidConfigurationError: The fleet file would refuse the table; the message gives the reason.
        """
        given = _decode("", dict(table), _Collector)
        return _resolve(self.ground, given)


def load_fleet(path: Path, environment: Environment, also: CollectorId | None = None) -> Fleet:
    """Read, decode and check a fleet file.

    Args:
        path: The file.
        environment: The environment, which outranks some of the file's settings.
        also: A collector that the fleet should hold even where the file does not list it; it then takes the defaults.

    Raises:
        InvalidConfigurationError: The file cannot be read, is not TOML, or holds something that cannot work. The
            message names the file, the place in it, and the reason.
    """
    text = read_own(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = f"; {_BRACKETS}" if _SINGLE.search(text) else ""
        raise InvalidConfigurationError(f"{path}: not valid TOML: {error}{hint}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise InvalidConfigurationError(f"{path}: not valid TOML: a value is too long or too deep") from error
    with _told_at(path):
        parsed = _parse(raw)
        ground = Ground(parsed.defaults, parsed.exchanges)
        collectors = _collectors(ground, parsed.collectors)
    redis = _redis(path, parsed.redis, environment)
    fleet = Fleet(redis=redis, collectors=collectors, ground=ground, tuning=parsed.manager)
    if also is None or fleet.find(also) is not None:
        return fleet
    profile(also.exchange)  # what is wrong with it is no matter of the file
    with _told_at(f"{path}: for {also}"):
        extra = _resolve(ground, _Collector(exchange=also.exchange, symbol=also.symbol))
    return msgspec.structs.replace(fleet, collectors=(*fleet.collectors, extra))


def load_wanted_fleet(path: Path, environment: Environment) -> Fleet:
    """As ``load_fleet``, for callers that apply the file: an empty list would stop all collectors.

    Raises:
        InvalidConfigurationError: As ``load_fleet``, or there is no collector in the file (cut off while written?).
    """
    fleet = load_fleet(path, environment)
    if not fleet.collectors:
        raise InvalidConfigurationError(f"{path}: has no [[collectors]]; an empty file would stop the whole fleet")
    return fleet


_T = TypeVar("_T", bound=Struct)
_MISFIT = re.compile(r"Expected `(?P<wanted>\w+)[^`]*`(?:, got `(?P<found>\w+)`| (?P<sign>[<>]=) (?P<bound>\S+))")
"""What msgspec says of a value: of another type, or out of its bounds."""

_BRACKETS = "each collector is written [[collectors]], in double brackets"
_SINGLE = re.compile(r"^\s*\[\s*collectors\s*\]", re.MULTILINE)
_TYPES = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list: [...]",
    "object": "a table",
}


def _parse(raw: dict[str, Any]) -> _File:
    """The file's tables, each in its place.

    Raises:
        InvalidConfigurationError: Something in them is unknown, missing, or of a wrong type; the place is in front.
    """
    _refuse_unknown("", raw, _File.__struct_fields__)
    for name in raw:
        if name == "collectors":
            if isinstance(raw[name], dict):
                raise InvalidConfigurationError(f"collectors: {_BRACKETS}")
            if not isinstance(raw[name], list):
                raise InvalidConfigurationError(f"collectors: is {_kind(raw[name])}, must be tables: [[collectors]]")
        elif isinstance(raw[name], list):
            raise InvalidConfigurationError(f"{name}: is written [{name}], in single brackets")
    exchanges = raw.get("exchanges", {})
    if not isinstance(exchanges, dict):
        raise InvalidConfigurationError(f"exchanges: is {_kind(exchanges)}, must be tables: [exchanges.NAME]")
    for name in exchanges:
        with _told_at(f"exchanges.{name}"):
            profile(name)
    found = _File(
        redis=_decode("redis", raw.get("redis", {}), _Redis),
        defaults=_decode("defaults", raw.get("defaults", {}), _Options),
        exchanges={name: _decode(f"exchanges.{name}", table, _Exchange) for name, table in exchanges.items()},
        manager=_decode("manager", raw.get("manager", {}), Tuning),
        collectors=tuple(
            _decode(_place(index, table), table, _Collector) for index, table in enumerate(raw.get("collectors", ()))
        ),
    )
    for name, exchange in found.exchanges.items():  # in its own place what would be refused in each of its collectors
        with _told_at(f"exchanges.{name}"):
            check_exchange(name, exchange.endpoints_of(profile(name)), exchange.limits)
    return found


def _place(index: int, table: object) -> str:
    """The name of a collector in messages: its number, and its id as far as it has one."""
    named = (table.get("exchange"), table.get("symbol")) if isinstance(table, dict) else ()
    known = ":".join(part for part in named if isinstance(part, str))
    return f"collectors[{index}]" + (f" ({known})" if known else "")


def _decode(place: str, table: object, struct: type[_T]) -> _T:
    """A table as its struct; each refusal names the place, the found value, and the allowed ones."""
    if not isinstance(table, dict):
        raise InvalidConfigurationError(f"{place}: is {_kind(table)}, must be a table")
    _refuse_unknown(place, table, struct.__struct_fields__)
    values = {}
    for info in msgspec.structs.fields(struct):
        if info.name not in table:
            if info.required:
                raise InvalidConfigurationError(_at(place, f"{info.name} is missing"))
            continue
        value = table[info.name]
        if isinstance(info.type, type) and issubclass(info.type, Struct):
            values[info.name] = _decode(f"{place}.{info.name}", value, info.type)
            continue
        try:
            values[info.name] = msgspec.convert(value, info.type)
        except msgspec.ValidationError as error:
            raise InvalidConfigurationError(_at(place, _misfit(info.name, value, str(error)))) from error
    return struct(**values)


def _refuse_unknown(place: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise InvalidConfigurationError(_at(place, f"unknown key {name!r}{of_known(name, known)}"))


def _misfit(name: str, value: Any, says: str) -> str:
    """A message of msgspec about a setting, in our words, for the single value that it is about."""
    says, _, inner = says.partition(" - at `$")
    if inner and isinstance(value, list):
        index = int(inner.strip("[]`"))
        name, value = f"{name}[{index}]", value[index]
    elif inner and isinstance(value, dict):
        name, value = next((f"{name}.{key}", each) for key, each in value.items() if not isinstance(each, str))
    if says.startswith("Invalid enum value"):
        return f"{name} is {value!r}{of_known(value, [data_type.value for data_type in DataType])}"
    if not (found := _MISFIT.match(says)):
        return f"{name}: {says}"
    if found["sign"]:
        return f"{name} is {value}, must be at {'least' if found['sign'] == '>=' else 'most'} {float(found['bound']):g}"
    shown = repr(value[:40]) if isinstance(value, str) else _kind(value)  # where no text may stand, no secret does
    return f"{name} is {shown}, must be {_TYPES[found['wanted']]}"


def _kind(value: object) -> str:
    """The found value, as it is written if it is short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)[:40]
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a time"


def _at(place: str, what: str) -> str:
    return f"{place}: {what}" if place else what


def _redis(path: Path, given: _Redis, environment: Environment) -> RedisConfig:
    url, secret = split_secret(given.url, f"{path}: redis.url", path.parent)
    if secret is not None:
        with _told_at(f"{path}: redis.url"):
            refuse_readable(path)
    if environment.redis_url:
        url, secret = split_secret(environment.redis_url, "TICKFLEET_REDIS_URL")
    password, password_file = environment.redis_password, ""
    if password is None and given.password_file:
        password_path = path.parent / given.password_file
        with _told_at(f"{path}: redis.password_file"):
            password = read_own(password_path, secret=True).strip()
        password_file = str(password_path.absolute())
    return RedisConfig(url=url, password=password or secret, maxlen=given.maxlen, password_file=password_file)


def _collectors(ground: Ground, tables: tuple[_Collector, ...]) -> tuple[ExchangeCollectorConfig, ...]:
    resolved: dict[CollectorId, ExchangeCollectorConfig] = {}
    for index, given in enumerate(tables):
        place = f"collectors[{index}] ({given.exchange}:{given.symbol})"
        try:
            config = _resolve(ground, given)
        except FleetError as error:
            raise type(error)(f"{_by_defaults(ground, given)}{place}: {error}") from error
        if config.id in resolved:
            raise InvalidConfigurationError(f"{place}: the collector is listed twice")
        resolved[config.id] = config
    return tuple(resolved.values())


def _by_defaults(ground: Ground, given: _Collector) -> str:
    """``defaults for `` if the defaults are the cause: without them the collector could work."""
    try:
        _resolve(Ground(exchanges=ground.exchanges), given)
    except FleetError:
        return ""
    return "defaults for "


def _resolve(ground: Ground, given: _Collector) -> ExchangeCollectorConfig:
    options = {**ground.defaults.given(), **given.given()}
    known = profile(given.exchange)
    options.setdefault("data_types", known.data_types)
    exchange = ground.exchanges.get(given.exchange, _Exchange())
    return ExchangeCollectorConfig(
        given.exchange, given.symbol, endpoints=exchange.endpoints_of(known), limits=exchange.limits, **options
    )


@contextmanager
def _told_at(place: object) -> Iterator[None]:
    """A context that puts the place in front of errors raised inside."""
    try:
        yield
    except FleetError as error:
        raise type(error)(f"{place}: {error}") from error
