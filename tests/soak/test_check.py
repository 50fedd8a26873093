from typing import Any

import pytest
from msgspec.structs import replace

from collector_worker.integrity.coverage_writer import IN_DOUBT
from tests.simulator.faults_dialect import OTHERS_PRICE
from tests.soak.check import (
    BookReader,
    Standstill,
    book_faults,
    candle_faults,
    followed,
    id_faults,
    joiner_faults,
    ledger_faults,
    ledger_states,
    missing_trades,
    ours,
    reader_faults,
    strange_faults,
    trade_faults,
)
from tests.support.market_items import START_NS
from tests.support.redis_faults import FOREIGN_MARK
from tests.support.stream_writer import BTC_TRADES
from tests.support.stream_writer import trade as trade_event
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import Interval, State

Fields = dict[str, str]


def trade(number: int, **other: str) -> tuple[str, Fields]:
    fields = {
        "type": "trade", "trade_id": str(number), "price": "1", "size": "2", "side": "buy", "ts_event": "5000000",
    }  # fmt: skip
    return f"5-{number}", fields | other


def gap(after: int, before: int) -> tuple[str, Fields]:
    return "9-0", {"type": "gap", "from_id": str(after), "to_id": str(before)}


RECORD = [{"id": str(number), "px": "1", "sz": "2", "side": "buy", "ts": "5"} for number in range(1, 10)]


@pytest.mark.parametrize(
    ("entries", "gaps", "complaints"),
    [
        ([trade(1), trade(2)], False, []),
        ([trade(1), trade(3)], False, ["trade 3 follows 1"]),
        ([trade(1), trade(1)], False, ["trade 1 follows 1"]),
        ([trade(2), trade(1)], False, ["trade 1 follows 2"]),
        ([trade(1), gap(1, 4), trade(4)], True, []),
        ([trade(1), gap(1, 4), trade(4)], False, ["a gap after 1 before 4"]),
        ([trade(1), gap(1, 3), trade(4)], True, ["trade 4 follows 2"]),
        ([trade(77)], False, ["trade 77 was never made"]),
    ],
)
def test_trades_are_checked_by_their_ids(entries: list[tuple[str, Fields]], gaps: bool, complaints: list[str]) -> None:
    assert trade_faults(entries, RECORD, gaps=gaps) == complaints


@pytest.mark.parametrize("wrong", [{"price": "3"}, {"size": "3"}, {"side": "sell"}, {"ts_event": "1"}])
def test_every_field_of_a_trade_is_compared(wrong: Fields) -> None:
    assert len(trade_faults([trade(1, **wrong)], RECORD)) == 1


def test_times_may_be_off_by_what_the_clock_was_off() -> None:
    early, right = trade(1, ts_event="2000000"), trade(1)
    assert trade_faults([early], RECORD, shifts_ms=[0, -3]) == trade_faults([right], RECORD, shifts_ms=[0, -3]) == []
    assert trade_faults([early], RECORD) == ["trade 1 at 2000000, it was at 5 ms"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([[]], []),
        ([[trade(1), trade(2)], [trade(3)]], [trade(1), trade(2), trade(3)]),
        ([[trade(1), trade(2)], []], [trade(1), trade(2)]),
        ([[trade(1), trade(2), gap(3, 4)], [trade(2), trade(3)]], [trade(1), trade(2), trade(3)]),
        ([[trade(4), trade(5)], [trade(5), trade(6)], [trade(4), trade(7)]], [trade(4), trade(7)]),
        ([[trade(1)], [trade(3)]], [trade(1), trade(3)]),
        ([[], [gap(1, 2)], [trade(3)]], [gap(1, 2), trade(3)]),
    ],
)
def test_what_was_deleted_counts_once(
    parts: list[list[tuple[str, Fields]]], expected: list[tuple[str, Fields]]
) -> None:
    assert followed(parts) == expected


def test_what_others_wrote_is_left_out() -> None:
    assert ours([trade(1), ("6-0", {"note": "?", FOREIGN_MARK: "1"}), trade(2)]) == [trade(1), trade(2)]


def test_ids_must_rise() -> None:
    assert id_faults([("1-1", {}), ("1-1", {}), ("2-0", {})]) == ["entry (1, 1) behind (1, 1)"]


