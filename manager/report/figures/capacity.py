"""Pure: what a fleet needs once all its streams are full, and how long the limits of its exchanges make the start.

For a fleet that does not run yet, or that will change. Each number names its basis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Rate, profile
from manager.report.figures.document import Figures
from manager.report.figures.forecast import MEASURABLE, TYPICAL_ENTRY_BYTES, streams_of
from tickfleet.redis.config import MaxLen

_MIB = 1024**2

OTHER_KEYS_BYTES = _MIB // 4
"""Of each collector beside its streams: the ``:book`` hash (1,000 levels a side take 80 KiB), the other keys, and what
Redis keeps for its connection."""

REDIS_ITSELF_BYTES = 8 * _MIB
"""What Redis takes when it is empty (1 MiB), the journal of 10,000 entries, and the manager's keys."""

COLLECTOR_BYTES = 35 * _MIB
"""A process of a collector under load (PSS, ``docs/performance.md``)."""

REDIS_CONNECTIONS_OTHERS = 8
"""Beside one of each collector: the manager's, and some commands at the same time."""

_DESCRIPTORS_PER_PROGRAM = 5
"""Of supervisord (measured: 1,507 for 300 programs)."""

_DESCRIPTORS_OTHERS = 64
OTHER_PROGRAMS = 3
"""Redis, the manager, and the listener that watches it."""

_DISK_OF_MEMORY = 3
"""An append-only file is rewritten when it has doubled in size; during the rewrite both files exist."""

_LOG_BYTES = 4 * 10 * _MIB
"""Of one program: its log and three old ones."""

_SPOOL_BYTES = 1024 * _MIB
"""Of one collector while Redis is away, at most."""


class StartTime(Struct, frozen=True, kw_only=True):
    """What the limits of one exchange do to the start of all its collectors.

    Attributes:
        connects, connect_s: New connections, and how long its limit makes them wait.
        rest_units, rest_s: REST in its own units, and how long the limit makes them wait; more where data was missed.
    """

    exchange: str
    collectors: int
    connects: int
    connect_s: float
    rest_units: float
    rest_s: float

    @property
    def within_s(self) -> float:
        """Until the last one has its data: both go on at the same time."""
        return max(self.connect_s, self.rest_s)


class Capacity(Struct, frozen=True, kw_only=True):
    """What a fleet needs.

    Attributes:
        collectors: Those that are enabled; only they count.
        streams, measured_streams: All of them, and those whose size per entry this fleet's own streams tell.
        streams_full_bytes: When each is as long as it may become.
        full_bytes_of: The same by collector, with its other keys: all of them are on one node of a Cluster.
        redis_full_bytes: What Redis will use in all.
        redis_connections, exchange_connections: At the same time.
        descriptors: Files that supervisord holds open.
        processes_bytes: Memory of the collectors.
        logs_bytes: Of all programs, at most.
        spool_bytes: What collectors may write at most while Redis is away.
        starts: By exchange.
    """

    collectors: int
    streams: int
    measured_streams: int
    streams_full_bytes: int
    full_bytes_of: Mapping[str, int]
    redis_full_bytes: int
    redis_connections: int
    exchange_connections: int
    descriptors: int
    processes_bytes: int
    logs_bytes: int
    spool_bytes: int
    starts: tuple[StartTime, ...]

    def disk_bytes(self, *, redis_here: bool) -> int:
        """What a full fleet writes to this machine's disk, where Redis is on it or not; without ``spool_bytes``."""
        return self.logs_bytes + (_DISK_OF_MEMORY * self.redis_full_bytes if redis_here else 0)

    @property
    def basis(self) -> str:
        """What the memory of the streams rests on."""
        typical = self.streams - self.measured_streams
        told = f"{self.measured_streams} of {self.streams} streams by what this fleet's entries take"
        return f"{told}, {typical} by typical sizes" if typical else told


