from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies
from tests.support.stream_writer import BTC_BOOK, BTC_TRADES, ETH_TRADES, delta, snapshot, trade
from tickfleet.contract.events import (
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FeedState,
    FeedStatus,
    Gap,
    Level,
    Ticker,
    Trade,
)
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry, Missed
from tickfleet.reading.tables.layout import names, stream_columns

KINDS: dict[type[Event | Missed], set[DataType]] = {
    Trade: {DataType.TRADE},
    BookSnapshot: {DataType.ORDERBOOK},
    BookDelta: {DataType.ORDERBOOK},
    Ticker: {DataType.TICKER},
    Candle: {DataType.CANDLES},
    Gap: {*DataType},
    FeedStatus: {*DataType},
}
GAP = Gap(ts_event=1, ts_recv=2, reason="too old", from_id="7", to_ts=9)
STATUS = FeedStatus(ts_event=3, ts_recv=4, state=FeedState.STALE, reason="checksum")
MISSED = Missed(ts_event=5, ts_recv=6, count=12, after_id="1-7", before_id="1-20", reason="trimmed")


def rows(entries: list[Entry], kind: DataType) -> list[dict[str, Any]]:
    """What is in each row, without what is empty."""
    table = stream_columns(entries, kind)
    lines = zip(*table.values(), strict=True)
    return [{name: v for name, v in zip(table, line, strict=True) if v is not None} for line in lines]


@pytest.mark.parametrize("kind", DataType)
def test_every_field_of_every_event_of_a_stream_has_its_column(kind: DataType) -> None:
    fields = {name for event, kinds in KINDS.items() if kind in kinds for name in event.__struct_fields__}
    assert {*names(kind)} == {"collector", "entry_id", "type", "missed", *fields}
    assert len({*names(kind)}) == len(names(kind))


@given(st.lists(st.tuples(st.sampled_from([BTC_TRADES, ETH_TRADES]), strategies.events)))
def test_every_entry_is_one_row_with_all_of_its_fields(read: list[tuple[Any, Event]]) -> None:
    for kind in DataType:
        events = [(name, event) for name, event in read if kind in KINDS[type(event)]]
        entries = [Entry(name, f"1-{number}", event) for number, (name, event) in enumerate(events)]
        expected = []
        for entry in entries:
            event: Any = entry.event
            said = {name: getattr(event, name) for name in event.__struct_fields__}
            said = {name: v.value if isinstance(v, FeedState) else v for name, v in said.items() if v is not None}
            kind_of = {"type": event.__struct_config__.tag}
            expected.append({"collector": str(entry.collector), "entry_id": entry.id, **kind_of, **said})
        assert rows(entries, kind) == expected


def test_what_is_said_of_the_data_stands_between_it() -> None:
    events: list[Event | Missed] = [trade(7), GAP, STATUS, MISSED]
    assert rows([Entry(BTC_TRADES, "1-7", event) for event in events], DataType.TRADE)[1:] == [
        {
            "collector": "okx:BTC-USDT", "entry_id": "1-7", "type": "gap", "ts_event": 1, "ts_recv": 2,
            "reason": "too old", "from_id": "7", "to_ts": 9,
        },
        {
            "collector": "okx:BTC-USDT", "entry_id": "1-7", "type": "feed_status", "ts_event": 3, "ts_recv": 4,
            "state": "stale", "reason": "checksum",
        },
        {
            "collector": "okx:BTC-USDT", "entry_id": "1-7", "type": "missed", "ts_event": 5, "ts_recv": 6,
            "reason": "trimmed", "missed": 12,
        },
    ]  # fmt: skip


def test_a_book_has_its_levels() -> None:
    found = rows([Entry(BTC_BOOK, "1-7", snapshot(7)), Entry(BTC_BOOK, "1-8", delta(8, 7))], DataType.ORDERBOOK)
    assert [(row["type"], row["seq"], row.get("prev_seq"), row["bids"][0]) for row in found] == [
        ("book_snapshot", 7, None, Level("99", "7")),
        ("book_delta", 8, 7, Level("99", "8")),
    ]
