import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collector_worker.publish.spool import Packed, Spool, SpoolLostError, read_records, resume_points_of

LIMIT = 1_000_000
ENDS = {b"t": b"5-7", b"k": b"0-0"}
HEADER_BYTES = 16 + len(b'{"t":"5-7","k":"0-0"}')
"""Bytes of the first record."""


def records(count: int, start: int = 0) -> list[Packed]:
    return [Packed(f"command-{n}".encode() * (n % 5 + 1), n) for n in range(start, start + count)]


def a_spool(folder: Path, run: str = "1", limit: int = LIMIT, collector: str = "c") -> Spool:
    return Spool(folder, collector, run, limit)


def append(spool: Spool, *appended: Packed) -> list[bool]:
    return [spool.append(record, ENDS) for record in appended]


def held(path: Path) -> list[Packed]:
    """The records of a file, without the first."""
    with path.open("rb") as file:
        found, at = read_records(file.fileno(), 0, LIMIT)
        assert read_records(file.fileno(), at, LIMIT) == ([], at)
    assert resume_points_of(found[0]) == ENDS
    return found[1:]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_records_come_back_in_order_and_the_file_goes_with_the_last(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    assert append(spool, *records(10)) == [True] * 10
    assert (spool.pending, spool.read_next(1), spool.read_next(LIMIT)) == (10, records(1), records(9, 1))
    spool.clear()
    assert (spool.pending, names(tmp_path)) == (0, [])
    assert append(spool, *records(2, 50)) == [True] * 2
    assert spool.read_next(LIMIT) == records(2, 50)


def test_what_was_taken_stays_until_it_is_published(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    append(spool, *records(3))
    spool.read_next(1)
    spool.clear()
    assert held(tmp_path / "c.1.spool") == records(3)
    spool.close()
    assert held(tmp_path / "c.1.spool") == records(3)


def test_copies_stand_in_front_and_are_not_taken(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    assert spool.copy(records(4), ENDS) == 4
    assert (spool.pending, append(spool, *records(2, 4)), spool.pending) == (0, [True] * 2, 2)
    assert spool.read_next(LIMIT) == records(2, 4)
    assert spool.copy(records(1, 6), ENDS) == 1
    assert (spool.pending, held(tmp_path / "c.1.spool")) == (0, records(7))


def test_many_copies_are_written_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector_worker.publish.spool._WRITE_BYTES", 100)
    spool = a_spool(tmp_path)
    assert spool.copy(records(50), ENDS) == 50
    assert held(tmp_path / "c.1.spool") == records(50)


def test_without_a_record_there_is_no_file(tmp_path: Path) -> None:
    spool = a_spool(tmp_path / "deep")
    spool.clear()
    assert (spool.read_next(1), spool.copy([], ENDS)) == ([], 0)
    spool.close()
    assert names(tmp_path) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    append(a_spool(tmp_path / "deep"), *records(1))
    assert (tmp_path / "deep" / "c.1.spool").stat().st_mode & 0o777 == 0o600


# --- runs -------------------------------------------------------------------------------------------------------------


def test_each_run_has_a_file_of_its_own_and_sees_those_of_the_others(tmp_path: Path) -> None:
    first, second, third = (a_spool(tmp_path, run) for run in ("1700-b", "1800-a", "1900-c"))
    for spool in (second, first):
        append(spool, *records(1))
    append(a_spool(tmp_path, collector="c-PERP"), *records(1))
    paths = [tmp_path / "c.1700-b.spool", tmp_path / "c.1800-a.spool"]
    assert (first.others, second.others, third.others) == (paths[1:], paths[:1], paths)


def test_a_run_that_hung_touches_nothing_of_its_successor_s(tmp_path: Path) -> None:
    old, new = a_spool(tmp_path, "1"), a_spool(tmp_path, "2")
    append(old, *records(4))
    assert old.read_next(1) == records(1)
    (tmp_path / "c.1.spool").open("wb").close()  # the successor has published it
    (tmp_path / "c.1.spool").unlink()
    append(new, *records(3, 10))
    assert append(old, *records(1, 4)) == [True]  # it wakes up, and does not know yet
    with pytest.raises(SpoolLostError):
        old.read_next(LIMIT)
    old.clear()
    old.close()
    assert new.read_next(LIMIT) == records(3, 10)
    assert held(tmp_path / "c.2.spool") == records(3, 10)


# --- no room ----------------------------------------------------------------------------------------------------------


def test_a_full_file_takes_no_more_and_loses_nothing(tmp_path: Path) -> None:
    spool = a_spool(tmp_path, limit=HEADER_BYTES + 100)
    assert append(spool, *records(10)) == [True] * 2 + [False] * 8
    assert (spool.full, spool.read_next(LIMIT)) == (True, records(2))
    spool.clear()
    assert (spool.full, append(spool, *records(1))) == (False, [True])


def test_a_record_that_found_no_room_is_not_followed_by_a_smaller_one(tmp_path: Path) -> None:
    spool = a_spool(tmp_path, limit=HEADER_BYTES + 60)
    assert append(spool, Packed(b"x" * 50, 1), Packed(b"x", 2)) == [False, False]
    assert (spool.full, spool.pending) == (True, 0)


def test_the_bound_is_that_of_all_files_of_a_collector(tmp_path: Path) -> None:
    append(a_spool(tmp_path, "1"), Packed(b"x" * 500, 1))
    append(a_spool(tmp_path, collector="other"), Packed(b"x" * 5_000, 1))
    taken = append(a_spool(tmp_path, "2", limit=1_000), *[Packed(b"x" * 100, 1)] * 9)
    assert taken == [True] * 3 + [False] * 6
    files = [path.stat().st_size for path in tmp_path.glob("c.*")]
    assert sum(files) == (HEADER_BYTES + 516) + (HEADER_BYTES + 3 * 116) <= 1_000
    assert append(a_spool(tmp_path, "3", limit=1_000), *records(1)) == [True]
    assert append(a_spool(tmp_path, "4", limit=900), *records(1)) == [False]
    assert names(tmp_path) == ["c.1.spool", "c.2.spool", "c.3.spool", "other.1.spool"]


@contextmanager
def a_disk_of(size: int) -> Iterator[None]:
    """A file may not become larger than that: the end of it is written in part, then refused, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("room", range(59, 102, 6))
def test_a_full_disk_takes_whole_records_only(tmp_path: Path, room: int) -> None:
    """``room`` is that behind the first record; the second record ends at 59, the third at 102."""
    spool = a_spool(tmp_path)
    with a_disk_of(HEADER_BYTES + room):
        assert append(spool, *records(5)) == [True, True, False, False, False]
    assert (spool.full, held(tmp_path / "c.1.spool"), spool.read_next(LIMIT)) == (True, records(2), records(2))
    spool.clear()
    assert append(spool, *records(3)) == [True] * 3


@pytest.mark.parametrize("portion", [1, 1_000])
def test_of_copies_a_full_disk_takes_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr("collector_worker.publish.spool._WRITE_BYTES", portion)
    spool = a_spool(tmp_path)
    with a_disk_of(HEADER_BYTES + 95):
        assert spool.copy(records(5), ENDS) == 2
    assert (spool.full, spool.copy(records(5)[2:], ENDS), held(tmp_path / "c.1.spool")) == (True, 0, records(2))


@pytest.mark.parametrize("room", [0, 20])
def test_a_disk_without_room_for_a_beginning_keeps_no_file(tmp_path: Path, room: int) -> None:
    spool = a_spool(tmp_path)
    with a_disk_of(room), capture_logs():
        assert append(spool, *records(2)) == [False, False]
    assert (spool.full, names(tmp_path)) == (True, [])
    spool.clear()
    assert append(spool, *records(1)) == [True]


def test_a_folder_that_cannot_be_made_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    spool = a_spool(tmp_path / "var" / "spool")
    with capture_logs() as logs:
        assert append(spool, *records(1)) == [False]
    assert [(line["event"], line["why"]) for line in logs] == [("spool_unusable", "Not a directory")]


# --- damage -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, HEADER_BYTES + 200), st.sampled_from(["cut", "zeroes", "flipped"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_ends_where_the_damage_begins(tmp_path: Path, at: int, damage: str) -> None:
    spool = a_spool(tmp_path)
    append(spool, *records(6))
    spool.close()
    path = tmp_path / "c.1.spool"
    whole = path.read_bytes()
    assert at < len(whole)
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    damaged = {"cut": whole[:at], "zeroes": whole[:at] + bytes(len(whole) - at), "flipped": flipped}[damage]
    path.write_bytes(damaged)
    with path.open("rb") as file:
        found, _ = read_records(file.fileno(), 0, LIMIT)
    expected = [Packed(whole[16:HEADER_BYTES], 0), *records(6)]
    assert found == expected[: len(found)]
    sound = [HEADER_BYTES, *(16 + len(record.command) for record in records(6))]
    assert len(found) == sum(sum(sound[: n + 1]) <= at for n in range(7))


def test_a_record_that_cannot_be_read_back_is_no_end_of_the_queue(tmp_path: Path) -> None:
    """Else what was lost would pass for published."""
    spool = a_spool(tmp_path)
    append(spool, *records(3))
    assert spool.read_next(1) == records(1)
    path = tmp_path / "c.1.spool"
    path.write_bytes(path.read_bytes().replace(b"command-1", b"command-!"))
    with pytest.raises(SpoolLostError, match=r"^the file of the entries that wait for Redis cannot be read back$"):
        spool.read_next(LIMIT)
    assert spool.pending == 2


def test_a_disk_that_fails_is_the_end_of_the_file(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as not_readable:
        assert read_records(not_readable.fileno(), 7, LIMIT) == ([], 7)


def test_records_are_read_in_parts_but_at_least_one(tmp_path: Path) -> None:
    append(a_spool(tmp_path), *records(4))
    with (tmp_path / "c.1.spool").open("rb") as file:
        found, at = [], 0
        while part := read_records(file.fileno(), at, 1)[0]:
            assert len(part) == 1
            found += part
            at = read_records(file.fileno(), at, 1)[1]
    assert found[1:] == records(4)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"t":1}'])
def test_a_first_record_of_something_else(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        resume_points_of(Packed(content, 0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=40), st.integers(1, 200)), max_size=40))
def test_it_is_a_queue(tmp_path: Path, moves: list[bytes | int]) -> None:
    spool = a_spool(tmp_path)
    model: list[Packed] = []
    for move in moves:
        if isinstance(move, bytes):
            record = Packed(move, len(model))
            append(spool, record)
            model.append(record)
        else:
            taken = spool.read_next(move)
            assert taken == model[: len(taken)]
            assert bool(taken) == bool(model)
            del model[: len(taken)]
    assert spool.read_next(LIMIT) == model
    spool.clear()
    assert names(tmp_path) == []
