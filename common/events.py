"""The normalised events: what goes into the streams, and what each word means.

Every event: ``ts_event`` is the exchange's time, ``ts_recv`` the moment the frame was read from the socket, both
integer nanoseconds since the Unix epoch, UTC. Prices and sizes are decimal strings with the exchange's own digits.
``None`` means that the exchange did not say; such a field is left out of the entry.

Sizes are in the exchange's unit: the base currency for spot, contracts for derivatives (the ``:instrument`` hash
holds the contract value). ``side`` is the taker's side. A level whose size is ``"0"`` is to be removed.
"""

from enum import Enum
from typing import Literal

from msgspec import Struct


class Level(Struct, frozen=True, array_like=True, gc=False):
    """One price level; ``["42219.9","1.5"]`` in JSON. Further elements that an exchange adds are skipped."""

    price: str
    size: str


class Trade(Struct, frozen=True, tag="trade", tag_field="type", gc=False):
    """One match (or one aggregate of ``count`` matches of one taker order, where the channel gives those).

    ``side`` is the taker's: a ``buy`` was matched at the ask.
    """

    ts_event: int
    ts_recv: int
    trade_id: str
    price: str
    size: str
    side: Literal["buy", "sell"]
    origin: Literal["live", "backfill"] = "live"
    count: str | None = None


class BookSnapshot(Struct, frozen=True, kw_only=True, tag="book_snapshot", tag_field="type"):
    """The whole book, best price first on both sides. It replaces all that was known.

    ``reason``: ``subscribe`` (first one of a run), ``reconnect``, ``sequence_gap``, ``checksum``, ``crossed``,
    ``bad_level``, ``buffer_full`` (deltas before it found no room while Redis was away), or ``push`` on channels that
    always send the whole book.
    """

    ts_event: int
    ts_recv: int
    bids: list[Level]
    asks: list[Level]
    reason: str
    seq: int | None = None
    prev_seq: int | None = None


class BookDelta(Struct, frozen=True, kw_only=True, tag="book_delta", tag_field="type"):
    """The levels that changed since ``prev_seq``; both sides may be empty (a sign of life of a quiet book)."""

    ts_event: int
    ts_recv: int
    bids: list[Level]
    asks: list[Level]
    seq: int | None = None
    prev_seq: int | None = None


class Ticker(Struct, frozen=True, kw_only=True, tag="ticker", tag_field="type", gc=False):
    """The latest figures, each push complete in itself. 24 h figures roll; volumes are in the units of sizes."""

    ts_event: int
    ts_recv: int
    last: str | None = None
    last_size: str | None = None
    bid: str | None = None
    bid_size: str | None = None
    ask: str | None = None
    ask_size: str | None = None
    open_24h: str | None = None
    high_24h: str | None = None
    low_24h: str | None = None
    volume_24h: str | None = None
    quote_volume_24h: str | None = None


class Candle(Struct, frozen=True, kw_only=True, tag="candle", tag_field="type", gc=False):
    """One bar. ``open_time`` and ``close_time`` in ns, the end exclusive: it is the next bar's start.

    ``ts_event`` is the bar's open time where the exchange gives no time of the push. A bar with ``closed`` true is
    final and comes once; before it the running bar may come many times.
    """

    ts_event: int
    ts_recv: int
    interval: str
    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None = None
    closed: bool = False


class Gap(Struct, frozen=True, kw_only=True, tag="gap", tag_field="type"):
    """Data that is missing for good: between two trade ids (exclusive), or between two times (ns)."""

    ts_event: int
    ts_recv: int
    reason: str
    from_id: str | None = None
    to_id: str | None = None
    from_ts: int | None = None
    to_ts: int | None = None


class FeedState(Enum):
    """State of a feed as a reader of the stream should see it."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    STALE = "stale"
    RESYNCED = "resynced"


class FeedStatus(Struct, frozen=True, kw_only=True, tag="feed_status", tag_field="type"):
    """A change in the state of the feed, in its place in the stream. Its times are the collector's own clock."""

    ts_event: int
    ts_recv: int
    state: FeedState
    reason: str


Event = Trade | BookSnapshot | BookDelta | Ticker | Candle | Gap | FeedStatus
"""Whatever can stand in a data stream."""
