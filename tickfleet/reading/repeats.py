"""Finds items that a stream brings a second time, under other entry ids. Pure.

After a stream was deleted, or lost by Redis, the collector fills it again with all that it cannot prove to have
published. That includes up to ten seconds of trades or closed bars that a reader may have had. Numbers tell which:
trade ids rise until the exchange numbers anew, and a ``gap`` (``id_reset``) marks that place; bars rise by their
opening. Such a gap may have been deleted too, so a trade counts as had only if it is also not later than the last one.
(A trade comes twice if the exchange's clock is more than a minute ahead of the collector's.)

In a stream of trades an entry id ends with the trade's number, and begins with its time or a later one
(``docs/contract.md``). The id of a ``gap`` or ``feed_status`` tells nothing about trades, so the ``Mark`` keeps the id
of the last trade.
"""

from collections.abc import Iterable
from typing import Protocol

from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS, Candle, Gap, Trade, closes_early_ns
from tickfleet.contract.identity import DataType
from tickfleet.reading.position import Mark, id_order, numbered
from tickfleet.reading.selection import StreamName

ID_RESET = "id_reset"
"""Reason of the gap where the exchange began to number its trades anew."""

NS_PER_MS = 1_000_000


class Item(Protocol):
    """An entry: its id, and the event in it."""

    @property
    def id(self) -> str:
        """The entry's id."""

    @property
    def event(self) -> object:
        """What it holds."""


def repeats(name: StreamName, mark: Mark, entries: Iterable[Item]) -> frozenset[str]:
    """The ids of the entries whose items were returned before, under other ids.

    Args:
        name: The stream.
        mark: Where its reader stood.
        entries: What follows in the stream.
    """
    if name.data_type is DataType.TRADE:
        last = trade_place(mark)
        return _repeated_trades(last, entries) if last else frozenset()
    if name.data_type is DataType.CANDLES and mark.item:
        return _repeated_bars(int(mark.item), entries)
    return frozenset()


def item_behind(name: StreamName, mark: Mark, entries: Iterable[Item], last_id: str) -> str:
    """The ``item`` of the mark behind ``last_id``.

    Args:
        name: The stream.
        mark: Where its reader stood.
        entries: The entries returned since then, newest first.
        last_id: The last entry read since then, returned or not; ``mark.id`` if there is none.
    """
    if name.data_type is DataType.TRADE:
        return _trade_behind(mark, entries, last_id)
    if name.data_type is DataType.CANDLES:
        return _bar_behind(entries) or mark.item
    return ""


def trade_place(mark: Mark) -> tuple[int, int] | None:
    """Time (ms) and number of the last trade up to a mark; None: not known."""
    return numbered(mark.item or mark.id)


def is_had(trade: Trade, entry_id: str, last: tuple[int, int]) -> bool:
    """Whether a trade was had before: neither its number nor its time is above the last one's."""
    place = numbered(entry_id)
    return place is not None and place[1] <= last[1] and trade.ts_event // NS_PER_MS <= last[0]


def numbers_anew(entry: Item) -> bool:
    """Whether the exchange begins a new numbering of trades behind the entry."""
    return isinstance(entry.event, Gap) and entry.event.reason == ID_RESET


def _repeated_trades(last: tuple[int, int], entries: Iterable[Item]) -> frozenset[str]:
    found: list[str] = []
    for entry in entries:
        if isinstance(entry.event, Trade) and numbered(entry.id):
            if not is_had(entry.event, entry.id, last):
                break
            found.append(entry.id)
        elif numbers_anew(entry):
            break
    return frozenset(found)


def _repeated_bars(reached_ns: int, entries: Iterable[Item]) -> frozenset[str]:
    found: list[str] = []
    for entry in entries:
        if isinstance(entry.event, Candle):
            if entry.event.open_time >= reached_ns:
                break
            found.append(entry.id)
    return frozenset(found)


def _trade_behind(mark: Mark, entries: Iterable[Item], last_id: str) -> str:
    known = mark.item or mark.id
    for entry in entries:
        if isinstance(entry.event, Trade) and numbered(entry.id):
            known = entry.id
            break
        if numbers_anew(entry):
            return ""
    last, end = numbered(known), numbered(last_id)
    return known if last and (end is None or end[1] < last[1]) else ""


def _bar_behind(entries: Iterable[Item]) -> str:
    """The opening from which on a bar is new; a running bar comes again and again until it is closed."""
    for entry in entries:
        if isinstance(entry.event, Candle):
            bar = entry.event
            if _is_due(bar, id_order(entry.id)[0]):
                return str(bar.open_time + bar.closed)
    return ""


def _is_due(bar: Candle, entry_ms: int) -> bool:
    """Whether the time of a bar had come when it was written; a bar from the future proves nothing.

    The entry's time is the exchange's time of the push (some exchanges give only the bar's opening), the time of the
    receipt, or a later one. So the receipt may be later than the entry's time by no more than clocks differ.
    """
    if min(bar.ts_event, bar.ts_recv) // NS_PER_MS > entry_ms:
        return False
    if (bar.ts_recv - MAX_CLOCK_DIFFERENCE_NS) // NS_PER_MS > entry_ms:
        return False
    due_ns = bar.close_time if bar.closed else bar.open_time
    return due_ns - bar.ts_recv <= closes_early_ns(bar.close_time - bar.open_time)
