from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import collector_worker.publish.buffer as module
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.spool import Packed, Spool, read_records, resume_points_of

LIMIT = 1_000_000
TWO_ENTRIES = 2 * (4 + 160) - 1
"""Memory that takes two of the entries below."""


def entries(count: int, start: int = 0) -> list[Packed]:
    return [Packed(f"{number:04}".encode(), number) for number in range(start, start + count)]


def fill(buffer: Buffer, count: int, start: int = 0) -> list[bool]:
    return [buffer.append(entry) for entry in entries(count, start)]


def spooling(folder: Path, limit: int = LIMIT, memory: int = TWO_ENTRIES) -> Buffer:
    return Buffer(memory, Spool(folder, "c", "1", limit))


def in_file(folder: Path) -> list[Packed]:
    """The records of the file, which begins with one that says where they join."""
    with (folder / "c.1.spool").open("rb") as file:
        return read_records(file.fileno(), 0, LIMIT)[0][1:]


def drained(buffer: Buffer, at_a_time: int = 1) -> list[Packed]:
    """Everything, as a publisher takes it: a batch is looked at, then dropped."""
    taken: list[Packed] = []
    while batch := buffer.head(at_a_time, LIMIT):
        taken += batch
        buffer.drop_head(len(batch))
    return taken


def test_memory_alone_is_bounded() -> None:
    buffer = Buffer(TWO_ENTRIES)
    assert fill(buffer, 3) == [True, True, False]
    assert (len(buffer), buffer.in_memory, buffer.spooled, buffer.full) == (2, 2, 0, True)
    buffer.drop_head(1)
    assert (buffer.full, fill(buffer, 1, 2)) == (False, [True])
    assert drained(buffer) == entries(3)[1:]


def test_a_batch_is_bounded_in_number_and_bytes_and_kept_until_dropped() -> None:
    buffer = Buffer()
    fill(buffer, 5)
    assert [len(buffer.head(n, size)) for n, size in ((3, LIMIT), (9, LIMIT), (9, 8), (9, 9), (9, 1))] == [
        3, 5, 2, 3, 1,
    ]  # fmt: skip
    assert len(buffer) == 5
    assert buffer.head(2, LIMIT) == buffer.head(2, LIMIT) == entries(2)


def test_an_empty_buffer_counts_as_false_and_is_one_all_the_same() -> None:
    assert (bool(Buffer()), Buffer().head(9, 9), Buffer().full) == (False, [], False)


