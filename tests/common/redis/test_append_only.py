"""What is cut off an append-only file, and what is not; the files are written as Redis writes them."""

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from common.redis.append_only import (
    Cut,
    DamagedError,
    Scan,
    cuts,
    damaged,
    files,
    files_of,
    mend,
    scan,
    scan_end,
    take_cuts,
)

NOW = 1_700_000_000_000_000_000
NAME = "appendonly.aof.1.incr.aof"
DUMP = b"VALKEY080\xff12345678"


def command(*parts: str | bytes) -> bytes:
    encoded = [word.encode() if isinstance(word, str) else word for word in parts]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


SET = command("SET", "k", b"\r\n*1\r\n\x00")
MULTI, EXEC = command("MULTI"), command("exec")


def dump_end(path: Path) -> int:
    if not path.read_bytes().startswith(DUMP):
        raise DamagedError(f"the base {path} is damaged")
    return len(DUMP)


def server(folder: Path, *contents: bytes, base: bytes = DUMP) -> list[Path]:
    """The folder of a server, with a base and files of commands."""
    inside = folder / "appendonlydir"
    inside.mkdir()
    names = [f"appendonly.aof.{number}.incr.aof" for number, _ in enumerate(contents, 1)]
    lines = ["file appendonly.aof.1.base.rdb seq 1 type b", "file old.incr.aof seq 1 type h"]
    lines += [f"file {name} seq {number} type i" for number, name in enumerate(names, 1)]
    (inside / "appendonly.aof.manifest").write_text("\n".join(lines) + "\n")
    (inside / "appendonly.aof.1.base.rdb").write_bytes(base)
    for name, content in zip(names, contents, strict=True):
        (inside / name).write_bytes(content)
    return [inside / name for name in names]


@pytest.mark.parametrize(
    ("data", "end", "bad", "goes_on"),
    [
        (b"", 0, 0, False),
        (SET + SET, 2 * len(SET), 2 * len(SET), False),
        (b"#TS:1700000000\r\n" + SET, 16 + len(SET), 16 + len(SET), False),
        (SET + b"\0" * 12, len(SET), len(SET), False),
        (SET + SET[:-1], len(SET), len(SET), False),
        (SET + MULTI + SET, len(SET), len(SET + MULTI + SET), False),
        (SET + MULTI + SET + SET[:5], len(SET), len(SET + MULTI + SET), False),
        (MULTI + SET + EXEC + b"*0\r\n", len(MULTI + SET + EXEC), len(MULTI + SET + EXEC), False),
        (SET + b"\0" * 12 + SET, len(SET), len(SET), True),
        (b"*1\r\n$-1\r\n" + SET, 0, 0, True),
        (b"*9999999999\r\n$1\r\na\r\n", 0, 0, False),
    ],
)
def test_how_far_commands_are_whole(data: bytes, end: int, bad: int, goes_on: bool) -> None:
    assert scan(data) == Scan(end, bad, goes_on)


def test_the_end_of_a_file_is_read_from_its_first_whole_command_on() -> None:
    assert scan_end(b"rest of a value\r\n" + SET + b"\0\0") == Scan(17 + len(SET), 17 + len(SET))
    assert scan_end(b"nothing but rubbish") is None


def test_the_order_of_the_manifest() -> None:
    lines = ("file b seq 2 type i", "file a seq 1 type i startoffset 0", "file h seq 1 type h", "file x seq 9 type b")
    assert files_of("\n".join(lines)) == ["x", "a", "b"]


@pytest.mark.parametrize("rubbish", [b"\0" * 12, b"\0" * 2_000_000, SET[:-3], MULTI + SET, b"\xff"])
def test_a_damaged_end_is_cut_off_and_kept_beside_the_file(tmp_path: Path, rubbish: bytes) -> None:
    whole = SET * 3 if len(rubbish) > 100 else SET * 60_000  # beyond what is looked at first
    (path,) = server(tmp_path, whole + rubbish)
    copy = tmp_path / "damaged" / f"{NAME}.{NOW}"
    cut = Cut(at_ns=NOW, file=NAME, copy=str(copy), kept_bytes=len(whole), lost_bytes=len(rubbish))
    assert mend(tmp_path, NOW) == [cut]
    assert (path.read_bytes(), copy.read_bytes()) == (whole, rubbish)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert mend(tmp_path, NOW + 1) == mend(tmp_path, NOW + 1, dump_end=dump_end) == []
    assert str(cut) == (
        f"the end of Redis' {NAME} was damaged: {len(rubbish)} bytes behind its last whole command were cut off, "
        f"{len(whole)} are kept; what was cut off is {copy}"
    )


