import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.telemetry.latency import LatencyHistogram

latencies = st.lists(st.integers(0, 10**7), min_size=1, max_size=200)
shares = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0])


@given(latencies, shares)
def test_a_percentile_is_right_to_an_eighth(recorded: list[int], share: float) -> None:
    histogram = LatencyHistogram()
    for us in recorded:
        histogram.record(us)

    exact = sorted(recorded)[max(math.ceil(share * len(recorded)) - 1, 0)]
    assert exact <= histogram.percentile(share) <= exact + exact // 8


def test_nothing_recorded_is_zero() -> None:
    assert LatencyHistogram().percentile(0.5) == 0


@pytest.mark.parametrize(
    ("us", "told"),
    [(-5, 0), (0, 0), (7, 7), (8, 8), (15, 15), (16, 17), (1_000, 1_023), (10**30, 2**42 - 1)],
)
def test_steps(us: int, told: int) -> None:
    histogram = LatencyHistogram()
    histogram.record(us)

    assert histogram.percentile(1.0) == told


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    histogram = LatencyHistogram()
    histogram.turn(100.0)
    histogram.record(7)
    seen = []
    for now_s in (129.0, 130.0, 159.0, 160.0):
        histogram.turn(now_s)
        seen.append(histogram.percentile(0.5))

    assert seen == [7, 7, 7, 0]


def test_both_halves_of_the_minute_count() -> None:
    histogram = LatencyHistogram()
    histogram.record(1)
    histogram.turn(30.0)
    histogram.record(5)

    assert [histogram.percentile(share) for share in (0.5, 1.0)] == [1, 5]
