import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.cli.data.export.csv_file import CsvFile, inert
from tests.support import strategies
from tests.support.stream_writer import BTC, BTC_BOOK, BTC_TRADES, snapshot, trade
from tickfleet.contract.codec import encode_levels
from tickfleet.contract.events import Event, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry
from tickfleet.reading.selection import StreamName
from tickfleet.reading.tables.layout import names, stream_columns

DATA: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.TRADE: strategies.trades,
    DataType.ORDERBOOK: strategies.snapshots | strategies.deltas,
    DataType.TICKER: strategies.tickers,
    DataType.CANDLES: strategies.candles,
}


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)]


def as_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in ("bids", "asks"):
        return encode_levels(value).decode()
    return str(value).lower() if name == "closed" else str(value)


@pytest.mark.parametrize("kind", DataType)
@given(data=st.data())
def test_what_is_read_back_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, kind: DataType, data: st.DataObject
) -> None:
    events: list[Event] = data.draw(st.lists(DATA[kind] | strategies.gaps | strategies.statuses, max_size=6))
    name = StreamName(BTC, kind, "1m" if kind is DataType.CANDLES else "")
    entries = [Entry(name, f"1-{number}", event) for number, event in enumerate(events)]
    path = tmp_path_factory.getbasetemp() / "x.csv"
    with CsvFile(path, kind) as file:
        for entry in entries:
            file.write([entry])
    header, *rows = read(path)
    columns = stream_columns(entries, kind)
    assert tuple(header) == names(kind)
    assert [dict(zip(header, row, strict=True)) for row in rows] == [
        {name: inert(as_text(name, values[number])) for name, values in columns.items()}
        for number in range(len(entries))
    ]


def test_a_file_as_a_person_sees_it(tmp_path: Path) -> None:
    with CsvFile(tmp_path / "x.csv", DataType.TRADE) as file:
        gap = Gap(ts_event=1, ts_recv=2, reason='too "old", gone')
        file.write([Entry(BTC_TRADES, "1000-7", trade(7)), Entry(BTC_TRADES, "2000-0", gap)])
    assert (tmp_path / "x.csv").read_text().splitlines() == [
        "collector,entry_id,type,ts_event,ts_recv,trade_id,price,size,side,origin,count,reason,state,from_id,to_id,"
        "from_ts,to_ts,missed",
        "okx:BTC-USDT,1000-7,trade,1767225600000000007,1767225600000000007,7,42219.9,0.5,buy,live,,,,,,,,",
        'okx:BTC-USDT,2000-0,gap,1,2,,,,,,,"too ""old"", gone",,,,,,',
    ]


@pytest.mark.parametrize(
    ("reason", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+cmd", "'+1+cmd"),
        ("-1.50", "-1.50"),
        ("+1e-7", "+1e-7"),
        ("\x1b]0;mine\x07\u009b2J\u202eb", r"\x1b]0;mine\x07\x9b2J\u202eb"),
        ("\r=cmd\n\t", r"\r=cmd\n\t"),
        ("币安 a-b", "币安 a-b"),
    ],
)
def test_a_csv_cell_is_a_command_to_no_terminal_and_no_spreadsheet(tmp_path: Path, reason: str, cell: str) -> None:
    with CsvFile(tmp_path / "x.csv", DataType.TRADE) as file:
        file.write([Entry(BTC_TRADES, "1-0", Gap(ts_event=1, ts_recv=2, reason=reason, from_id=reason))])
    header, row = read(tmp_path / "x.csv")
    assert (row[header.index("reason")], row[header.index("from_id")]) == (cell, cell)


def test_floats_where_they_are_asked_for(tmp_path: Path) -> None:
    exact = Trade(1, 2, "7", "0.10000000000000000001", "5", "buy")
    with CsvFile(tmp_path / "x.csv", DataType.TRADE, floats=True) as file:
        file.write([Entry(BTC_TRADES, "1-7", exact)])
        with pytest.raises(ValueError, match="many"):
            file.write([Entry(BTC_TRADES, "1-8", Trade(1, 2, "8", "many", "5", "buy"))])
    assert read(tmp_path / "x.csv")[1][6:8] == ["0.1", "5.0"]
    with CsvFile(tmp_path / "y.csv", DataType.ORDERBOOK, floats=True) as file:
        file.write([Entry(BTC_BOOK, "1-7", snapshot(7))])
    header, row = read(tmp_path / "y.csv")
    assert json.loads(row[header.index("bids")]) == [[99.0, 7.0], [98.0, 2.0]]
