"""Which streams an operator means by an ID (or a pattern) and a data type, and whether a collector collects them."""

from typing import TYPE_CHECKING

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from manager.cli.context import tell
from manager.cli.effective import Site
from manager.cli.patterns import is_pattern, select
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.contract.suggestions import did_you_mean, interval_of_known
from tickfleet.errors import InvalidConfigurationError, UsageError

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis
    from tickfleet.redis.config import RedisConfig

LEDGER = "coverage"
"""The name of the completeness ledger, beside those of the data types."""


class RequestedType(Struct, frozen=True):
    """A type as it was asked for.

    Attributes:
        data_type: None: the ledger.
        interval: Of candles; empty: not said.
    """

    data_type: DataType | None
    interval: str = ""

    def __str__(self) -> str:
        word = LEDGER if self.data_type is None else self.data_type.value
        return f"{word}:{self.interval}" if self.interval else word

    def collected_by(self, config: ExchangeCollectorConfig) -> bool:
        """Whether a collector is to collect it; a ledger has each."""
        if self.data_type is None:
            return True
        candles = self.data_type is DataType.CANDLES
        return self.data_type in config.data_types and not (
            candles and self.interval and self.interval not in config.candle_intervals
        )

    def keys(self, collector: CollectorId) -> list[str]:
        """Where it may be in Redis."""
        if self.data_type is None:
            return [keys.coverage(collector)]
        if self.data_type is DataType.CANDLES and not self.interval:
            return [keys.stream(collector, self.data_type, interval) for interval in INTERVAL_S]
        return [keys.stream(collector, self.data_type, self.interval)]


def parse_kind(text: str, *, ledger: bool) -> RequestedType:
    """A type by its name: ``trade orderbook ticker candles candles:1m``, and ``coverage`` where ``ledger``.

    Raises:
        UsageError: There is no such type, or interval.
    """
    word, colon, interval = text.partition(":")
    known = [data_type.value for data_type in DataType] + [LEDGER] * ledger
    if word not in known or (colon and word != DataType.CANDLES.value):
        raise UsageError(
            f"there is no type {text!r}{did_you_mean(word, known)} (known: {', '.join(known)}, candles:1m)"
        )
    if colon and interval not in INTERVAL_S:
        raise UsageError(f"candles have no interval {interval!r}{interval_of_known(interval, INTERVAL_S)}")
    return RequestedType(None if word == LEDGER else DataType(word), interval)


def choose(site: Site, name: str, kind: RequestedType) -> list[CollectorId]:
    """The collectors that are meant, each of which has, or is to have, such a stream.

    A collector that has left the fleet, or no longer collects this type, is included as long as its stream exists.

    Raises:
        UsageError: There is no such collector, or it does not collect that.
    """
    if is_pattern(name):
        found = [config.id for config in select(site.fleet, [name]) if kind.collected_by(config)]
        if not found:
            raise UsageError(f"none of the collectors that {name!r} means collects {kind}")
        return found
    try:
        collector = CollectorId.parse(name)
    except InvalidConfigurationError:
        select(site.fleet, [name])
        raise
    config = site.fleet.find(collector)
    if config is None or not kind.collected_by(config):
        there = _is_there(site.client, site.file.redis, kind.keys(collector))
        if not there:
            select(site.fleet, [name])
            raise UsageError(f"{name} does not collect {kind}; it collects {_collected(config)}")
        tell(f"{name} does not collect {kind} now: this is what was collected before")
    return [collector]


def _collected(config: ExchangeCollectorConfig | None) -> str:
    """What it collects, as one would ask for it."""
    if config is None:
        return "nothing"
    names = [data_type.value for data_type in config.data_types if data_type is not DataType.CANDLES]
    candles = DataType.CANDLES in config.data_types
    return ", ".join(names + [f"candles:{interval}" for interval in config.candle_intervals] * candles)


def _is_there(client: "SyncRedis", redis: "RedisConfig", names: list[str]) -> bool:
    from common.redis.redis_py import translated_errors  # see ``tools``

    with translated_errors(redis):
        return bool(client.exists(*names))
