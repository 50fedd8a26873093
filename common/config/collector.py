"""The configuration of one collector, checked on construction: every existing object can be started."""

import hashlib
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from common.config.exchanges import Endpoints, ExchangeProfile, Limits, LowerLimits, profile
from tickfleet.contract.identity import CollectorId, DataType, Symbol
from tickfleet.contract.suggestions import interval_of_known, listed, of_known
from tickfleet.errors import InvalidConfigurationError

TRANSPORT_PICOWS, TRANSPORT_WEBSOCKETS = TRANSPORTS = ("picows", "websockets")
"""The libraries that can read an exchange's socket."""

DEFAULT_TRANSPORT = TRANSPORT_PICOWS
MAX_WAIT_S = 7 * 86_400
"""Longer than any weekend of a market; it keeps infinity out of what is computed from a setting."""


class ExchangeCollectorConfig(Struct, frozen=True):
    """One collector: what to collect, from where, and how.

    Attributes:
        exchange: The exchange's name.
        symbol: ``BASE-QUOTE``, ``BASE-QUOTE-PERP`` or ``BASE-QUOTE-YYMMDD``.
        data_types: What to collect.
        auto_restart: The manager restarts the collector when it is dead, hung or silent.
        health_check_interval: Seconds without data before a feed counts as silent; the floor of the adaptive limit.
        store_raw_data: Record the raw frames.
        custom_params: Settings that only this exchange knows.
        candle_intervals: The bars to collect, if ``data_types`` has ``candles``.
        max_backfill_wait: How many seconds live trades may wait for missed ones.
        enabled: ``false``: the collector stays in the file and does not run.
        transport: The library that reads the exchange's socket, ``picows`` or ``websockets``.
        endpoints: Addresses to use instead of the exchange's own, each may be empty.
        limits: Rates to keep instead of the exchange's own, never more than those.

    Raises:
        ExchangeNotSupportedError: No adapter for ``exchange``.
        InvalidConfigurationError: Anything else that cannot work.
    """

    exchange: str
    symbol: str
    data_types: tuple[DataType, ...]
    auto_restart: bool = True
    health_check_interval: Annotated[float, Meta(gt=0, le=MAX_WAIT_S)] = 30.0
    store_raw_data: bool = False
    custom_params: Mapping[str, str] | None = None
    candle_intervals: tuple[str, ...] = ("1m",)
    max_backfill_wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 60.0
    enabled: bool = True
    transport: str = DEFAULT_TRANSPORT
    endpoints: Endpoints = field(default_factory=Endpoints)
    limits: LowerLimits = field(default_factory=LowerLimits)

    def __post_init__(self) -> None:
        if not self.exchange:
            raise InvalidConfigurationError("exchange must not be empty")
        if not self.symbol:
            raise InvalidConfigurationError("symbol must not be empty")
        known = profile(self.exchange)
        _check_symbol(self.symbol, known)
        _check_lists(self, known)
        _check_params(self.custom_params or {}, known)
        if self.transport not in TRANSPORTS:
            raise InvalidConfigurationError(f"transport is {self.transport!r}{of_known(self.transport, TRANSPORTS)}")
        if not 0 < self.health_check_interval <= MAX_WAIT_S:
            raise InvalidConfigurationError(
                f"health_check_interval is {self.health_check_interval:g},"
                f" must be above 0 and at most {MAX_WAIT_S} seconds"
            )
        if not 0 <= self.max_backfill_wait <= MAX_WAIT_S:
            raise InvalidConfigurationError(
                f"max_backfill_wait is {self.max_backfill_wait:g}, must be from 0 to {MAX_WAIT_S} seconds"
            )
        check_exchange(self.exchange, self.endpoints, self.limits)

    @property
    def id(self) -> CollectorId:
        """Exchange and symbol."""
        return CollectorId(self.exchange, self.symbol)

    @property
    def address(self) -> Endpoints:
        """The addresses to use: the configured ones, else the exchange's own."""
        return self.endpoints.over(profile(self.exchange).endpoints)

    @property
    def rates(self) -> Limits:
        """The rates to keep: the exchange's own, lowered if configured."""
        return self.limits.of(profile(self.exchange).limits)

    def param(self, name: str) -> str:
        """A custom parameter, or its default (the first allowed value)."""
        return (self.custom_params or {}).get(name, profile(self.exchange).custom_params[name][0])

    def fingerprint(self) -> str:
        """Short digest of all settings that a running worker depends on; equal settings give equal digests."""
        facts = msgspec.to_builtins(self)
        for manager_only in ("enabled", "auto_restart"):
            facts.pop(manager_only)
        text = msgspec.json.encode(facts, order="sorted")
        return hashlib.sha256(text).hexdigest()[:12]


