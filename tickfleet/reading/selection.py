"""Turns collectors and data types, as people write them, into keys and patterns of Redis.

| written | means |
| --- | --- |
| ``okx:BTC-USDT`` | that collector; a stream that is not there yet is waited for |
| ``okx:*``, ``*:BTC-*``, ``*`` | every collector that matches; new ones are added when they appear |
| ``trade``, ``orderbook``, ``ticker`` | that data type |
| ``candles:1m`` | bars of that interval |
| ``candles`` | bars of every interval there is |
| ``*`` | every data type |
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from tickfleet.contract import keys
from tickfleet.contract.exchanges import require_exchange
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.contract.suggestions import did_you_mean, interval_of_known
from tickfleet.errors import InvalidConfigurationError

_GLOB = re.compile(r"[*?\[\]]")
_PATTERN = re.compile(r"[^\s{}\\]+")
_ANY = "*"


class StreamName(Struct, frozen=True):
    """One stream of data. ``interval`` is the interval of candles, else empty."""

    collector: CollectorId
    data_type: DataType
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.collector} {self.data_type.value}{':' if self.interval else ''}{self.interval}"

    @property
    def key(self) -> str:
        """Its key in Redis."""
        return keys.stream(self.collector, self.data_type, self.interval)

    @classmethod
    def of_key(cls, key: str) -> "StreamName | None":
        """The stream that a key names; None if it is not one of ours."""
        found = keys.read_stream(key)
        return cls(*found) if found else None


class Selection(Struct, frozen=True):
    """What a reader reads.

    Attributes:
        names: Streams that are known by name.
        patterns: Key patterns of further streams, for SCAN.
    """

    names: tuple[StreamName, ...]
    patterns: tuple[str, ...]


def select(collectors: str | Iterable[str], data_types: str | DataType | Iterable[str | DataType]) -> Selection:
    """The selection for what a person wrote; see the module.

    Raises:
        ExchangeNotSupportedError: There is no such exchange.
        InvalidConfigurationError: Something is misspelt.
    """
    names: dict[StreamName, None] = {}
    patterns: dict[str, None] = {}
    written = [collectors] if isinstance(collectors, str) else [*collectors]
    kinds = [data_types] if isinstance(data_types, (str, DataType)) else [*data_types]
    if not written or not kinds:
        raise InvalidConfigurationError("name at least one collector and one data type")
    types = dict.fromkeys(part for kind in kinds for part in _types(kind))
    for text in written:
        collector = _collector(text)
        for data_type, interval in types:
            if isinstance(collector, CollectorId) and interval != _ANY:
                names[StreamName(collector, data_type, interval)] = None
            else:
                suffix = f":{interval}" if interval else ""
                patterns[keys.streams_like(str(collector), data_type.value + suffix)] = None
    return Selection(tuple(names), tuple(patterns))


def _collector(text: str) -> CollectorId | str:
    """One collector, or a pattern for several."""
    if not _GLOB.search(text):
        collector = CollectorId.parse(text)
        require_exchange(collector.exchange)
        return collector
    exchange, colon, _ = text.partition(":")
    if not _PATTERN.fullmatch(text) or (not colon and text != _ANY):
        raise InvalidConfigurationError(f"pattern {text!r} is not spelt exchange:SYMBOL with * ? [ ] in it")
    if not _GLOB.search(exchange):
        require_exchange(exchange)
    return text


def _types(kind: str | DataType) -> list[tuple[DataType, str]]:
    """Data types with their intervals."""
    text = kind.value if isinstance(kind, DataType) else kind
    if text == _ANY:
        return [part for data_type in DataType for part in _types(data_type)]
    word, colon, interval = text.partition(":")
    known = [data_type.value for data_type in DataType]
    if word not in known or (colon and word != DataType.CANDLES.value):
        hint = did_you_mean(word, known)
        raise InvalidConfigurationError(
            f"there is no data type {text!r}{hint} (known: {', '.join(known)}, candles:1m and so on, *)"
        )
    data_type = DataType(word)
    if data_type is not DataType.CANDLES:
        return [(data_type, "")]
    if interval not in ("", _ANY, *INTERVAL_S):
        raise InvalidConfigurationError(
            f"candles have no interval {interval!r}{interval_of_known(interval, INTERVAL_S)}"
        )
    return [(data_type, interval or _ANY)]
