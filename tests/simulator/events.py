"""What happens in a generated market, in the order of time. Prices are ticks, sizes lots, times Unix ms."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct


class Side(IntEnum):
    """A side of the book; for a trade, the side of the taker's order."""

    BID = 0
    ASK = 1

    @property
    def taker(self) -> str:
        """The taker's word for this side: a bid buys, an ask sells."""
        return "sell" if self else "buy"


class Level(NamedTuple):
    """All resting orders at one price."""

    price: int
    size: int
    orders: int


class Change(NamedTuple):
    """The new state of one price level; size 0 means that it is gone."""

    side: Side
    price: int
    size: int
    orders: int


class Trade(Struct, frozen=True, gc=False):
    """One match. Ids are consecutive per instrument."""

    trade_id: int
    ts_ms: int
    side: Side
    price: int
    size: int


class TakerOrder(Struct, frozen=True):
    """An order that hit the book: its matches in order, each at the best price of that moment.

    Attributes:
        instrument: Name of the instrument.
        ts_ms: Fill time.
        seq: Sequence number of the book after the order; the BookChange that follows carries it too.
        trades: At least one; prices never improve from one to the next.
    """

    instrument: str
    ts_ms: int
    seq: int
    trades: tuple[Trade, ...]


class BookChange(Struct, frozen=True):
    """One step of a book: every level appears at most once.

    Attributes:
        instrument: Name of the instrument.
        ts_ms: Time of the change.
        seq: Sequence number after it; grows by chance, or by the number of changes (Activity.level_ids).
        changes: New states of the levels touched; may be empty.
    """

    instrument: str
    ts_ms: int
    seq: int
    changes: tuple[Change, ...]


class Candle(Struct):
    """A bar of trades; amounts are in the units of Instrument.amounts. A bar without trades repeats the close.

    Attributes:
        open_ms: Start of the bar; its end is the start of the next.
        volume: Sum of sizes in lots.
        base: Sum of base amounts.
        quote: Sum of quote amounts.
        trades: Number of matches.
        first_id: Id of the first match; -1 if there is none.
        last_id: Id of the last match; -1 if there is none.
        taker_base: Part of `base` that takers bought.
        taker_quote: Part of `quote` that takers bought with.
    """

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    base: int = 0
    quote: int = 0
    trades: int = 0
    first_id: int = -1
    last_id: int = -1
    taker_base: int = 0
    taker_quote: int = 0


class CandleClosed(Struct, frozen=True):
    """A bar ended; nothing changes it any more."""

    instrument: str
    period: str
    candle: Candle


Event = TakerOrder | BookChange | CandleClosed
