"""Reads the streams of a tickfleet: trades, books, bars and tickers of many exchanges. Missing data is marked.

    from tickfleet import trades

    async for trade in trades("okx:BTC-USDT"):
        print(trade)

Programs outside the fleet may rely on the names in this module. Each name is loaded at its first use, because a
collector shares the contract but does not need the readers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickfleet.contract.events import (
        BookDelta,
        BookSnapshot,
        Candle,
        Event,
        FeedStatus,
        Gap,
        Level,
        Ticker,
        Trade,
    )
    from tickfleet.contract.identity import CollectorId, DataType
    from tickfleet.errors import FleetError, InvalidConfigurationError, RedisUnreachableError
    from tickfleet.reading.coverage_reader import CoverageReader
    from tickfleet.reading.entries import Batch, Entry, Missed, Rewound
    from tickfleet.reading.groups import GroupReader
    from tickfleet.reading.live_book import LiveBook
    from tickfleet.reading.output import OutputStreams
    from tickfleet.reading.position import Position
    from tickfleet.reading.position_store import PositionStore
    from tickfleet.reading.selection import StreamName
    from tickfleet.reading.subscriber import Subscriber
    from tickfleet.reading.tables.columns import columns
    from tickfleet.reading.trades import trades
    from tickfleet.version import VERSION as __version__  # noqa: N811 - the name that tools ask for

_HOMES = {
    "contract.events": (
        "BookDelta", "BookSnapshot", "Candle", "Event", "FeedStatus", "Gap", "Level", "Ticker", "Trade"
    ),
    "contract.identity": ("CollectorId", "DataType"),
    "errors": ("FleetError", "InvalidConfigurationError", "RedisUnreachableError"),
    "reading.coverage_reader": ("CoverageReader",),
    "reading.entries": ("Batch", "Entry", "Missed", "Rewound"),
    "reading.groups": ("GroupReader",),
    "reading.live_book": ("LiveBook",),
    "reading.output": ("OutputStreams",),
    "reading.position": ("Position",),
    "reading.position_store": ("PositionStore",),
    "reading.selection": ("StreamName",),
    "reading.subscriber": ("Subscriber",),
    "reading.tables.columns": ("columns",),
    "reading.trades": ("trades",),
}  # fmt: skip

__all__ = [
    "Batch", "BookDelta", "BookSnapshot", "Candle", "CollectorId", "CoverageReader", "DataType", "Entry", "Event",
    "FeedStatus", "FleetError", "Gap", "GroupReader", "InvalidConfigurationError", "Level", "LiveBook", "Missed",
    "OutputStreams", "Position", "PositionStore", "RedisUnreachableError", "Rewound", "StreamName", "Subscriber",
    "Ticker", "Trade", "__version__", "columns", "trades",
]  # fmt: skip


if not TYPE_CHECKING:  # else a type checker would believe in every name

    def __getattr__(name: str) -> Any:
        """What this package offers under a name, loaded now (PEP 562)."""
        if name == "__version__":
            return import_module("tickfleet.version").VERSION
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'tickfleet' has no attribute {name!r}")
        return getattr(import_module(f"tickfleet.{home}"), name)


def __dir__() -> list[str]:
    """What this package offers."""
    return __all__
