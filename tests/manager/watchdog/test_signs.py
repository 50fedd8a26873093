import os
from pathlib import Path

import pytest

from manager.watchdog.signs import Revival, alive_file, leave, pop_revival, read, revival_file, touch


def test_each_sign_is_another_one(tmp_path: Path) -> None:
    path = alive_file(tmp_path)
    signs = [read(path)]
    for _ in range(2):
        touch(path)
        signs.append(read(path))
        os.utime(path, ns=(0, 1))  # so that the next is another one however coarse the file system's clock is
    assert signs[0] == 0
    assert 1 < signs[1] <= signs[2]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o077) == (0o600, 0)


def test_a_sign_that_cannot_be_given_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        touch(alive_file(tmp_path))
    assert read(alive_file(tmp_path)) == 0


def test_a_note_is_taken_once(tmp_path: Path) -> None:
    path = revival_file(tmp_path)
    assert pop_revival(path) is None
    leave(path, Revival(pid=77, silent_s=41))
    assert (pop_revival(path), pop_revival(path)) == (Revival(pid=77, silent_s=41), None)


@pytest.mark.parametrize("text", ["", "77", "77 41 3", "77 x", "\xff", "9" * 5000])
def test_a_note_that_makes_no_sense_is_none(text: str, tmp_path: Path) -> None:
    path = revival_file(tmp_path)
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert pop_revival(path) is None
