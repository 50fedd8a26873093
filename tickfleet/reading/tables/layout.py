"""A stream as one table: which columns it has, and what is in them. Pure.

Every entry is a row, in the order of the stream; ``type`` says which fields it has, the others are empty. So what the
collector says of its data (``gap``, ``feed_status``) is in its place between the data, and a table cannot be taken
for whole that is not. ``missed`` is what the reader says: entries that retention had removed before they were read.
So is ``rewound``: here Redis came back older; the rows before it stay, and what comes again of them has no second row.

| columns | of |
| --- | --- |
| ``collector entry_id type ts_event ts_recv`` | every row |
| the fields of the data, named as in the stream | ``trade``, ``book_snapshot book_delta``, ``ticker``, ``candle`` |
| ``reason`` | ``book_snapshot``, ``gap``, ``feed_status``, ``missed`` |
| ``state`` | ``feed_status`` |
| ``from_id to_id from_ts to_ts`` | ``gap`` |
| ``missed`` | ``missed``: how many entries, empty where that is not known; its ``entry_id`` is that of the row before |

``entry_id`` is unique among the rows of a stream that are neither ``missed`` nor ``rewound``. An entry that this
version cannot read is ``unreadable``, where a reader asks for those (``Chunk.whole``), and has no fields at all.
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

    Decimals are text, times integers (ns since the epoch), levels as in the event, and None where there is nothing.
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
