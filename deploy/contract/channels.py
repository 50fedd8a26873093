"""The keys in Redis, by name: what is behind each, for how long, and what its words mean."""

from collections.abc import Sequence

from msgspec import Struct

from deploy.contract.docstrings import description
from deploy.contract.schemas import Schema
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

_COLLECTOR = CollectorId("EXCHANGE", "SYMBOL")

PARAMETERS: dict[str, Schema] = {
    "collector": {
        "description": (
            "Exchange and symbol in braces. The braces are part of the key: the hash tag by which all keys of a"
            " collector share a slot of a Redis Cluster."
        ),
        "examples": ["{okx:BTC-USDT}", "{okx:BTC-USDT-PERP}", "{binance:ETH-USDT}"],
    },
    "interval": {"description": "Length of the bars.", "examples": ["1m", "1h"]},
    "group": {"description": "Name of the consumer group.", "examples": ["archive"]},
    "reader": {"description": "Name of the reader.", "examples": ["dashboard"]},
}
_PLACEHOLDERS = {
    f"{{{_COLLECTOR}}}": "{collector}",
    "INTERVAL": "{interval}",
    "GROUP": "{group}",
    "READER": "{reader}",
}


class Channel(Struct, frozen=True, kw_only=True):
    """One kind of key.

    Attributes:
        address: The key, with parameters in braces.
        kind: Its type in Redis: ``stream``, ``hash`` or ``string``.
        summary: What is there.
        messages: What may stand there, by the names of ``messages.MESSAGES``.
        maxlen: How many entries a stream keeps, about.
        ttl_s: When it goes where nobody renews it.
    """

    address: str
    kind: str
    summary: str
    messages: Sequence[str]
    maxlen: int | None = None
    ttl_s: float | None = None

    @property
    def parameters(self) -> dict[str, Schema]:
        """The parameters of its address."""
        return {name: part for name, part in PARAMETERS.items() if f"{{{name}}}" in self.address}


def _address(key: str) -> str:
    for placeholder, parameter in _PLACEHOLDERS.items():
        key = key.replace(placeholder, parameter)
    return key


def _data(data_type: DataType, *messages: str, interval: str = "", summary: str) -> Channel:
    return Channel(
        address=_address(keys.stream(_COLLECTOR, data_type, interval)),
        kind="stream",
        summary=f"{summary} The fleet file may set another length.",
        messages=(*messages, "gap", "feed_status"),
        maxlen=keys.DEFAULT_MAXLEN[data_type],
    )


def _of(
    key: str, kind: str, message: str, summary: str | None, *, maxlen: int | None = None, ttl_s: float | None = None
) -> Channel:
    whole = description(summary).whole
    return Channel(address=_address(key), kind=kind, summary=whole, messages=(message,), maxlen=maxlen, ttl_s=ttl_s)


CHANNELS: dict[str, Channel] = {
    "trade": _data(
        DataType.TRADE,
        "trade",
        summary="One entry per trade, once and in the exchange's order; `gap` marks where some are missing for good.",
    ),
    "orderbook": _data(
        DataType.ORDERBOOK,
        "book_snapshot",
        "book_delta",
        summary="Snapshots and deltas in the exchange's order. To join late, begin with the `book` hash.",
    ),
    "ticker": _data(DataType.TICKER, "ticker", summary="The latest figures; the last entry is the one that counts."),
    "candles": _data(
        DataType.CANDLES, "candle", interval="INTERVAL", summary="The bars of one interval, closed ones once each."
    ),
    "coverage": _of(
        keys.coverage(_COLLECTOR), "stream", "ledger_entry", keys.coverage.__doc__, maxlen=keys.COVERAGE_MAXLEN
    ),
    "book": _of(keys.book(_COLLECTOR), "hash", "book", keys.book.__doc__),
    "heartbeat": _of(
        keys.heartbeat(_COLLECTOR), "hash", "heartbeat", keys.heartbeat.__doc__, ttl_s=keys.HEARTBEAT_TTL_S
    ),
    "instrument": _of(keys.instrument(_COLLECTOR), "hash", "instrument", keys.instrument.__doc__),
    "writer": _of(keys.writer(_COLLECTOR), "string", "writer", keys.writer.__doc__),
    "dead": _of(keys.dead(_COLLECTOR, "GROUP"), "stream", "dead_letter", keys.dead.__doc__, maxlen=keys.DEAD_MAXLEN),
    "acknowledged": _of(keys.acknowledged(_COLLECTOR, "GROUP"), "hash", "acknowledged", keys.acknowledged.__doc__),
    "position": _of(keys.position("READER"), "hash", "position", keys.position.__doc__),
    "fleet_events": _of(
        keys.FLEET_EVENTS,
        "stream",
        "fleet_event",
        "Every change of state: what, who, why.",
        maxlen=keys.FLEET_EVENTS_MAXLEN,
    ),
    "fleet_manager": _of(
        keys.FLEET_MANAGER, "hash", "manager_heartbeat", "The manager's own heartbeat.", ttl_s=keys.HEARTBEAT_TTL_S
    ),
    "fleet_figures": _of(
        keys.FLEET_FIGURES,
        "string",
        "fleet_figures",
        "JSON document with the figures of the collectors and the machine.",
        ttl_s=keys.FLEET_FIGURES_TTL_S,
    ),
    "fleet_desired": _of(
        keys.FLEET_DESIRED, "hash", "fleet_desired", "Run-time changes to the fleet file: collector id to JSON."
    ),
    "fleet_written": _of(
        keys.FLEET_WRITTEN,
        "string",
        "fleet_written",
        "When the manager wrote last, to see how old a restored Redis is.",
    ),
    "fleet_lease": _of(
        keys.FLEET_LEASE,
        "string",
        "fleet_lease",
        "Who of several managers acts.",
        ttl_s=keys.FLEET_LEASE_TTL_MS / 1000,
    ),
}
