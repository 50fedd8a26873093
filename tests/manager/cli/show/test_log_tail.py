import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.cli.show.log_tail import follow, last_lines

LINE = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n")


@given(st.lists(LINE), st.integers(0, 9))
def test_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], count: int) -> None:
    path = tmp_path_factory.mktemp("log") / "x.log"
    path.write_bytes(b"".join(lines))
    assert last_lines(path, count) == (b"".join(lines[len(lines) - min(count, len(lines)) :]), path.stat().st_size)


def test_a_long_file_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"".join(b"%06d\n" % number for number in range(50_000)))
    assert last_lines(path, 12_000)[0] == b"".join(b"%06d\n" % number for number in range(38_000, 50_000))


class Writer:
    """Does one thing each time the reader waits, then ends the reading."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)

    def __call__(self, seconds: float) -> None:
        assert 0 < seconds < 1
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


def read_all(added: Iterator[bytes]) -> bytes:
    """Everything until the interrupt."""
    text = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        text.writelines(added)
    return text.getvalue()


def test_follow_through_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"before\n")

    def append(text: bytes) -> Callable[[], object]:
        def write() -> None:
            with path.open("ab") as file:
                file.write(text)

        return write

    def rotate() -> None:
        append(b"last of the old\n")()
        path.rename(tmp_path / "x.log.1")
        path.write_bytes(b"first of the new\n")

    writer = Writer(
        append(b"one\n"),
        rotate,
        append(b"two\n"),
        lambda: path.rename(tmp_path / "x.log.1"),  # for a moment there is no file
        append(b"three\n"),
        lambda: path.write_bytes(b"cut\n"),
        append(b"four\n"),
    )
    expected = b"one\nlast of the old\nfirst of the new\ntwo\nthree\ncut\nfour\n"
    assert read_all(follow(path, 7, writer)) == expected