def test_what_finds_no_room_in_memory_goes_to_the_file_and_comes_behind(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    assert fill(buffer, 6) == [True] * 6
    assert (len(buffer), buffer.in_memory, buffer.spooled, buffer.full) == (6, 2, 4, False)
    assert drained(buffer) == entries(6)
    assert (len(buffer), list(tmp_path.iterdir())) == (0, [])


def test_the_file_holds_the_queue_from_its_beginning_on(tmp_path: Path) -> None:
    """A process may be killed at any time: what it leaves must have no hole."""
    buffer = spooling(tmp_path)
    fill(buffer, 2)
    assert list(tmp_path.iterdir()) == []
    fill(buffer, 2, 2)
    assert in_file(tmp_path) == entries(4)
    buffer.drop_head(2)  # 2 and 3 move up into memory; the file stays until they are published
    buffer.drop_head(1)
    fill(buffer, 1, 4)
    assert (buffer.in_memory, buffer.spooled, in_file(tmp_path)) == (2, 0, entries(4))
    fill(buffer, 1, 5)
    assert (buffer.in_memory, buffer.spooled, in_file(tmp_path)) == (2, 1, entries(6))


def test_the_file_goes_once_nothing_in_memory_is_a_copy_of_it(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 3)
    buffer.drop_head(2)
    assert (buffer.in_memory, in_file(tmp_path)) == (1, entries(3))
    fill(buffer, 1, 3)
    buffer.drop_head(1)
    assert (buffer.in_memory, list(tmp_path.iterdir())) == (1, [])
    fill(buffer, 2, 4)
    assert in_file(tmp_path) == entries(3, 3)
    assert drained(buffer) == entries(3, 3)


def test_while_some_are_in_the_file_later_ones_follow_them_there(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 3)
    buffer.drop_head(1)  # now there is room in memory again, but 2 is in the file
    fill(buffer, 1, 3)
    assert (buffer.in_memory, buffer.spooled) == (1, 2)
    assert drained(buffer) == entries(4)[1:]
    fill(buffer, 1, 4)
    assert (buffer.in_memory, buffer.spooled) == (1, 0)
    buffer.close()


def test_the_file_moves_up_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REFILL_BYTES", 60)  # records of 20 bytes
    buffer = spooling(tmp_path)
    fill(buffer, 10)
    buffer.drop_head(2)
    assert (buffer.in_memory, buffer.spooled) == (3, 5)
    assert drained(buffer, 2) == entries(10)[2:]
    buffer.close()


def test_without_room_in_either_nothing_is_taken_until_the_file_is_empty(tmp_path: Path) -> None:
    """Otherwise what follows would stand in front of what was left out."""
    buffer = spooling(tmp_path, limit=18 + 4 * 20 + 19)
    assert fill(buffer, 6) == [True] * 4 + [False] * 2
    assert (buffer.full, len(buffer)) == (True, 4)
    buffer.drop_head(1)
    assert (buffer.full, fill(buffer, 1, 9)) == (True, [False])
    buffer.drop_head(1)
    assert (buffer.full, buffer.in_memory, buffer.spooled) == (True, 2, 0)
    buffer.drop_head(1)
    assert (buffer.full, fill(buffer, 1, 9)) == (False, [True])
    assert drained(buffer) == [*entries(1, 3), *entries(1, 9)]
    buffer.close()


def test_a_run_leaves_everything_to_the_next_one(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 6)
    buffer.drop_head(2)
    buffer.drop_head(1)
    fill(buffer, 1, 6)
    assert buffer.save() == 0
    buffer.close()
    assert in_file(tmp_path) == entries(7)  # the first three were published before; the next run sees that
    assert Buffer(spool=Spool(tmp_path, "c", "2", LIMIT)).spool_files == [tmp_path / "c.1.spool"]


def test_what_is_in_memory_alone_is_left_as_well(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 2)
    assert buffer.save() == 0
    assert in_file(tmp_path) == entries(2)


def test_nothing_to_leave(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    assert (buffer.spool_files, buffer.save()) == ([], 0)
    buffer.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_can_be_left() -> None:
    buffer = Buffer()
    fill(buffer, 3)
    assert (buffer.save(), buffer.spool_files) == (3, [])
    buffer.close()


def test_a_disk_that_is_full_at_the_end_costs_the_last_entries_alone(tmp_path: Path) -> None:
    buffer = spooling(tmp_path, limit=18 + 4 * 20, memory=10 * TWO_ENTRIES)
    fill(buffer, 6)
    assert buffer.save() == 2
    buffer.close()
    assert in_file(tmp_path) == entries(4)


def test_a_disk_that_is_full_is_tried_again_once_redis_is_back(tmp_path: Path) -> None:
    buffer = spooling(tmp_path, limit=18)
    assert (fill(buffer, 3), buffer.full) == ([True, True, False], True)
    buffer.drop_head(1)
    assert (buffer.full, fill(buffer, 1, 3)) == (False, [True])
    assert drained(buffer) == [*entries(1, 1), *entries(1, 3)]
    assert list(tmp_path.iterdir()) == []


def test_what_the_entries_come_behind_is_told_as_the_file_begins(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    buffer.ends[b"t"] = b"5-7"
    fill(buffer, 3)
    buffer.ends[b"t"] = b"5-8"
    fill(buffer, 1, 3)
    with (tmp_path / "c.1.spool").open("rb") as file:
        assert resume_points_of(read_records(file.fileno(), 0, LIMIT)[0][0]) == {b"t": b"5-7"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.just("append"), st.just("killed"), st.integers(1, 4)), max_size=60), st.integers(0, 400))
def test_it_is_a_queue_and_what_is_in_the_file_is_a_beginning_of_it(
    tmp_path: Path, moves: list[str | int], limit: int
) -> None:
    buffer = spooling(tmp_path, limit)
    waiting: deque[Packed] = deque()
    gone: list[Packed] = []
    number = 0
    for move in moves:
        if move == "append":
            (entry,) = entries(1, number)
            if buffer.append(entry):
                waiting.append(entry)
            else:
                assert buffer.full
            number += 1
        elif isinstance(move, int):
            batch = buffer.head(move, LIMIT)
            assert batch == list(waiting)[: len(batch)]
            assert bool(batch) == bool(waiting)
            buffer.drop_head(len(batch))
            gone += [waiting.popleft() for _ in batch]
        elif list(tmp_path.iterdir()):
            left = in_file(tmp_path)
            known = [*gone, *waiting]
            first = known.index(left[0]) if left else 0
            assert known[first : first + len(left)] == left
            assert not left or first <= len(gone)
        assert len(buffer) == len(waiting)
    assert drained(buffer) == list(waiting)
    assert list(tmp_path.iterdir()) == []
