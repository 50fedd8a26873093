"""Pure: how much memory the streams will take once each is as long as it may become, and when that will be.

Shared by the manager, which has measured the streams, and by commands that have not.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen

COVERAGE = "coverage"
"""The name of the completeness ledger among the data types."""

TYPICAL_ENTRY_BYTES = {
    DataType.TRADE.value: 80,
    DataType.ORDERBOOK.value: 300,
    DataType.TICKER.value: 170,
    DataType.CANDLES.value: 135,
    COVERAGE: 94,
}
"""For streams that are too short to measure: what streams of thousands of entries of OKX took in Valkey 9."""

MEASURABLE = 1_000
"""With at least this many entries a stream's own size per entry is the better estimate: the partly filled node no
longer matters.
"""


class StreamOfCollector(Struct, frozen=True, kw_only=True):
    """One stream of a collector. ``kind`` is its data type, or ``coverage``; ``interval`` is that of bars."""

    collector: str
    kind: str
    key: str
    maxlen: int
    interval: str = ""


class StreamSize(Struct, frozen=True, kw_only=True):
    """What a stream was like when it was measured. ``bytes`` as by MEMORY USAGE; 0 and 0 where there is none yet."""

    name: StreamOfCollector
    length: int = 0
    bytes: int = 0


class StreamForecast(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of one stream.

    Attributes:
        entries: Now.
        bytes: Now.
        full_bytes: When it holds ``maxlen`` entries.
        full_in_s: Until then at the present rate; 0 where it is full, absent where nothing comes or nobody knows.
        keeps_s: The time that its entries will reach back when it is full, at the present rate.
    """

    key: str
    kind: str
    entries: int
    maxlen: int
    bytes: int
    full_bytes: int
    full_in_s: float | None = None
    keeps_s: float | None = None


class MemoryForecast(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of Redis' memory.

    Attributes:
        streams_bytes: All measured streams now.
        streams_full_bytes: All streams when they are full.
        redis_full_bytes: What Redis will use in all then.
        limit_bytes: ``maxmemory``, else what the machine has for it; absent where nobody knows.
        exceeded_in_s: Until Redis uses more than that, at the present rate; absent where that will not happen.
        measured, streams: Streams that have been measured, and those there are.
    """

    streams_bytes: int
    streams_full_bytes: int
    redis_full_bytes: int
    measured: int
    streams: int
    limit_bytes: int | None = None
    exceeded_in_s: float | None = None

    @property
    def fits(self) -> bool:
        """Whether the limit holds, as far as it is known."""
        return self.limit_bytes is None or self.redis_full_bytes <= self.limit_bytes


def streams_of(config: ExchangeCollectorConfig, maxlen: MaxLen) -> Iterator[StreamOfCollector]:
    """The streams that a collector writes."""
    collector = str(config.id)
    for data_type in config.data_types:
        for interval in config.candle_intervals if data_type is DataType.CANDLES else ("",):
            yield StreamOfCollector(
                collector=collector,
                kind=data_type.value,
                key=keys.stream(config.id, data_type, interval),
                maxlen=maxlen.of(data_type),
                interval=interval,
            )
    yield StreamOfCollector(
        collector=collector, kind=COVERAGE, key=keys.coverage(config.id), maxlen=keys.COVERAGE_MAXLEN
    )


def forecast_stream(size: StreamSize, entries_per_s: float | None) -> StreamForecast:
    """What becomes of a stream that grows by ``entries_per_s``; None where that is not known."""
    name = size.name
    missing, rate = max(0, name.maxlen - size.length), entries_per_s or 0.0
    return StreamForecast(
        key=name.key,
        kind=name.kind,
        entries=size.length,
        maxlen=name.maxlen,
        bytes=size.bytes,
        full_bytes=max(size.bytes, round(name.maxlen * _entry_bytes(size))),
        full_in_s=_seconds(missing, rate) if missing else 0.0,
        keeps_s=_seconds(name.maxlen, rate),
    )


def forecast_memory(
    measured: Sequence[StreamForecast], others: Sequence[StreamForecast], used_bytes: int, limit_bytes: int | None
) -> MemoryForecast:
    """What becomes of a Redis that uses ``used_bytes`` in all now.

    Args:
        measured: The streams that have been measured.
        others: Those that have not; what they hold already counts twice.
        used_bytes: Redis' ``used_memory``.
        limit_bytes: What it may use; None where nobody knows.
    """
    now, full = sum(each.bytes for each in measured), sum(each.full_bytes for each in (*measured, *others))
    room = None if limit_bytes is None else limit_bytes - used_bytes
    return MemoryForecast(
        streams_bytes=now,
        streams_full_bytes=full,
        redis_full_bytes=max(0, used_bytes - now) + full,
        measured=len(measured),
        streams=len(measured) + len(others),
        limit_bytes=limit_bytes,
        exceeded_in_s=None if room is None else _exceeded_in_s(measured, room),
    )


def _exceeded_in_s(forecasts: Sequence[StreamForecast], room_bytes: int) -> float | None:
    """When the streams have grown by more than ``room_bytes``. Each grows evenly until it is full, and then no more."""
    if room_bytes < 0:
        return 0.0
    growing = sorted(
        (each.full_in_s, (each.full_bytes - each.bytes) / each.full_in_s) for each in forecasts if each.full_in_s
    )
    passed_s, left = 0.0, float(room_bytes)
    speed = sum(bytes_per_s for _, bytes_per_s in growing)
    for full_in_s, bytes_per_s in growing:
        grown = speed * (full_in_s - passed_s)
        if grown > left:
            return round(passed_s + left / speed, 1)
        left, passed_s, speed = left - grown, full_in_s, speed - bytes_per_s
    return None


def _entry_bytes(size: StreamSize) -> float:
    if size.length >= MEASURABLE and size.bytes:
        return size.bytes / size.length
    return TYPICAL_ENTRY_BYTES[size.name.kind]


def _seconds(entries: int, rate: float) -> float | None:
    return round(entries / rate, 1) if rate else None
