from typing import Any

import pytest

from tests.soak.check_readers import BookSeen, Handed, handed_faults, live_book_faults
from tests.support.stream_writer import BTC_TRADES, levels, trade, trade_id
from tickfleet.reading.entries import Entry, missed

RECORD: list[dict[str, Any]] = [
    {"id": number, "px": trade(number).price, "sz": trade(number).size} for number in range(9)
]
GONE = missed(BTC_TRADES, 1, "1-1", "1-3", "trimmed", 7)


def handed(*numbers: int, told: bool = False) -> Handed:
    taken = Handed()
    taken.note(Entry(BTC_TRADES, trade_id(number), trade(number)) for number in numbers)
    taken.note([GONE] if told else [])
    return taken


@pytest.mark.parametrize(
    ("taken", "once", "complaints"),
    [
        (handed(1, 2, 3), True, []),
        (handed(1, 3), True, ["it does not get trade 2"]),
        (handed(1, 3, told=True), True, []),
        (handed(2, 3), True, []),
        (handed(), True, ["it does not get trade 1", "it does not get trade 2", "it does not get trade 3"]),
        (handed(1, 2, 2, 3), True, ["it gets trade 2 behind 2"]),
        (handed(1, 3, 2), True, ["it gets trade 2 behind 3"]),
        (handed(1, 2, 2, 3), False, []),
    ],
)
def test_good_trades_come_once_and_what_does_not_come_is_told(taken: Handed, once: bool, complaints: list[str]) -> None:
    assert handed_faults("it", taken, {1, 2, 3}, RECORD, once=once) == complaints


def test_trades_come_as_they_were() -> None:
    record = [*RECORD[:2], {**RECORD[2], "px": "8"}]
    complaints = handed_faults("it", handed(1, 2, 12), [], record, once=True)
    assert [line.split(" as ")[0] for line in complaints] == ["it gets trade 2", "it gets trade 12"]


@pytest.mark.parametrize(
    ("record", "shown", "is_true"),
    [
        ({"bids": [["9", "1"], ["8", "1"]], "asks": [["10", "2"]]}, 2, True),
        ({"bids": [["9", "1"], ["7", "1"]], "asks": [["10", "2"]]}, 2, False),
        ({"bids": [["9", "1"], ["7", "1"]], "asks": [["10", "2"]]}, 1, True),
        ({"bids": [["9", "1"], ["8", "1"]], "asks": [["10", "3"]]}, 1, False),
        (None, 1, False),
    ],
)
def test_a_live_book_shows_the_exchanges(record: Any, shown: int, is_true: bool) -> None:
    seen = [BookSeen(7, levels("9 1", "8 1"), levels("10 2"))]
    expected = [] if is_true else ["a live book calls valid at 7 what is not the exchange's book"]
    assert live_book_faults(seen, {7: record}.get, shown) == expected