def capacity_of(fleet: Iterable[ExchangeCollectorConfig], maxlen: MaxLen, figures: Figures | None) -> Capacity:
    """What a fleet needs; ``figures`` are those of the fleet that runs now, whose streams have been measured."""
    enabled = [config for config in fleet if config.enabled]
    sizes, full_of = _Sizes(figures), dict[str, int]()
    streams = measured = 0
    for config in enabled:
        names = list(streams_of(config, maxlen))
        streams, measured = streams + len(names), measured + sum(sizes.knows(config.exchange, n.kind) for n in names)
        full_of[str(config.id)] = round(sum(n.maxlen * sizes.of(config.exchange, n.kind, n.key) for n in names))
    streams_full = sum(full_of.values())
    redis_full = streams_full + max(len(enabled) * OTHER_KEYS_BYTES + REDIS_ITSELF_BYTES, sizes.others_bytes)
    count, programs = len(enabled), len(enabled) + OTHER_PROGRAMS
    starts = start_times(enabled)
    return Capacity(
        collectors=count,
        streams=streams,
        measured_streams=measured,
        streams_full_bytes=streams_full,
        full_bytes_of={name: size + OTHER_KEYS_BYTES for name, size in full_of.items()},
        redis_full_bytes=redis_full,
        redis_connections=count + REDIS_CONNECTIONS_OTHERS,
        exchange_connections=sum(each.connects for each in starts),
        descriptors=descriptors(programs),
        processes_bytes=count * COLLECTOR_BYTES,
        logs_bytes=programs * _LOG_BYTES,
        spool_bytes=count * _SPOOL_BYTES,
        starts=starts,
    )


def descriptors(programs: int) -> int:
    """Files that supervisord holds open for so many programs."""
    return _DESCRIPTORS_PER_PROGRAM * programs + _DESCRIPTORS_OTHERS


def start_times(enabled: Iterable[ExchangeCollectorConfig]) -> tuple[StartTime, ...]:
    """How long the limits of each exchange make the start when all collectors begin at once."""
    by_exchange = defaultdict[str, list[ExchangeCollectorConfig]](list)
    for config in enabled:
        by_exchange[config.exchange].append(config)
    return tuple(_start(exchange, configs) for exchange, configs in sorted(by_exchange.items()))


def _start(exchange: str, configs: list[ExchangeCollectorConfig]) -> StartTime:
    known, rates = profile(exchange), configs[0].rates
    connects, units = len(configs) * known.start_connects, len(configs) * known.start_rest_units
    return StartTime(
        exchange=exchange,
        collectors=len(configs),
        connects=connects,
        connect_s=_wait_s(connects, rates.connect),
        rest_units=units,
        rest_s=_wait_s(units, rates.rest),
    )


def _wait_s(units: float, rate: Rate) -> float:
    return round(max(0.0, units - rate.burst) / rate.per_s, 1)


def on_nodes(capacity: Capacity, node_of: Mapping[str, str]) -> dict[str, int]:
    """Bytes when full by node of a Cluster, given the node of each collector; each node has what Redis itself takes."""
    full = defaultdict[str, int](lambda: REDIS_ITSELF_BYTES)
    for collector, node in node_of.items():
        full[node] += capacity.full_bytes_of[collector]
    return dict(full)


class _Sizes:
    """Bytes per entry: of the stream itself where it was measured, else of its kind at its exchange, else typical."""

    def __init__(self, figures: Figures | None) -> None:
        self._own = dict[str, float]()
        sums = defaultdict[tuple[str, str], list[int]](lambda: [0, 0])
        for collector, each in figures.collectors.items() if figures else ():
            for stream in each.streams:
                if stream.entries >= MEASURABLE and stream.bytes:
                    self._own[stream.key] = stream.bytes / stream.entries
                    total = sums[collector.partition(":")[0], stream.kind]
                    total[0], total[1] = total[0] + stream.bytes, total[1] + stream.entries
        self._by_kind = {place: size / entries for place, (size, entries) in sums.items()}
        memory = figures.memory if figures else None
        self.others_bytes = max(0, memory.redis_full_bytes - memory.streams_full_bytes) if memory else 0

    def knows(self, exchange: str, kind: str) -> bool:
        return (exchange, kind) in self._by_kind

    def of(self, exchange: str, kind: str, key: str) -> float:
        return self._own.get(key) or self._by_kind.get((exchange, kind)) or TYPICAL_ENTRY_BYTES[kind]