def book(kind: str, seq: int, prev: int, bids: str = "[]") -> tuple[str, Fields]:
    return f"{seq}-0", {"type": kind, "seq": str(seq), "prev_seq": str(prev), "bids": bids, "asks": "[]"}


def test_a_book_that_chains_is_followed() -> None:
    reader = BookReader().read(
        [book("book_snapshot", 5, -1, '[["1","2"]]'), book("book_delta", 7, 5, '[["1","0"],["3","4"]]')]
    )
    record: dict[str, Any] = {"bids": [["3", "4"]], "asks": []}
    assert (reader.seq, book_faults(reader, record)) == (7, [])
    assert book_faults(reader, {"bids": [], "asks": []}) == ["the book at 7 is not the exchange's"]


def test_a_delta_after_a_doubt_is_reported() -> None:
    out_of_sync = ("6-0", {"type": "feed_status", "state": "stale"})
    reader = BookReader().read([book("book_snapshot", 5, -1), out_of_sync, book("book_delta", 7, 5)])
    assert reader.complaints == ["delta 7-0 on a doubtful book"]


def test_a_delta_that_does_not_follow_is_reported() -> None:
    reader = BookReader().read([book("book_snapshot", 5, -1), book("book_delta", 9, 8)])
    assert reader.complaints == ["delta 9-0 continues 8, the book is at 5"]


SNAPSHOT = book("book_snapshot", 5, -1, '[["1","2"]]')
DELTAS = [book("book_delta", 7, 5, '[["3","4"]]'), book("book_delta", 9, 7, '[["1","0"]]')]
AT_7 = {"stream_id": "7-0", "seq": "7", "bids": '[["3","4"],["1","2"]]', "asks": "[]"}


@pytest.mark.parametrize(
    ("written", "complaints"),
    [
        (AT_7, []),
        ({}, ["there is no book to join"]),
        (AT_7 | {"bids": '[["3","5"],["1","2"]]'}, ["who joins late has another book at 9"]),
        (AT_7 | {"stream_id": "5-0"}, ["who joins late: delta 7-0 continues 5, the book is at 7"]),
    ],
)
def test_who_joins_late_comes_to_the_same_book(written: Fields, complaints: list[str]) -> None:
    entries = [SNAPSHOT, *DELTAS]
    assert joiner_faults(written, entries, BookReader().read(entries)) == complaints


def test_nothing_of_another_instrument_and_no_bar_that_cannot_be() -> None:
    minute = 60_000_000_000
    times = {"open_time": str(minute), "close_time": str(2 * minute), "ts_recv": str(minute)}
    bar = ("7-1", {"type": "candle", "closed": "0", "close": "1"} | times)
    late = ("7-2", bar[1] | {"open_time": str(3 * minute), "close_time": str(4 * minute)})
    odd = ("7-3", bar[1] | {"open_time": str(minute + 7), "close_time": str(2 * minute + 7)})
    theirs = [trade(1, price=OTHERS_PRICE), book("book_delta", 7, 5, f'[["{OTHERS_PRICE}","1"]]')]
    assert strange_faults([bar, trade(1, size=f"1{OTHERS_PRICE}"), SNAPSHOT]) == []
    assert strange_faults([*theirs, bar, late, odd]) == [
        "entry 5-1 is of another instrument",
        "entry 7-0 is of another instrument",
        "entry 7-2 is no bar of ours",
        "entry 7-3 is no bar of ours",
    ]


def test_the_ledger_ends_in_the_past_and_calls_complete_what_is() -> None:
    known = [Interval(0, 10, State.COMPLETE), Interval(10, 20, State.LOST), Interval(20, 30, State.FILLED)]
    assert ledger_faults(known, 30, [10, 19]) == []
    assert ledger_faults(known, 29, [9, 20]) == [
        "the ledger speaks of 30, it is 29",
        "the ledger calls complete where the item of 9 is missing",
        "the ledger calls filled where the item of 20 is missing",
    ]


