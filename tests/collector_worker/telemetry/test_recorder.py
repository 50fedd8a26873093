"""What was recorded can be replayed: by the reader of the simulator, after a crash too."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector_worker.telemetry.recorder import FrameRecorder
from tests.simulator.capture import Capture, CapturedAnswer, read_capture
from tests.support.clock import ManualClock
from tickfleet.contract.identity import CollectorId

BTC = CollectorId.parse("okx:BTC-USDT")
DAY_S = 24 * 3600.0


def recorder(folder: Path, clock: ManualClock, **bounds: int) -> FrameRecorder:
    return FrameRecorder(folder, BTC, clock, **bounds)


def test_a_symbol_of_another_script_has_a_folder_that_any_disk_takes(tmp_path: Path) -> None:
    raw = FrameRecorder(tmp_path, CollectorId.parse("binance:币安-USDT"), ManualClock())
    raw.sent("x")
    raw.close()
    assert [path.relative_to(tmp_path).parent for path in tmp_path.rglob("*.gz")] == [Path("binance/u5e01u5b89-USDT")]


def files(folder: Path) -> list[Path]:
    return sorted((folder / "okx" / "BTC-USDT").glob("*"))


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as lines:
        return [json.loads(line) for line in lines]


def noise(number: int) -> bytes:
    """A frame that does not compress well."""
    return str(pow(7, number + 1000)).encode()


def test_everything_in_the_order_in_which_it_happened(tmp_path: Path, clock: ManualClock) -> None:
    raw, now = recorder(tmp_path, clock), clock.now_ns()
    raw.answered("https://www.okx.com/api/v5/public/time?a=1", b'{"code":"0"}')
    clock.advance(0.001)
    raw.opened("wss://ws.okx.com/ws/v5/public")
    raw.sent('{"op":"subscribe"}')
    raw.received('{"é":1}'.encode(), now + 1_500_000)
    raw.received(b"\xff\x00", now + 1_600_000)
    raw.close()
    (path,) = files(tmp_path)
    assert path.name == "20260101T000000.000000Z.jsonl.gz"
    assert rows(path) == [
        {"ns": now, "kind": "http", "url": "https://www.okx.com/api/v5/public/time?a=1", "text": '{"code":"0"}'},
        {"ns": now + 1_000_000, "kind": "ws_open", "url": "wss://ws.okx.com/ws/v5/public"},
        {"ns": now + 1_000_000, "kind": "ws_out", "text": '{"op":"subscribe"}'},
        {"ns": now + 1_500_000, "kind": "ws_in", "text": '{"é":1}'},
        {"ns": now + 1_600_000, "kind": "ws_in", "text": "�\x00"},
    ]
    assert read_capture(path) == Capture(
        frames=[(now + 1_500_000, '{"é":1}'.encode()), (now + 1_600_000, "�\x00".encode())],
        answers=[CapturedAnswer("/api/v5/public/time", {"a": "1"}, b'{"code":"0"}')],
    )


def test_a_crash_costs_what_was_not_flushed_yet(tmp_path: Path, clock: ManualClock) -> None:
    """A cut at any byte behind a flush leaves all that came before that flush."""
    raw, flushed, frames = recorder(tmp_path, clock), {}, []
    for number in range(40):
        clock.advance(0.25)
        raw.received(noise(number)[:40], number)
        frames.append((number, noise(number)[:40]))
        size = files(tmp_path)[0].stat().st_size
        if size not in flushed:
            flushed[size] = number + 1
    (path,) = files(tmp_path)
    written = path.read_bytes()
    assert len(flushed) == 10
    cut = tmp_path / "cut.gz"
    for size in (0, *range(2, len(written) + 1)):  # of one byte nobody can say what it is
        cut.write_bytes(written[:size])
        read = read_capture(cut).frames
        due = max((count for end, count in flushed.items() if end <= size), default=0)
        assert read == frames[: len(read)]
        assert len(read) >= due
    raw.close()
    assert read_capture(path).frames == frames


def test_a_quiet_market_is_flushed_too(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock)
    raw.tick()
    raw.received(b"1", 1)
    raw.received(b"2", 2)
    (path,) = files(tmp_path)
    assert read_capture(path).frames == [(1, b"1")]
    raw.tick()
    assert read_capture(path).frames == [(1, b"1")]
    clock.advance(1.0)
    raw.tick()
    assert read_capture(path).frames == [(1, b"1"), (2, b"2")]
    raw.close()


def test_a_new_file_at_a_size(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock, file_bytes=2_000)
    for number in range(60):
        clock.advance(1.0)
        raw.received(noise(number), number)
    raw.close()
    parts = [read_capture(path).frames for path in files(tmp_path)]
    assert [frame for part in parts for frame in part] == [(number, noise(number)) for number in range(60)]
    assert len(parts) > 5
    assert all(2_000 <= path.stat().st_size < 3_000 for path in files(tmp_path)[:-1])


def test_a_new_file_at_midnight(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock)
    clock.advance(DAY_S - 1)
    raw.received(b"1", 1)
    clock.advance(1)
    raw.received(b"2", 2)
    raw.close()
    assert [(path.name, read_capture(path).frames) for path in files(tmp_path)] == [
        ("20260101T235959.000000Z.jsonl.gz", [(1, b"1")]),
        ("20260102T000000.000000Z.jsonl.gz", [(2, b"2")]),
    ]


def test_the_oldest_go_and_all_together_stay_within_the_bound(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock, file_bytes=2_000, total_bytes=10_000)
    for number in range(200):
        clock.advance(1.0)
        raw.received(noise(number), number)
        assert sum(path.stat().st_size for path in files(tmp_path)) < 11_000
    raw.close()
    kept = [frame for path in files(tmp_path) for frame in read_capture(path).frames]
    assert kept == [(number, noise(number)) for number in range(kept[0][0], 200)]
    assert 3 <= len(files(tmp_path)) <= 5


def test_a_raw_file_that_vanishes_during_cleanup_ends_no_recording(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock, file_bytes=2_000, total_bytes=4_000)
    raw.received(noise(0), 0)
    gone = tmp_path / "okx" / "BTC-USDT" / "20000101T000000.000000Z.jsonl.gz"
    gone.symlink_to(tmp_path / "nowhere")  # its name is found, but there is no file any more
    with capture_logs() as logs:
        for number in range(1, 30):
            clock.advance(1.0)
            raw.received(noise(number), number)
    raw.close()
    assert logs == []
    assert not gone.is_symlink()
    assert [number for path in files(tmp_path) for number, _ in read_capture(path).frames][-1] == 29


def test_another_run_begins_a_file_of_its_own(tmp_path: Path, clock: ManualClock) -> None:
    for number in range(3):
        clock.advance(0.001)
        raw = recorder(tmp_path, clock)
        raw.received(b"x", number)
        raw.close()
        raw.close()
    assert [read_capture(path).frames for path in files(tmp_path)] == [[(0, b"x")], [(1, b"x")], [(2, b"x")]]


def test_nothing_recorded_leaves_no_file(tmp_path: Path, clock: ManualClock) -> None:
    recorder(tmp_path, clock).close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock)
    raw.opened("wss://x")
    raw.close()
    assert (tmp_path / "okx" / "BTC-USDT").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_a_disk_that_fails_ends_the_recording_with_one_line_in_the_log(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    raw = recorder(tmp_path, clock)
    if when == "at the start":
        (tmp_path / "okx").write_text("a file where a folder should be")
    else:
        raw.received(b"1", 1)
        monkeypatch.setattr(gzip.GzipFile, "write", fail)
    with capture_logs() as logs:
        for number in range(3):
            clock.advance(1.0)
            raw.received(b"x", number)
            raw.tick()
        raw.close()
    assert [line["event"] for line in logs] == ["raw_recording_stopped"]


def test_what_somebody_removes_is_begun_anew(tmp_path: Path, clock: ManualClock) -> None:
    raw = recorder(tmp_path, clock)
    raw.sent("lost")
    clock.advance(2)
    raw.tick()
    shutil.rmtree(tmp_path / "okx")
    clock.advance(2)
    raw.tick()
    raw.sent("kept")
    raw.close()
    (path,) = files(tmp_path)
    assert [row["text"] for row in rows(path)] == ["kept"]
