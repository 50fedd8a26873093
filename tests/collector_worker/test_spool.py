from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector_worker.spool import Packed, Spool

LIMIT = 1_000_000


def records(count: int, start: int = 0) -> list[Packed]:
    return [Packed(f"command-{n}".encode() * (n % 5 + 1), n) for n in range(start, start + count)]


def test_records_come_back_in_order_and_the_file_is_emptied(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a.spool", LIMIT)
    assert all(spool.append(record) for record in records(10))
    assert (spool.pending, spool.take(1), spool.take(LIMIT)) == (10, records(1), records(9, 1))
    assert (tmp_path / "a.spool").stat().st_size > 0  # they may not be published yet
    spool.clear()
    assert (spool.pending, (tmp_path / "a.spool").stat().st_size) == (0, 0)
    spool.close()
    assert not (tmp_path / "a.spool").exists()


def test_a_full_file_takes_no_more_and_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a.spool", 100)
    taken = [record for record in records(10) if spool.append(record)]
    assert taken == spool.take(LIMIT) == records(3)
    spool.close()


def test_the_next_run_reads_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    left = Spool(path, LIMIT)
    for record in records(3):
        left.append(record)
    path.write_bytes(path.read_bytes()[:-2])  # cut off in the middle of a record
    spool = Spool(path, LIMIT)
    assert (spool.pending, spool.append(records(1)[0])) == (2, True)
    assert spool.take(LIMIT) == [*records(2), *records(1)]
    spool.close()
    left.close()


def test_what_was_taken_and_not_published_goes_back_in_front(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a.spool", LIMIT)
    for record in records(5):
        spool.append(record)
    unsent = spool.take(1)
    spool.put_back(unsent)
    assert spool.take(LIMIT) == records(5)
    spool.close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "a.spool", LIMIT)
    assert (tmp_path / "deep" / "a.spool").stat().st_mode & 0o777 == 0o600
    spool.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(1, 200)), max_size=40))
def test_it_is_a_queue(tmp_path: Path, moves: list[bytes | int]) -> None:
    spool = Spool(tmp_path / "q.spool", LIMIT)
    model: list[Packed] = []
    for move in moves:
        if isinstance(move, bytes):
            record = Packed(move, len(model))
            spool.append(record)
            model.append(record)
        else:
            taken = spool.take(move)
            assert taken == model[: len(taken)]
            assert bool(taken) == bool(model)
            del model[: len(taken)]
    assert spool.take(LIMIT) == model
    spool.clear()
    spool.close()