def test_what_nobody_could_confirm_is_not_known() -> None:
    complete, lost = Interval(0, 10, State.COMPLETE), Interval(10, 20, State.LOST, reason="not_available")
    in_doubt = Interval(20, 30, State.LOST, reason=IN_DOUBT)
    assert ledger_states([complete, lost]) == {State.COMPLETE, State.LOST}
    assert ledger_states([complete, in_doubt]) == {State.COMPLETE, State.UNKNOWN}


def test_which_trades_are_missing() -> None:
    assert missing_trades([trade(3), gap(3, 5), trade(5)], RECORD) == [RECORD[3]]
    assert missing_trades([], RECORD) == []


def test_a_stream_that_stands_still_is_not_called_running() -> None:
    standstill = Standstill()
    looks = [(0.0, "1-1", True), (15.0, "1-1", False), (19.0, "1-1", True), (38.0, "1-2", True), (57.0, "1-2", True)]
    for now_s, newest, running in looks:
        standstill.observe(now_s, newest, running=running)
    assert standstill.complaints == []
    standstill.observe(58.1, "1-2", running=True)
    standstill.observe(59.0, "1-2", running=True)
    assert standstill.complaints == ["running, but nothing came after 1-2 for 20 s"]


def test_closed_bars_come_once_each() -> None:
    def bar(minute: int, close: str = "1") -> tuple[str, Fields]:
        opened = minute * 60_000_000_000
        prices = dict.fromkeys(("open", "high", "low", "volume"), "1") | {"close": close}
        times = {"open_time": str(opened), "close_time": str(opened + 60_000_000_000)}
        return "1-1", {"type": "candle", "closed": "1"} | times | prices

    record = [[str(minute * 60_000), "1", "1", "1", "1", "1"] for minute in range(3)]
    assert candle_faults([bar(0), bar(1)], record, gaps=False) == []
    assert len(candle_faults([bar(0), bar(2)], record, gaps=False)) == 1
    assert len(candle_faults([bar(0, close="2")], record, gaps=False)) == 1


def refusal(**bounds: str) -> tuple[str, Fields]:
    return "9-0", {"type": "gap", "reason": "redis_refused", **bounds}


def test_trades_that_redis_refused_are_reported_after_later_ones() -> None:
    entries = [trade(1), trade(4), trade(5)]
    assert trade_faults([*entries, refusal(from_id="1", to_id="4")], RECORD) == []
    assert trade_faults([*entries, refusal(from_id="1", to_id="3")], RECORD) == ["trade 4 follows 1"]


def test_a_book_waits_for_a_snapshot_where_redis_refused_a_delta() -> None:
    entries = [SNAPSHOT, DELTAS[1], refusal(from_ts="1", to_ts="2"), SNAPSHOT, DELTAS[0]]
    reader = BookReader().read(entries)
    assert (reader.complaints, reader.seq) == ([], 7)
    assert BookReader().read([entry for entry in entries if entry[1]["type"] != "gap"]).complaints != []


def test_a_book_whose_stream_was_deleted_may_begin_with_a_hole() -> None:
    deleted, after = [SNAPSHOT, DELTAS[0]], [book("book_delta", 12, 11)]
    warned = BookReader({after[0][0]}).read([*deleted, *after])
    assert (warned.complaints, warned.waits) == ([], True)
    assert BookReader().read([*deleted, *after]).complaints != []
    assert not BookReader({DELTAS[1][0]}).read([*deleted, DELTAS[1]]).waits, "it joins"


@pytest.mark.parametrize(("later_ms", "expected"), [(0, []), (1, ["a reader gets trade 2 behind 3"])])
def test_a_reader_who_gets_a_trade_twice_is_complained_of(later_ms: int, expected: list[str]) -> None:
    def part(numbers: range, ms: int, ts_ms: int) -> list[tuple[str, dict[str, str]]]:
        fields = encode(replace(trade_event(1), ts_event=ts_ms * 1_000_000))
        named = {str(key): str(value) for key, value in zip(fields[::2], fields[1::2], strict=True)}
        return [(f"{ms}-{number}", {**named, "trade_id": str(number)}) for number in numbers]

    now_ms = START_NS // 1_000_000
    parts = [part(range(1, 4), now_ms, now_ms), part(range(2, 6), now_ms + 60_000, now_ms + later_ms)]
    assert reader_faults(BTC_TRADES, parts) == expected
