import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.publish.stream_ids import StreamIds

S = 1_000_000_000
MS = 1_000_000
NOW = 1_767_225_600 * S
NOW_MS = NOW // MS


def numbers(entry_id: str) -> tuple[int, int]:
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n)


times = st.integers(0, 40) | st.integers(NOW - 200 * S, NOW + 200 * S) | st.just(0)
steps = st.lists(
    st.tuples(st.sampled_from(["next", "marker", "numbered", "numbered", "anew"]), times, times, st.integers(1, 5)),
    max_size=30,
)


@given(steps, st.integers(0, NOW_MS + 50), st.integers(0, 10**18))
def test_ids_rise_whatever_the_clocks_say_and_end_in_the_trades_number(
    steps: list[tuple[str, int, int, int]], last_ms: int, last_n: int
) -> None:
    ids, trade_id = StreamIds(last_ms, last_n), -1
    made = [(last_ms, last_n)]
    for kind, event_ns, recv_ns, jump in steps:
        if kind == "next":
            made.append(numbers(ids.next(event_ns, recv_ns)))
        elif kind == "marker":
            made.append(numbers(ids.next_marker(recv_ns)))
        else:
            trade_id = jump if kind == "anew" else trade_id + jump
            made.append(numbers(ids.next_numbered(trade_id, event_ns, recv_ns)))
            assert made[-1][1] == trade_id

    assert made == sorted(set(made))
    assert (ids.last_ms, ids.last_n) == made[-1]


@given(steps)
def test_the_same_events_have_the_same_ids(steps: list[tuple[str, int, int, int]]) -> None:
    first, second = StreamIds(), StreamIds()

    assert [first.next(event_ns, recv_ns) for _, event_ns, recv_ns, _ in steps] == [
        second.next(event_ns, recv_ns) for _, event_ns, recv_ns, _ in steps
    ]


def test_entries_of_one_millisecond_are_counted() -> None:
    ids = StreamIds()

    made = [ids.next(NOW + offset, NOW) for offset in (0, 1, MS - 1, MS, 3 * MS, 2 * MS, 3 * MS)]
    assert made == [
        f"{NOW_MS}-0", f"{NOW_MS}-1", f"{NOW_MS}-2", f"{NOW_MS + 1}-0", f"{NOW_MS + 3}-0", f"{NOW_MS + 3}-1",
        f"{NOW_MS + 3}-2",
    ]  # fmt: skip


def test_a_time_that_falls_is_raised_and_the_number_stays_the_trades() -> None:
    ids = StreamIds()

    made = [ids.next_numbered(number, NOW + offset * MS, NOW) for number, offset in ((7, 5), (8, 3), (20, 5), (21, 6))]
    assert made == [f"{NOW_MS + 5}-7", f"{NOW_MS + 5}-8", f"{NOW_MS + 5}-20", f"{NOW_MS + 6}-21"]


@pytest.mark.parametrize(
    ("difference_s", "used"),
    [
        (0, "event"),
        (60, "event"),
        (-60, "event"),
        (60.001, "local"),
        (-60.001, "local"),
        (-1e9, "local"),
        (1e9, "local"),
    ],
)
def test_a_clock_that_is_off_by_more_than_a_minute_is_not_used(difference_s: float, used: str) -> None:
    event_ns = NOW + round(difference_s * S)
    ms = (event_ns if used == "event" else NOW) // MS

    assert StreamIds().next(event_ns, NOW) == f"{ms}-0"
    assert StreamIds().next_numbered(3, event_ns, NOW) == f"{ms}-3"


def test_a_marker_takes_its_own_millisecond_so_that_any_trade_can_follow() -> None:
    ids = StreamIds()

    assert ids.next_numbered(900, NOW, NOW) == f"{NOW_MS}-900"
    assert ids.next_marker(NOW) == f"{NOW_MS + 1}-0"
    assert ids.next_numbered(901, NOW, NOW) == f"{NOW_MS + 1}-901"
    assert ids.next_marker(NOW + 9 * MS) == f"{NOW_MS + 9}-0"
    assert ids.next_marker(NOW) == f"{NOW_MS + 10}-0"


def test_the_allocator_starts_behind_the_streams_last_id() -> None:
    assert StreamIds(NOW_MS + 5, 7).next(NOW, NOW) == f"{NOW_MS + 5}-8"
    assert StreamIds(NOW_MS + 5, 7).next_numbered(8, NOW, NOW) == f"{NOW_MS + 5}-8"
    assert StreamIds(NOW_MS + 5, 7).next_numbered(7, NOW, NOW) == f"{NOW_MS + 6}-7"
    assert StreamIds(NOW_MS + 5, 7).next_marker(NOW) == f"{NOW_MS + 6}-0"


def test_the_id_that_redis_does_not_allow_is_never_made() -> None:
    assert (StreamIds().next(0, 0), StreamIds().next_numbered(0, 0, 0), StreamIds().next_marker(0)) == (
        "0-1",
        "1-0",
        "1-0",
    )
