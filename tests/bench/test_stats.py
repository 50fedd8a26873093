"""What becomes of measurements."""

import pytest

from tests.bench.stats import latencies, latency_us, medians, percentile, ratio, times_better


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.011, 2), (0.01, 1), (0.0, 1)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_latencies_in_microseconds() -> None:
    assert latency_us([3_000, 1_000, 2_050]) == {"p50": 2.0, "p99": 3.0, "p99_9": 3.0, "max": 3.0}


def test_only_the_wanted_frames_count() -> None:
    assert latencies([10, 20, 30, 40], [11, 22, 33, 0], 2, 3) == [2, 3]


def test_a_frame_that_was_not_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 2 frames"):
        latencies([10, 20, 30], [11, 0, 33], 2, 3)


def test_medians_are_taken_figure_by_figure() -> None:
    rounds = [{"a": 1.0, "b": 9.0}, {"a": 5.0, "b": 7.0}, {"a": 2.0, "b": 8.0}]
    assert medians(rounds) == {"a": 2.0, "b": 8.0}


def test_a_ratio_to_nothing_is_none() -> None:
    assert (ratio(3, 2), ratio(3, 0)) == (1.5, None)


def test_times_better_is_above_one_where_we_are_ahead() -> None:
    ours = {"entries_per_s": 300.0, "cpu_us": 5.0, "other": 1.0}
    theirs = {"entries_per_s": 30.0, "cpu_us": 20.0}
    assert times_better(ours, theirs, {"entries_per_s": True, "cpu_us": False}) == {
        "entries_per_s": 10.0,
        "cpu_us": 4.0,
    }
