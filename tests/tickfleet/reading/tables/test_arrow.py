import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC, BTC_BOOK, BTC_TRADES, delta, snapshot, trade
from tickfleet.contract.codec import encode_levels
from tickfleet.contract.events import BookDelta, Candle, Event, FeedStatus, Gap, Level, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry, Missed
from tickfleet.reading.selection import StreamName
from tickfleet.reading.tables import arrow
from tickfleet.reading.tables.arrow import ParquetFile, schema, table, to_arrow
from tickfleet.reading.tables.columns import columns
from tickfleet.reading.tables.layout import names, stream_columns

TRADES = [Entry(BTC_TRADES, "1-1", trade(7))]
GAP = Gap(ts_event=1, ts_recv=2, reason="x", from_ts=START_NS + 1, to_ts=START_NS + 2)
DATA: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.TRADE: strategies.trades,
    DataType.ORDERBOOK: strategies.snapshots | strategies.deltas,
    DataType.TICKER: strategies.tickers,
    DataType.CANDLES: strategies.candles,
}
TIMES = {"ts_event", "ts_recv", "open_time", "close_time", "from_ts", "to_ts"}


def entries_of(kind: DataType, events: list[Event]) -> list[Entry]:
    name = StreamName(BTC, kind, "1m" if kind is DataType.CANDLES else "")
    return [Entry(name, f"1-{number}", event) for number, event in enumerate(events)]


def plain(found: Any) -> dict[str, list[Any]]:
    """A table as ``stream_columns`` has it: times as ns, levels as levels."""
    values = {name: found[name] for name in found.schema.names}
    lists = {name: (v.cast(pyarrow.int64()) if name in TIMES else v).to_pylist() for name, v in values.items()}
    for side in {"bids", "asks"} & {*lists}:
        lists[side] = [rows and [Level(**row) for row in rows] for rows in lists[side]]
    return lists


@pytest.mark.parametrize("kind", DataType)
@given(data=st.data())
def test_a_table_holds_what_was_read(kind: DataType, data: st.DataObject) -> None:
    one = DATA[kind] | strategies.gaps | strategies.statuses
    entries = entries_of(kind, data.draw(st.lists(one, max_size=8)))
    found = table(entries, kind)
    assert found.schema == schema(kind)
    assert plain(found) == stream_columns(entries, kind)


def test_the_types_of_the_columns() -> None:
    text, number, time = pyarrow.string(), pyarrow.int64(), pyarrow.timestamp("ns", tz="UTC")
    special = {
        **dict.fromkeys(TIMES, time),
        **dict.fromkeys(("seq", "prev_seq", "missed"), number),
        "closed": pyarrow.bool_(),
        **dict.fromkeys(("bids", "asks"), pyarrow.list_(pyarrow.struct([("price", text), ("size", text)]))),
    }
    for kind in DataType:
        assert {field.name: field.type for field in schema(kind)} == {n: special.get(n, text) for n in names(kind)}


def test_decimals_are_text_numbers_or_doubles() -> None:
    assert table(TRADES, DataType.TRADE)["price"].to_pylist() == ["42219.9"]
    assert table(TRADES, DataType.TRADE, decimals="decimal")["price"].to_pylist() == [Decimal("42219.9")]
    assert table(TRADES, DataType.TRADE, decimals="float")["price"].to_pylist() == [42219.9]
    book = [Entry(BTC_BOOK, "1-1", snapshot(7))]
    for decimals, price in (("decimal", Decimal(99)), ("float", 99.0)):
        found = table(book, DataType.ORDERBOOK, decimals=decimals)  # type: ignore[arg-type]  # of the table above
        assert found["bids"].to_pylist()[0][0] == {"price": price, "size": type(price)(7)}


@pytest.mark.parametrize("wrong", ["1.0000000000000000001", "123456789012345678901", "many", ""])
def test_a_number_is_never_changed_in_silence(wrong: str) -> None:
    entries = [Entry(BTC_TRADES, "1-1", Trade(1, 2, "7", wrong, "1", "buy"))]
    with pytest.raises(ValueError, match=r".+"):
        table(entries, DataType.TRADE, decimals="decimal")
    assert table(entries, DataType.TRADE)["price"].to_pylist() == [wrong]


def test_a_number_beyond_64_bits_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        table([Entry(BTC_BOOK, "1-1", delta(2**63, 1))], DataType.ORDERBOOK)


def test_a_file_holds_all_in_groups_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "ROW_GROUP_BYTES", 2 * table(TRADES, DataType.TRADE).nbytes)
    path = tmp_path / "x.parquet"
    with ParquetFile(path, DataType.TRADE) as file:
        for number in range(5):
            file.write([Entry(BTC_TRADES, f"1-{number}", trade(number))])
        file.write([])
    read = pyarrow.parquet.ParquetFile(path)
    assert [read.metadata.row_group(number).num_rows for number in range(read.num_row_groups)] == [2, 2, 1]
    assert read.read().schema == schema(DataType.TRADE)
    assert read.read()["entry_id"].to_pylist() == [f"1-{number}" for number in range(5)]


def test_a_file_of_nothing_has_its_columns(tmp_path: Path) -> None:
    with ParquetFile(tmp_path / "x.parquet", DataType.TICKER):
        pass
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet") == schema(DataType.TICKER).empty_table()


# --- columns of one kind of event ------------------------------------------------------------------------------------


def test_columns_become_a_table() -> None:
    found = to_arrow(columns(TRADES, Trade, decimals="float"))
    assert (found["price"].to_pylist(), found["side"].to_pylist()) == ([42219.9], ["buy"])
    assert found.schema.field("ts_event").type == pyarrow.timestamp("ns", tz="UTC")
    assert found["ts_event"].cast(pyarrow.int64()).to_pylist() == [START_NS + 7]
    assert to_arrow(columns([Entry(BTC_TRADES, "1-1", GAP)], Gap))["to_id"].to_pylist() == [None]
    book = to_arrow(columns([Entry(BTC_BOOK, "1-1", delta(7, 6))], BookDelta))
    assert (book["bids"].to_pylist(), book["seq"].to_pylist()) == ([encode_levels([Level("99", "7")]).decode()], [7])
    missed = Missed(ts_event=1, ts_recv=2, count=3, after_id="1-1", before_id="1-5", reason="trimmed")
    assert to_arrow(columns([Entry(BTC_TRADES, "1-1", missed)], Missed))["count"].to_pylist() == [3]


def test_tables_of_one_kind_of_event_have_one_schema() -> None:
    for kind in (Trade, Gap, Candle, Ticker, BookDelta, FeedStatus, Missed):
        assert to_arrow(columns([], kind)).schema.names == ["collector", "id", *kind.__struct_fields__]
    assert to_arrow(columns([], Trade)).schema == to_arrow(columns(TRADES, Trade)).schema


def test_without_pyarrow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for ask in (
        lambda: to_arrow({}),
        lambda: schema(DataType.TRADE),
        lambda: table([], DataType.TRADE),
        lambda: ParquetFile(tmp_path / "x", DataType.TRADE),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"^pyarrow is not installed; .*tickfleet\[parquet\]"):
            ask()
    assert [*tmp_path.iterdir()] == []
