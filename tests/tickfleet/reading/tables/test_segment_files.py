from pathlib import Path

import pytest

from tests.support.stream_writer import BTC, BTC_TRADES
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.reading.position import Mark
from tickfleet.reading.selection import StreamName
from tickfleet.reading.tables.segment_files import SegmentFiles, day_of

PERP_BARS = StreamName(CollectorId("okx", "BTC-USDT-PERP"), DataType.CANDLES, "1m")
DAY_MS = 86_400_000


def finished(files: SegmentFiles, name: StreamName, first: str, last: str) -> Path:
    files.unfinished(name).write_text("content", encoding="utf-8")
    return files.finish(name, first, last)


def test_a_finished_file_is_found_by_the_ids_in_its_name(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, ".txt")
    path = finished(files, PERP_BARS, f"{DAY_MS}-0", f"{DAY_MS + 1}-7")
    assert path == tmp_path / "okx" / "BTC-USDT-PERP" / "candles-1m" / "1970-01-02" / "86400000-0_86400001-7.txt"
    assert path.read_text(encoding="utf-8") == "content"


def test_the_position_is_behind_the_newest_file(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, ".txt")
    assert files.position().marks == {}
    for first, last in (("1-5", "1-9"), ("1-10", "1-11"), ("6-1", "6-2")):
        finished(files, BTC_TRADES, first, last)
    for number in (9, 10):  # as text the second comes first
        finished(files, BTC_TRADES, f"{DAY_MS}-{number}", f"{DAY_MS}-{number}")
    finished(files, PERP_BARS, "7-0", "8-0")
    (tmp_path / "okx" / "BTC-USDT" / "trade" / "1970-01-03").mkdir()
    assert files.position().marks == {BTC_TRADES: Mark(f"{DAY_MS}-10"), PERP_BARS: Mark("8-0")}


def test_a_symbol_of_another_script_has_a_folder_that_any_disk_takes(tmp_path: Path) -> None:
    files, name = SegmentFiles(tmp_path, ".txt"), StreamName(CollectorId("binance", "币安-USDT"), DataType.TRADE)
    path = finished(files, name, "1-0", "2-0")
    assert path == tmp_path / "binance" / "u5e01u5b89-USDT" / "trade" / "1970-01-01" / "1-0_2-0.txt"
    assert files.position().marks == {name: Mark("2-0")}


def test_what_was_not_finished_is_gone_when_the_next_one_begins(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, ".txt")
    files.unfinished(BTC_TRADES).write_text("half", encoding="utf-8")
    files.close()
    files = SegmentFiles(tmp_path, ".txt")
    assert not files.unfinished(BTC_TRADES).exists()
    assert files.position().marks == {}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, ".txt")
    files.unfinished(BTC_TRADES).write_text("half", encoding="utf-8")
    with pytest.raises(FleetError, match="another process"):
        SegmentFiles(tmp_path, ".txt")
    assert files.unfinished(BTC_TRADES).exists()
    files.close()
    SegmentFiles(tmp_path, ".txt").close()


@pytest.mark.parametrize("name", ["trade/1970-01-01/mine.txt", "no_data/1970-01-01/1-1_2-2.txt"])
def test_a_name_that_is_none_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "okx" / BTC.symbol / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(InvalidConfigurationError):
        SegmentFiles(tmp_path, ".txt").position()


def test_days_are_those_of_utc() -> None:
    assert [day_of(f"{ms}-5") for ms in (0, DAY_MS - 1, DAY_MS)] == ["1970-01-01", "1970-01-01", "1970-01-02"]


@pytest.mark.parametrize(
    ("entry_id", "day"),
    [
        ("0-1", "1970-01-01"),
        ("253402300799999-0", "9999-12-31"),
        ("253402300800000-0", "9999-12-31"),
        (f"{2**64 - 1}-{2**64 - 1}", "9999-12-31"),
    ],
)
def test_every_id_has_a_day(entry_id: str, day: str) -> None:
    assert day_of(entry_id) == day
