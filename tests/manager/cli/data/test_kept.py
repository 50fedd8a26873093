import pytest

from manager.cli.data.kept import KeptData, Removed, kept_data, read_on, removed
from tickfleet.contract.coverage import Interval, State

ROWS = [
    ("5-0", {"type": "feed_status", "ts_event": "5000000", "ts_recv": "5000000"}),
    ("7-3", {"type": "trade", "ts_event": "7000000", "ts_recv": "6900000"}),
    ("8-4", {"type": "trade", "ts_event": "8000000", "ts_recv": "8000000"}),
]


@pytest.mark.parametrize(
    ("info", "kept"),
    [
        ({"length": 3}, KeptData(6_900_000, 0)),
        ({"length": 10}, KeptData(6_900_000, 0, full=True)),
        ({"length": 3, "max-deleted-entry-id": "7-2"}, KeptData(6_900_000, 0)),
        ({"length": 3, "max-deleted-entry-id": "7-4"}, KeptData(6_900_000, 8_000_000)),
        ({"length": 3, "max-deleted-entry-id": "9-0"}, KeptData(6_900_000, 10_000_000)),
    ],
)
def test_what_a_stream_keeps(info: dict[str, object], kept: KeptData) -> None:
    assert kept_data(info, ROWS, 10) == kept


def test_a_bar_is_kept_from_its_opening() -> None:
    assert kept_data({}, [("90-0", {"type": "candle", "open_time": "60", "ts_event": "90"})], 10) == KeptData(60)


def test_where_there_is_no_data_nothing_is_kept() -> None:
    for rows in ([], ROWS[:1], [("1-0", {"note": "somebody's"})], [("1-0", {"type": "trade", "ts_event": "x"})]):
        assert kept_data({"length": 1}, rows, 10) == KeptData()


def test_what_is_read_up_to_the_first_data() -> None:
    markers = [(f"{ms}-0", ROWS[0][1]) for ms in range(100)]
    assert read_on(markers) == "99-0"
    assert read_on([*markers[1:], ROWS[1]]) is None, "there is data"
    assert read_on(markers[1:]) is None, "there is no more"
    assert read_on([]) is None


def test_what_was_removed_of_what_was_published() -> None:
    parts = [
        Interval(0, 10, State.COMPLETE),
        Interval(10, 20, State.FILLED),
        Interval(20, 30, State.LOST),
        Interval(30, 50, State.COMPLETE),
    ]
    assert removed(parts, KeptData(0)) == []
    assert removed(parts, KeptData(15)) == [Removed(0, 15, whole=True)]
    assert removed(parts, KeptData(25)) == [Removed(0, 20, whole=True)]
    assert removed(parts, KeptData(35, 40)) == [
        Removed(0, 20, whole=True),
        Removed(30, 35, whole=True),
        Removed(35, 40, whole=False),
    ]
    assert removed(parts, KeptData()) == [Removed(0, 20, whole=True), Removed(30, 50, whole=True)]