@pytest.mark.parametrize("rest", [SET, SET * 40_000])
def test_damage_before_whole_commands_is_refused_and_the_file_is_unchanged(tmp_path: Path, rest: bytes) -> None:
    (path,) = server(tmp_path, SET + b"\0\0" + rest)
    if len(rest) > 1 << 20:
        assert mend(tmp_path, NOW) == [], "the end is whole: the server says that the rest is not"
    with pytest.raises(DamagedError) as refused:
        mend(tmp_path, NOW, dump_end=dump_end)
    assert str(refused.value) == f"{path} is damaged at byte {len(SET)}, and whole commands stand behind that"
    assert (path.read_bytes(), damaged(tmp_path).exists()) == (SET + b"\0\0" + rest, False)


@pytest.mark.parametrize("rest", [b"", SET])
def test_a_command_that_the_server_does_not_have_is_refused_with_its_place(tmp_path: Path, rest: bytes) -> None:
    odd = command(b"S\xffT", "k", "v")
    (path,) = server(tmp_path, SET + odd + rest)

    def knows(word: bytes, second: bytes) -> bool:
        return (word, second) == (b"SET", b"k")

    assert mend(tmp_path, NOW, dump_end=dump_end) == [], "it is whole"
    with pytest.raises(DamagedError) as refused:
        mend(tmp_path, NOW, dump_end=dump_end, knows=knows)
    assert str(refused.value) == f"{path} is damaged at byte {len(SET)}: this server has no command 'S\\\\xffT'"
    (cut,) = mend(tmp_path, NOW, dump_end=dump_end, knows=knows, forced=True)
    assert (cut.kept_bytes, cut.lost_bytes, path.read_bytes()) == (len(SET), len(odd + rest), SET)


def test_a_file_that_another_follows_has_no_end_to_cut_off(tmp_path: Path) -> None:
    first, second = server(tmp_path, SET + b"\0", SET)
    with pytest.raises(DamagedError, match="whole commands stand behind that"):
        mend(tmp_path, NOW, dump_end=dump_end)
    done = mend(tmp_path, NOW, dump_end=dump_end, forced=True)
    assert [(cut.file, cut.kept_bytes, cut.lost_bytes) for cut in done] == [
        (first.name, len(SET), 1),
        (second.name, 0, len(SET)),
    ]
    assert (first.read_bytes(), second.read_bytes()) == (SET, b"")


def test_the_last_file_with_something_in_it_has_the_end(tmp_path: Path) -> None:
    first, _ = server(tmp_path, SET + b"\0", b"")
    assert [cut.file for cut in mend(tmp_path, NOW)] == [first.name]


def test_a_base_is_never_cut_into(tmp_path: Path) -> None:
    (path,) = server(tmp_path, b"", base=b"REDIS0011 cut short")
    assert mend(tmp_path, NOW) == []
    for forced in (False, True):
        with pytest.raises(DamagedError, match="the base"):
            mend(tmp_path, NOW, dump_end=dump_end, forced=forced)
    assert path.exists()


def test_what_stands_behind_a_dump_is_its_end(tmp_path: Path) -> None:
    server(tmp_path, b"", base=DUMP + SET + b"\0" * 12)
    done = mend(tmp_path, NOW, dump_end=dump_end)
    assert [(cut.kept_bytes, cut.lost_bytes) for cut in done] == [(len(DUMP + SET), 12)]


def test_a_file_that_the_manifest_names_and_is_not_there(tmp_path: Path) -> None:
    (path,) = server(tmp_path, SET)
    path.unlink()
    with pytest.raises(DamagedError, match=r"incr\.aof is not there"):
        mend(tmp_path, NOW)


def test_a_server_before_7_has_one_file(tmp_path: Path) -> None:
    assert files(tmp_path) == []
    path = tmp_path / "appendonly.aof"
    path.write_bytes(SET + b"\0" * 12)
    assert [cut.file for cut in mend(tmp_path, NOW)] == ["appendonly.aof"]
    assert path.read_bytes() == SET


def test_each_cut_is_told_once_and_shown_as_long_as_its_copy_is_kept(tmp_path: Path) -> None:
    (path,) = server(tmp_path, SET + b"\0")
    (first,) = mend(tmp_path, NOW)
    assert [*take_cuts(tmp_path)] == [first]
    path.write_bytes(SET + b"\0")
    (second,) = mend(tmp_path, NOW + 1)
    assert ([*take_cuts(tmp_path)], [*take_cuts(tmp_path)]) == ([second], [])
    assert {cut.copy for cut in cuts(tmp_path)} == {first.copy, second.copy}
    for left in damaged(tmp_path).iterdir():
        left.unlink()
    assert cuts(tmp_path) == []


def test_on_a_full_disk_nothing_is_changed_and_nothing_half_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, piece: BinaryIO) -> None:
        piece.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (path,) = server(tmp_path, SET + b"\0")
    with monkeypatch.context() as disk:
        disk.setattr("shutil.copyfileobj", full)
        for each in range(3):
            with pytest.raises(OSError, match=f"No space left on device: .*{NAME}.{NOW + each}"):
                mend(tmp_path, NOW + each)
    assert (path.read_bytes(), [*damaged(tmp_path).iterdir()]) == (SET + b"\0", [])
    assert [cut.lost_bytes for cut in mend(tmp_path, NOW + 3)] == [1]
