from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stream_writer import BTC_BOOK, BTC_TRADES, ETH_TRADES
from tickfleet.errors import InvalidConfigurationError
from tickfleet.reading.position import Mark, Position, id_order
from tickfleet.reading.selection import StreamName

NUMBERS = st.integers(0, 2**64 - 1)
STREAM_MARKS = st.builds(Mark, st.builds("{}-{}".format, NUMBERS, NUMBERS), st.none() | NUMBERS)
NAMES: st.SearchStrategy[StreamName] = st.sampled_from([BTC_TRADES, ETH_TRADES, BTC_BOOK])
POSITIONS = st.builds(Position, st.dictionaries(NAMES, STREAM_MARKS))


@given(POSITIONS)
def test_it_survives_being_written_down(position: Position) -> None:
    assert Position.from_json(position.to_json()) == Position.from_fields(position.fields()) == position
    assert bool(position) is bool(position.marks)


def test_it_can_be_read_by_people() -> None:
    position = Position({BTC_TRADES: Mark("17-4", 12), ETH_TRADES: Mark("5-0")})
    assert position.fields() == {
        "md:v1:{okx:BTC-USDT}:trade": '{"id":"17-4","added":12}',
        "md:v1:{okx:ETH-USDT}:trade": '{"id":"5-0"}',
    }


def test_a_file_holds_the_position_that_was_saved_last(tmp_path: Path) -> None:
    path, position = tmp_path / "position.json", Position({BTC_TRADES: Mark("17-4", 12)})
    assert Position.load(path) == Position()
    Position({BTC_TRADES: Mark("16-0", 11)}).save(path)
    position.save(path)
    assert Position.load(path) == position
    assert [each.name for each in tmp_path.iterdir()] == ["position.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"md:v1:{okx:BTC-USDT}:trade": 5}',
        '{"md:v1:{okx:BTC-USDT}:trade": "{}"}',
        '{"md:v1:{okx:BTC-USDT}:trade": "{\\"id\\":\\"new\\"}"}',
        '{"md:v1:{okx:BTC-USDT}:candles:1m": "{\\"id\\":\\"1-1\\",\\"item\\":\\"5-3\\"}"}',
        '{"md:v1:{okx:BTC-USDT}:heartbeat": "{\\"id\\":\\"1-1\\"}"}',
        "\udcff",
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "position.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidConfigurationError, match=r"position\.json: "):
        Position.load(path)


def test_ids_are_ordered_by_their_numbers() -> None:
    ids = ["2-0", "10-1", "9-18446744073709551615", "10", "10-10", "10-9"]
    assert sorted(ids, key=id_order) == ["2-0", "9-18446744073709551615", "10", "10-1", "10-9", "10-10"]


@pytest.mark.parametrize("text", ["", "-", "new", "1-", "-1", "1-1-1", "1.0", " 1", "\uff11-1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an entry id"):
        id_order(text)
