import os
from pathlib import Path

import pytest

from common.config.own_file import read_own, refuse_readable
from tickfleet.errors import InvalidConfigurationError


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "a file"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(path: Path, *, secret: bool = False) -> str:
    with pytest.raises(InvalidConfigurationError) as caught:
        read_own(path, secret=secret)
    return str(caught.value)


@pytest.mark.parametrize("secret", [False, True])
def test_the_text_without_the_mark_of_an_editor(secret: bool, tmp_path: Path) -> None:
    assert read_own(written(tmp_path, "\ufeffpünktlich\n".encode()), secret=secret) == "pünktlich\n"
    assert read_own(written(tmp_path, b""), secret=secret) == ""


def test_a_secret_may_be_read_by_nobody_else(tmp_path: Path) -> None:
    path = written(tmp_path, b"hunter2", 0o640)

    said = f"{path} holds a secret and others can read it; run: chmod 600 '{path}'"
    assert refusal(path, secret=True) == said
    with pytest.raises(InvalidConfigurationError) as caught:
        refuse_readable(path)
    assert str(caught.value) == said
    assert read_own(path) == "hunter2"


def test_another_file_may_be_read_and_not_changed(tmp_path: Path) -> None:
    path = written(tmp_path, b"x", 0o646)

    assert refusal(path) == (
        f"{path}: others may change it (-rw-r--rw-), and it says where the fleet connects to; run: chmod go-w '{path}'"
    )


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path}/none: there is no such file"
    assert refusal(tmp_path) == f"{tmp_path}: is a folder, not a file"
    assert refusal(Path("a\0b")) == "a\0b: the file cannot be read (check its permissions)"
    assert refusal(written(tmp_path, b"\xe4 \xf6")) == f"{tmp_path}/a file: is not text in UTF-8; save it as that"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"x", 0o000)

    assert refusal(path) == f"{path}: the file cannot be read (check its permissions)"
