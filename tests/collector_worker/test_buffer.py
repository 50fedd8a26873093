from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import collector_worker.buffer as module
from collector_worker.buffer import Buffer
from collector_worker.spool import Packed, Spool

LIMIT = 1_000_000
TWO_ENTRIES = 2 * (4 + 160) - 1
"""Memory that takes two of the entries below."""


def entries(count: int, start: int = 0) -> list[Packed]:
    return [Packed(f"{number:04}".encode(), number) for number in range(start, start + count)]


def fill(buffer: Buffer, count: int, start: int = 0) -> list[bool]:
    return [buffer.append(entry) for entry in entries(count, start)]


def spooling(folder: Path, limit: int = LIMIT, memory: int = TWO_ENTRIES) -> Buffer:
    return Buffer(memory, Spool(folder / "a.spool", limit))


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


def test_a_batch_is_bounded_in_number_and_size_and_stays_until_it_is_dropped() -> None:
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
    assert (len(buffer), (tmp_path / "a.spool").stat().st_size) == (0, 0)
    buffer.close()
    assert list(tmp_path.iterdir()) == []


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
    monkeypatch.setattr(module, "_REFILL_BYTES", 40)  # records of 16 bytes
    buffer = spooling(tmp_path)
    fill(buffer, 10)
    buffer.drop_head(2)
    assert (buffer.in_memory, buffer.spooled) == (3, 5)
    assert drained(buffer, 2) == entries(10)[2:]
    buffer.close()


def test_without_room_in_either_nothing_is_taken_until_the_file_is_empty(tmp_path: Path) -> None:
    """Otherwise what follows would stand in front of what was left out."""
    buffer = spooling(tmp_path, limit=40)
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
    buffer.drop_head(1)
    assert buffer.save() == 0
    buffer.close()
    following = spooling(tmp_path)
    assert (len(following), following.recover()) == (5, 5)
    fill(following, 1, 6)
    assert drained(following) == entries(7)[1:]
    following.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_leave(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    assert (buffer.recover(), buffer.save()) == (0, 0)
    buffer.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_can_be_left() -> None:
    buffer = Buffer()
    fill(buffer, 3)
    assert buffer.save() == 3
    buffer.close()


def test_a_disk_that_is_full_costs_what_was_in_memory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 6)
    buffer.drop_head(1)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    assert buffer.save() == 1
    buffer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.spool"]
    following = spooling(tmp_path)
    following.recover()
    assert drained(following) == entries(4, 2)
    following.close()


def test_what_is_discarded_is_gone(tmp_path: Path) -> None:
    buffer = spooling(tmp_path)
    fill(buffer, 6)
    buffer.discard()
    assert (len(buffer), drained(buffer)) == (0, [])
    fill(buffer, 2, 7)
    assert drained(buffer) == entries(2, 7)
    buffer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_run_has_emptied_is_no_error(tmp_path: Path) -> None:
    """A run that hung while a newer one took over, and wakes up."""
    buffer = spooling(tmp_path)
    fill(buffer, 6)
    with (tmp_path / "a.spool").open("wb"):
        pass
    buffer.discard()
    assert (len(buffer), drained(buffer)) == (0, [])
    buffer.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.one_of(st.just("append"), st.just("restart"), st.integers(1, 4)), max_size=60))
def test_it_is_a_queue_over_any_number_of_runs(tmp_path: Path, moves: list[str | int]) -> None:
    buffer = spooling(tmp_path)
    model: deque[Packed] = deque()
    number = 0
    for move in moves:
        if move == "append":
            (entry,) = entries(1, number)
            assert buffer.append(entry)
            model.append(entry)
            number += 1
        elif move == "restart":
            assert buffer.save() == 0
            buffer.close()
            buffer = spooling(tmp_path)
            assert buffer.recover() == len(model)
        else:
            batch = buffer.head(int(move), LIMIT)
            assert batch == list(model)[: len(batch)]
            assert bool(batch) == bool(model)
            buffer.drop_head(len(batch))
            for _ in batch:
                model.popleft()
        assert len(buffer) == len(model)
    assert drained(buffer) == list(model)
    buffer.close()
