import sys
from array import array
from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC_BOOK, BTC_TRADES, ETH_TRADES, delta, trade
from tickfleet.contract.events import BookDelta, Candle, FeedState, FeedStatus, Gap, Ticker, Trade
from tickfleet.reading.entries import Entry
from tickfleet.reading.tables.columns import columns, to_pandas, to_polars

TICKER = Ticker(ts_event=1, ts_recv=2, last="1.5", bid=None)
NAMES = st.sampled_from([BTC_TRADES, ETH_TRADES])


@given(st.lists(st.tuples(NAMES, strategies.events)))
def test_each_entry_of_the_kind_is_a_row(read: list[tuple[Any, Any]]) -> None:
    entries = [Entry(name, f"1-{number}", event) for number, (name, event) in enumerate(read)]
    mine = [entry for entry in entries if isinstance(entry.event, Trade)]
    table = columns(entries, Trade)
    assert [*table] == ["collector", "id", *Trade.__struct_fields__]
    assert table["collector"] == [str(entry.collector) for entry in mine]
    assert table["id"] == [entry.id for entry in mine]
    for name in Trade.__struct_fields__:
        assert table[name] == [getattr(entry.event, name) for entry in mine]


def test_decimals_may_be_floats_and_nothing_is_not_a_number() -> None:
    table = columns([Entry(BTC_TRADES, "1-1", TICKER)], Ticker, decimals="float")
    assert table["last"] == array("d", [1.5])
    assert isinstance(table["bid"], array)
    assert isnan(table["bid"][0])
    assert table["ts_event"] == [1]


def test_levels_and_states_are_text() -> None:
    status = FeedStatus(ts_event=1, ts_recv=2, state=FeedState.STALE, reason="checksum")
    entries = [Entry(BTC_BOOK, "1-1", status), Entry(BTC_BOOK, "1-2", delta(7, 6))]
    book, states = columns(entries, BookDelta), columns(entries, FeedStatus)
    assert (book["bids"], book["asks"], book["seq"]) == (['[["99","7"]]'], ['[["101","7"]]'], [7])
    assert (states["state"], states["reason"]) == (["stale"], ["checksum"])
    assert columns(entries, Candle)["open"] == []


# --- tables ----------------------------------------------------------------------------------------------------------

TRADES = [Entry(BTC_TRADES, "1-1", trade(7))]
GAPS = [
    Entry(BTC_TRADES, "1-1", Gap(ts_event=1, ts_recv=2, reason="x", from_ts=START_NS + 1, to_ts=START_NS + 2)),
    Entry(BTC_TRADES, "1-2", Gap(ts_event=1, ts_recv=2, reason="x", from_id="7")),
]


def test_tables_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = to_pandas(columns(TRADES, Trade, decimals="float"))
    assert (frame["price"].tolist(), frame["side"].tolist(), frame["count"].tolist()) == ([42219.9], ["buy"], [None])
    assert frame["ts_event"].tolist() == [pandas.Timestamp(START_NS + 7, tz="UTC")]
    assert to_pandas(columns(GAPS, Gap))["from_ts"].tolist() == [pandas.Timestamp(START_NS + 1, tz="UTC"), pandas.NaT]
    assert to_pandas(columns([], Trade)).dtypes.equals(to_pandas(columns(TRADES, Trade)).dtypes)


def test_tables_of_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = to_polars(columns(TRADES, Trade, decimals="float"))
    assert (frame["price"].to_list(), frame["side"].to_list(), frame["count"].to_list()) == ([42219.9], ["buy"], [None])
    assert frame.schema["ts_event"] == polars.Datetime("ns", "UTC")
    assert frame["ts_event"].dt.epoch("ns").to_list() == [START_NS + 7]
    assert to_polars(columns(GAPS, Gap))["from_ts"].dt.epoch("ns").to_list() == [START_NS + 1, None]
    assert to_polars(columns([], Trade)).schema == to_polars(columns(TRADES, Trade)).schema


@pytest.mark.parametrize("make", [to_pandas, to_polars])
def test_a_library_that_is_not_there_is_named(make: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    name = make.__name__.removeprefix("to_")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=name):
        make({"ts_event": []})
