import gzip
import json
from pathlib import Path

import pytest

from tests.simulator.capture import Capture, CapturedAnswer, CaptureError, read_capture

_ROWS = [
    {"ns": 1, "kind": "http", "url": "https://x/api/v5/public/instruments?instType=SPOT", "text": '{"code":"0"}'},
    {"ns": 2, "kind": "ws_open", "url": "wss://x/ws/v5/public"},
    {"ns": 3, "kind": "ws_out", "text": "ping"},
    {"ns": 4, "kind": "ws_in", "text": '{"px":"1.10", "é":1}'},
]


def _write(path: Path, lines: list[str]) -> Path:
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return path


def test_incoming_side_is_kept_byte_for_byte(tmp_path: Path) -> None:
    path = _write(tmp_path / "c.jsonl.gz", [json.dumps(row) for row in _ROWS])

    assert read_capture(path) == Capture(
        frames=[(4, '{"px":"1.10", "é":1}'.encode())],
        answers=[CapturedAnswer("/api/v5/public/instruments", {"instType": "SPOT"}, b'{"code":"0"}')],
    )


@pytest.mark.parametrize("line", ["not json", "{}", '{"ns":"1","kind":"ws_in"}', '{"ns":1,"kind":"other"}', ""])
def test_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = _write(tmp_path / "c.jsonl.gz", [json.dumps(_ROWS[2]), line])

    with pytest.raises(CaptureError, match="line 2"):
        read_capture(path)


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    rows = [{"ns": ns, "kind": "ws_in", "text": str(ns**9)} for ns in range(40)]
    whole = _write(tmp_path / "whole", [json.dumps(row) for row in rows]).read_bytes()
    frames = [(ns, str(ns**9).encode()) for ns in range(40)]
    cut = tmp_path / "cut"
    read = []
    for size in (0, *range(2, len(whole) + 1)):  # of one byte nobody can say what it is
        cut.write_bytes(whole[:size])
        capture = read_capture(cut)
        assert capture == Capture(frames=frames[: len(capture.frames)])
        read.append(len(capture.frames))
    assert (read[0], read[-1], read) == (0, 40, sorted(read))


def test_the_files_of_a_folder_follow_each_other(tmp_path: Path) -> None:
    rows = [json.dumps({"ns": ns, "kind": "ws_in", "text": str(ns**9)}) for ns in range(30)]
    _write(tmp_path / "20260102T000000.000000Z.jsonl.gz", rows[20:])
    _write(tmp_path / "20260101T000000.000000Z.jsonl.gz", rows[:10])
    cut = _write(tmp_path / "20260101T120000.000000Z.jsonl.gz", rows[10:20])
    cut.write_bytes(cut.read_bytes()[:-8])  # its recorder was killed before it could end the file
    (tmp_path / "other.txt").write_text("")

    frames = [int(ns) for ns, _ in read_capture(tmp_path).frames]
    assert frames == [*range(30)]


def test_missing_foreign_and_damaged_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("{}")
    whole = _write(tmp_path / "whole", [json.dumps(row) for row in _ROWS]).read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(whole[:-6] + bytes(4) + whole[-2:])

    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "none", plain, damaged, empty):
        with pytest.raises(CaptureError) as caught:
            read_capture(path)
        assert "\n" not in str(caught.value)
