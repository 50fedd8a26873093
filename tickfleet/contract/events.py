"""The normalised events in the streams, and the meaning of each field.

Every event: ``ts_event`` is the exchange's time, ``ts_recv`` the moment the frame was read from the socket, both
integer nanoseconds since the Unix epoch, UTC. Prices and sizes are decimal strings with the exchange's own digits.
``None`` means that the exchange did not say; such a field is left out of the entry.

Sizes are in the exchange's unit: the base currency for spot, contracts for derivatives (the ``:instrument`` hash
holds the contract value). ``side`` is the taker's side. A size of ``"0"`` means: remove the level.
"""

from enum import Enum
from typing import Annotated, Literal

from msgspec import Meta, Struct

LATEST_NS = 2**63 - 1
"""In the year 2262: the last time that 64 bits hold, in which tables and other languages keep it. The first is 0."""

MAX_CLOCK_DIFFERENCE_NS = 60 * 1_000_000_000
"""How much the clocks of two machines may differ, an exchange's included; what lies further ahead is not believed."""

CLOSES_EARLY_NS = 2_000_000_000
"""Clocks differ by less than this as a rule: a bar that is called closed earlier before its end needs a proof."""

ExchangeNs = Annotated[int, Meta(ge=0, le=LATEST_NS, description="The exchange's time, ns since the Unix epoch, UTC.")]
RecvNs = Annotated[
    int, Meta(ge=0, le=LATEST_NS, description="When the frame was read from the socket, ns since the Unix epoch, UTC.")
]
DecimalText = Annotated[str, Meta(extra_json_schema={"format": "decimal"})]
"""A decimal number with the exchange's own digits. ``tickfleet.contract.codec`` checks it."""
Ns = Annotated[int, Meta(ge=0, le=LATEST_NS)]
"""Another time."""
Number = Annotated[int, Meta(ge=-LATEST_NS, le=LATEST_NS)]
"""The exchange's number of a state. The bounds hold for what is decoded, not for what a collector makes."""

TIMES = frozenset({"ts_event", "ts_recv", "open_time", "close_time", "from_ts", "to_ts"})
"""The fields of all events that hold a time."""
INTEGERS = frozenset({"seq", "prev_seq"})
"""Those that hold another number of 64 bits."""
PRICES = frozenset(
    {"price", "last", "bid", "ask", *("open", "high", "low", "close"), *("open_24h", "high_24h", "low_24h")}
)
AMOUNTS = frozenset(
    {"size", "last_size", "bid_size", "ask_size", *("volume", "quote_volume", "volume_24h", "quote_volume_24h")}
)
LEVELS = ("bids", "asks")
"""Those that hold levels."""
DECIMALS = PRICES | AMOUNTS
"""Those that hold a decimal number as text; only prices may be below 0."""


class Level(Struct, frozen=True, array_like=True, gc=False):
    """One price level; ``["42219.9","1.5"]`` in JSON. Further elements that an exchange adds are skipped."""

    price: DecimalText
    size: DecimalText


class Trade(Struct, frozen=True, tag="trade", tag_field="type", gc=False):
    """One match (or one aggregate of ``count`` matches of one taker order, where the channel gives those).

    Attributes:
        trade_id: The exchange's own id; if ids are numbers, it is also the second half of the entry's id.
        size: In the exchange's unit: the base currency for spot, contracts for derivatives.
        side: The taker's: a ``buy`` was matched at the ask.
        origin: ``backfill`` if the trade was missed at first and fetched later.
        count: How many matches the exchange has merged into this trade, if it merges any.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    trade_id: str
    price: DecimalText
    size: DecimalText
    side: Literal["buy", "sell"]
    origin: Literal["live", "backfill"] = "live"
    count: str | None = None


class BookSnapshot(Struct, frozen=True, kw_only=True, tag="book_snapshot", tag_field="type"):
    """The whole book. It replaces the book before.

    Attributes:
        bids, asks: All levels, best price first.
        reason: ``subscribe`` (first one of a run), ``reconnect``, ``sequence_gap``, ``checksum``, ``crossed``,
            ``bad_level``, ``too_many_levels``, ``out_of_range`` and ``reseed`` (few of the book's first levels are
            left), ``buffer_full`` (there was no room for the deltas before it while Redis was away), or ``push`` on
            channels that always send the whole book.
        seq: The exchange's number of this state, if it gives one.
        prev_seq: The exchange's number of the state before.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    bids: list[Level]
    asks: list[Level]
    reason: str
    seq: Number | None = None
    prev_seq: Number | None = None


