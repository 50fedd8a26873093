import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickfleet.reading.position import Mark, id_order
from tickfleet.reading.streams.group_state import Pending, done_up_to, group_mark, id_before, next_run, read_pending

NUMBERS = st.integers(0, 2**64 - 1)


def pending(*deliveries: int) -> list[Pending]:
    return [Pending(f"1-{number}", "c", 5, tries) for number, tries in enumerate(deliveries)]


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [((), 0), ((1,), 1), ((1, 1, 1), 3), ((1, 1, 2, 1), 2), ((2,), 1), ((2, 2, 1), 1), ((5, 1), 1), ((1, 3), 1)],
)
def test_a_batch_that_failed_again_goes_entry_by_entry(deliveries: tuple[int, ...], expected: int) -> None:
    given_ = pending(*deliveries)
    assert next_run(given_) == given_[:expected]


def test_a_group_is_found_among_others() -> None:
    rows = [
        ["name", "other", "consumers", 1, "pending", 0, "last-delivered-id", "1-1", "entries-read", 1, "lag", 0],
        [
            "name",
            "archive",
            "consumers",
            1,
            "pending",
            0,
            "last-delivered-id",
            "5-1",
            "entries-read",
            None,
            "lag",
            None,
        ],
        ["name", "old", "consumers", 1, "pending", 0, "last-delivered-id", "6-1"],
    ]
    assert [group_mark(rows, name) for name in ("other", "archive", "old", "none")] == [
        Mark("1-1", 1), Mark("5-1"), Mark("6-1"), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first_pending", "expected"),
    [(None, "7-2"), ("5-3", "5-2"), ("5-0", f"4-{2**64 - 1}"), ("7-3", "7-2"), ("9-1", "7-2")],
)
def test_up_to_where_a_group_is_done(first_pending: str | None, expected: str) -> None:
    assert done_up_to(Mark("7-2"), first_pending) == expected


@given(NUMBERS, NUMBERS)
def test_the_id_before_is_the_next_lower_one(ms: int, n: int) -> None:
    before = id_order(id_before(f"{ms}-{n}"))
    assert before == (0, 0) if (ms, n) == (0, 0) else before < (ms, n)
    assert (ms - before[0]) * 2**64 + n - before[1] == (0 if (ms, n) == (0, 0) else 1)


def test_the_answer_of_redis_is_read() -> None:
    assert read_pending([["1-1", "a", 30, 2]]) == [Pending("1-1", "a", 30, 2)]