def _check_symbol(symbol: str, known: ExchangeProfile) -> None:
    kind = Symbol.parse(symbol, known.assets).kind
    if kind not in known.kinds:
        kinds = ", ".join(each.value for each in known.kinds)
        raise InvalidConfigurationError(
            f"symbol {symbol!r} is a {kind.value}; collectors of {known.name} know: {kinds}"
        )


def _check_lists(config: ExchangeCollectorConfig, known: ExchangeProfile) -> None:
    types = [data_type.value for data_type in known.data_types]
    if not config.data_types:
        raise InvalidConfigurationError(f"data_types must name at least one data type ({listed(types)})")
    for name, given, allowed, hint in (
        ("data_types", [data_type.value for data_type in config.data_types], types, of_known),
        ("candle_intervals", list(config.candle_intervals), list(known.candle_intervals), interval_of_known),
    ):
        for index, value in enumerate(given):
            if value not in allowed:
                raise InvalidConfigurationError(f"{name}: {known.name} has no {value!r}{hint(value, allowed)}")
            if value in given[:index]:
                raise InvalidConfigurationError(f"{name} names {value!r} twice")
    if DataType.CANDLES in config.data_types and not config.candle_intervals:
        raise InvalidConfigurationError(
            "candle_intervals must name at least one interval when candles are collected"
            f" ({listed(known.candle_intervals)})"
        )


def _check_params(params: Mapping[str, str], known: ExchangeProfile) -> None:
    for name, value in params.items():
        if name not in known.custom_params:
            hint = of_known(name, known.custom_params)
            raise InvalidConfigurationError(f"custom_params: {known.name} has no parameter {name!r}{hint}")
        if value not in known.custom_params[name]:
            hint = of_known(value, known.custom_params[name])
            raise InvalidConfigurationError(f"custom_params.{name} is {value!r}{hint}")


def check_exchange(exchange: str, endpoints: Endpoints, limits: LowerLimits) -> None:
    """Check that the settings for all collectors of an exchange can work.

    Raises:
        ExchangeNotSupportedError: There is no such exchange here.
        InvalidConfigurationError: An address is not valid, or a rate is higher than the exchange allows.
    """
    known = profile(exchange)
    _check_endpoints(endpoints, known)
    for name, own, unit in (
        ("connects_per_s", known.limits.connect, "connections"),
        ("rest_units_per_s", known.limits.rest, known.rest_unit),
    ):
        given: float | None = getattr(limits, name)
        least = own.per_s * LEAST_SHARE
        if given is not None and not least <= given <= own.per_s:
            raise InvalidConfigurationError(
                f"{name} is {given:g}, must be from {least:g} to {own.per_s:g} {unit} a second,"
                f" which keeps {known.name}'s own limit"
            )


LEAST_SHARE = 0.01
"""Of an exchange's own limit: with less, a fleet would not be up within a day."""


def _check_endpoints(endpoints: Endpoints, known: ExchangeProfile) -> None:
    for name, schemes in _SCHEMES.items():
        url: str = getattr(endpoints, name)
        if not url:
            continue
        if not url.isprintable() or " " in url:  # some readers would pass over it, others not
            raise InvalidConfigurationError(f"{name} holds a space or a control character")
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise InvalidConfigurationError(f"{name} must begin with {' or '.join(f'{s}://' for s in schemes)}")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidConfigurationError(f"{name} is not an address (host or port)") from error
        if not parts.hostname or port == 0:
            raise InvalidConfigurationError(f"{name} is not an address (host or port)")
        if "@" in parts.netloc:
            raise InvalidConfigurationError(f"{name} must not hold a user or password: market data needs none")
        if "?" in url or "#" in url:  # plan and doctor show addresses, and timeUnit=… would change what times mean
            raise InvalidConfigurationError(
                f"{name} must end before the ? or #: what may follow there is a secret, or changes what is received"
            )
        added = known.ws_path if name != "rest" else ""
        for path in (added, *known.ws_other_paths) if added else ():
            if parts.path.rstrip("/").endswith(path):
                raise InvalidConfigurationError(f"{name} must end before {path}: collectors append {added} to it")


_SCHEMES = {"ws_public": ("ws", "wss"), "ws_business": ("ws", "wss"), "rest": ("http", "https")}
