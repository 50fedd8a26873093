"""All key names in Redis, with their lifetimes. No other module contains a key literal.

All keys of a collector carry the same hash tag ``{exchange:SYMBOL}``, so they share one slot of a Redis Cluster.
A changed meaning of an entry means a new version segment (``md:v2:``), never a silent change.
"""

import re

from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import InvalidConfigurationError

_PREFIX = "md:v1:"

HEARTBEAT_TTL_S = 10
"""Ten missed beats: longer than any pause a working process makes, short enough to notice within seconds."""

EXIT_NOTE_TTL_S = 24 * 3600
"""How long the last heartbeat of a process that refused its configuration stays readable: the reason for a day."""

FLEET_EVENTS_MAXLEN = 10_000
"""Changes of state, a few a day and collector: months of history."""

COVERAGE_MAXLEN = 50_000
"""Entries of a completeness ledger: four data types that each note every 10 s how far they are fill it in a day and a
half, longer than the data streams of a busy market reach back. At 94 bytes an entry (measured): 5 MB a collector."""

DEFAULT_MAXLEN = {
    DataType.TRADE: 200_000,
    DataType.ORDERBOOK: 50_000,
    DataType.TICKER: 20_000,
    DataType.CANDLES: 10_000,
}
"""Entries kept per stream (``MAXLEN ~``). At 64 bytes a trade and about 300 a delta: some 30 MiB a collector."""


def _of(collector: CollectorId, name: str) -> str:
    return f"{_PREFIX}{{{collector}}}:{name}"


def stream(collector: CollectorId, data_type: DataType, interval: str = "") -> str:
    """Stream of one data type, e.g. ``md:v1:{okx:BTC-USDT}:trade``; candles have one per interval (``:candles:1m``)."""
    suffix = f":{interval}" if interval else ""
    return _of(collector, data_type.value + suffix)


def book(collector: CollectorId) -> str:
    """Hash with the current book and the id of the stream entry that it corresponds to."""
    return _of(collector, "book")


def heartbeat(collector: CollectorId) -> str:
    """Hash with the liveness and the facts of the collector's process; it expires if nobody writes it."""
    return _of(collector, "heartbeat")


def instrument(collector: CollectorId) -> str:
    """Hash with tick size, lot size, contract value, state and native spelling."""
    return _of(collector, "instrument")


def writer(collector: CollectorId) -> str:
    """Fencing number of the run that may write."""
    return _of(collector, "writer")


FLEET_EVENTS = f"{_PREFIX}fleet:events"
"""Stream of every change of state: what, who, why."""

FLEET_DESIRED = f"{_PREFIX}fleet:desired"
"""Hash of run-time changes to the fleet file: collector id to JSON (``manager.desired``). It has no lifetime."""

FLEET_MANAGER = f"{_PREFIX}fleet:manager"
"""Hash with the manager's own heartbeat."""

FLEET_PROBE = f"{_PREFIX}fleet:probe"
"""A key that never exists: set only where it does (``SET … XX``), it shows whether Redis takes writes."""


def fleet_probe(tag: str) -> str:
    """The same for a Cluster, in the slot of ``tag``, to reach the node that has this slot."""
    return f"{FLEET_PROBE}:{{{tag}}}"


FLEET_LEASE = f"{_PREFIX}fleet:lease"
"""Who of several managers acts: the token of one of them, renewed each second."""

FLEET_LEASE_TTL_MS = 5_000
"""Five rounds of the loop: so long a successor of a manager that was killed has to wait."""

FLEET_WRITTEN = f"{_PREFIX}fleet:written"
"""When the manager wrote last (ns), without a lifetime: a Redis that was restored tells by it how old its data are."""

FLEET_FIGURES = f"{_PREFIX}fleet:figures"
"""JSON document with the figures of the collectors and the machine (``manager.report.figures``)."""

FLEET_FIGURES_TTL_S = 30
"""Some refreshes: figures that nobody refreshes are no figures."""


def coverage(collector: CollectorId) -> str:
    """Stream with the completeness ledger."""
    return _of(collector, "coverage")


def stream_of_ledger(ledger: str, data_type: DataType, interval: str = "") -> str:
    """The data stream that a ledger entry is about, of the same collector; see ``stream``."""
    suffix = f":{interval}" if interval else ""
    return f"{ledger.rpartition(':')[0]}:{data_type.value}{suffix}"


def rate_limiter(scope: str, kind: str) -> str:
    """Time line of the rate limiter for one kind of call; ``scope`` is exchange and host, e.g. ``okx@web-1``."""
    return f"{_PREFIX}permits:{{{scope}}}:{kind}"


def ban(scope: str) -> str:
    """Hash: until when (us) an exchange has banned a host, why, and how often such bans were lifted."""
    return f"{_PREFIX}permits:{{{scope}}}:banned"


def streams_like(collectors: str, data_types: str) -> str:
    """Pattern for SCAN of the data streams of some collectors, e.g. ``okx:*`` and ``trade``; see ``read_stream``."""
    return f"{_PREFIX}{{{collectors}}}:{data_types}"


def read_stream(key: str) -> tuple[CollectorId, DataType, str] | None:
    """Collector, data type and interval of the data stream that a key names; None if it names none."""
    found = _STREAM.fullmatch(key)
    if found is None:
        return None
    try:
        collector, data_type = CollectorId.parse(found["collector"]), DataType(found["type"])
    except (InvalidConfigurationError, ValueError):
        return None
    interval = found["interval"] or ""
    return (collector, data_type, interval) if bool(interval) is (data_type is DataType.CANDLES) else None


_STREAM = re.compile(rf"{_PREFIX}\{{(?P<collector>[^{{}}]+)\}}:(?P<type>[a-z]+)(:(?P<interval>[0-9A-Za-z]+))?")


def is_reserved(key: str) -> bool:
    """Whether a key belongs to the collectors and the manager; services that publish must use another prefix."""
    return key.startswith(_RESERVED)


_RESERVED = "md:"


def position(reader: str) -> str:
    """Hash with the saved position of a reader: stream key to JSON (``tickfleet.reading.position``)."""
    return f"{_PREFIX}reader:{reader}:position"


def acknowledged(collector: CollectorId, group: str) -> str:
    """Hash of a consumer group: stream key to the id up to which all is done, used to create the group again."""
    return _of(collector, f"acknowledged:{group}")


def dead(collector: CollectorId, group: str) -> str:
    """Stream of the entries that a consumer group has given up on."""
    return _of(collector, f"dead:{group}")


DEAD_MAXLEN = 10_000
"""Entries that were given up on; each waits for a person to look at it."""