class BookDelta(Struct, frozen=True, kw_only=True, tag="book_delta", tag_field="type"):
    """The levels that changed; both sides may be empty (a sign of life of a quiet book).

    Attributes:
        bids, asks: Changed levels, best price first; a size of ``"0"`` removes the level.
        seq: The exchange's number of the state after the change, if it gives one.
        prev_seq: The number of the state before. If it is not the ``seq`` of the entry before, something is missing.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    bids: list[Level]
    asks: list[Level]
    seq: Number | None = None
    prev_seq: Number | None = None


class Ticker(Struct, frozen=True, kw_only=True, tag="ticker", tag_field="type", gc=False):
    """The latest figures, each push complete in itself. A figure that the exchange does not give is absent.

    Attributes:
        last, last_size: The last trade.
        bid, bid_size, ask, ask_size: The best levels.
        open_24h, high_24h, low_24h: Over the last 24 hours, rolling.
        volume_24h: In the unit of sizes, over the same time.
        quote_volume_24h: In the quote currency, over the same time.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    last: DecimalText | None = None
    last_size: DecimalText | None = None
    bid: DecimalText | None = None
    bid_size: DecimalText | None = None
    ask: DecimalText | None = None
    ask_size: DecimalText | None = None
    open_24h: DecimalText | None = None
    high_24h: DecimalText | None = None
    low_24h: DecimalText | None = None
    volume_24h: DecimalText | None = None
    quote_volume_24h: DecimalText | None = None


class Candle(Struct, frozen=True, kw_only=True, tag="candle", tag_field="type", gc=False):
    """One bar; a running bar may come many times before it is closed.

    Attributes:
        ts_event: The exchange's time of the push, ns since the Unix epoch; the bar's open time if it gives none.
        interval: ``1m``, ``5m``, ``1h`` and so on.
        open_time: Start of the bar, ns since the Unix epoch.
        close_time: End of the bar, exclusive: the next bar's start, ns since the Unix epoch.
        volume: In the unit of sizes.
        quote_volume: In the quote currency.
        closed: The bar is final; a closed bar comes once.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    interval: str
    open_time: Ns
    close_time: Ns
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText
    quote_volume: DecimalText | None = None
    closed: bool = False


def closes_early_ns(length_ns: int) -> int:
    """How long before its end a bar of this length may be marked closed; never before it opens."""
    return min(CLOSES_EARLY_NS, length_ns // 2)


class Gap(Struct, frozen=True, kw_only=True, tag="gap", tag_field="type"):
    """Marks data that is missing for good, at its place in the stream: between two trade ids or two times.

    Attributes:
        ts_event, ts_recv: When it was written, by the collector's own clock, ns since the Unix epoch.
        reason: Why; with ``id_reset`` the exchange began to number its trades anew here.
        from_id, to_id: The trades on either side; they are not missing themselves.
        from_ts, to_ts: The times on either side, ns since the Unix epoch.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    reason: str
    from_id: str | None = None
    to_id: str | None = None
    from_ts: Ns | None = None
    to_ts: Ns | None = None


class FeedState(Enum):
    """The state of a feed, for readers of the stream."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    STALE = "stale"
    RESYNCED = "resynced"


class FeedStatus(Struct, frozen=True, kw_only=True, tag="feed_status", tag_field="type"):
    """A change in the state of the feed, in its place in the stream.

    Attributes:
        ts_event, ts_recv: When the collector noticed it, by its own clock, ns since the Unix epoch.
        state: While it is ``disconnected`` or ``stale``, earlier data is old: do not rely on a book.
        reason: What happened, in a word.
    """

    ts_event: ExchangeNs
    ts_recv: RecvNs
    state: FeedState
    reason: str


Event = Trade | BookSnapshot | BookDelta | Ticker | Candle | Gap | FeedStatus
"""Whatever can stand in a data stream."""
