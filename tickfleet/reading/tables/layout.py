"""A stream as one table: its columns and their content. Pure.

Every entry is a row, in the order of the stream; ``type`` says which fields it has, the other columns are empty.
``gap`` and ``feed_status`` from the collector are at their places between the data, so an incomplete table never looks
complete. The reader itself adds two types. ``missed``: retention had removed entries before they were read.
``rewound``: Redis came back with older data; the rows before it stay, and repeated entries have no second row.

| columns | of |
| --- | --- |
| ``collector entry_id type ts_event ts_recv`` | every row |
| the fields of the data, named as in the stream | ``trade``, ``book_snapshot book_delta``, ``ticker``, ``candle`` |
| ``reason`` | ``book_snapshot``, ``gap``, ``feed_status``, ``missed`` |
| ``state`` | ``feed_status`` |
| ``from_id to_id from_ts to_ts`` | ``gap`` |
| ``missed`` | ``missed``: how many entries, empty if unknown; its ``entry_id`` is that of the row before |

``entry_id`` is unique among all rows of a stream except ``missed`` and ``rewound``. If a reader asks for them
(``Chunk.whole``), entries that this version cannot read have the type ``unreadable`` and no fields at all.
"""

from collections.abc import Sequence
from typing import Any

from tickfleet.contract.events import BookSnapshot, Candle, FeedState, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry, Missed

_FIRST = ("collector", "entry_id", "type", "ts_event", "ts_recv")
_LAST = ("reason", "state", "from_id", "to_id", "from_ts", "to_ts", "missed")
_EVENTS = {
    DataType.TRADE: Trade,
    DataType.ORDERBOOK: BookSnapshot,  # has all that a delta has
    DataType.TICKER: Ticker,
    DataType.CANDLES: Candle,
}


def names(kind: DataType) -> tuple[str, ...]:
    """The columns of a stream of this data type, in their order."""
    own = (name for name in _EVENTS[kind].__struct_fields__ if name not in _FIRST + _LAST)
    return (*_FIRST, *own, *_LAST)


def stream_columns(entries: Sequence[Entry], kind: DataType) -> dict[str, list[Any]]:
    """The entries of streams of one data type as columns.

    Decimals are text, times integers (ns since the epoch), levels as in the event; None if a value is missing.
    """
    return {name: _column(name, entries) for name in names(kind)}


def _column(name: str, entries: Sequence[Entry]) -> list[Any]:
    events = [entry.event for entry in entries]
    match name:
        case "collector":
            return [str(entry.collector) for entry in entries]
        case "entry_id":
            return [entry.id for entry in entries]
        case "type":
            return [event.__struct_config__.tag for event in events]
        case "missed":
            return [event.count if isinstance(event, Missed) else None for event in events]
        case "count":  # that of a trade is another matter than that of what was missed
            return [event.count if isinstance(event, Trade) else None for event in events]
        case "state":
            return [state.value if isinstance(state := getattr(e, "state", None), FeedState) else None for e in events]
    return [getattr(event, name, None) for event in events]
