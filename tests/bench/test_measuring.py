"""What is measured of a steady load."""

from tests.bench.measuring import Reading, Steadily


def test_the_frames_before_and_behind_the_measurement_do_not_count() -> None:
    how = Steadily(rate=100, warm_s=2.0, steady_s=5.0)
    assert (how.first, how.last, how.count) == (201, 700, 751)


def test_figures_are_per_entry_of_the_stretch() -> None:
    before = Reading(at_ns=1_000_000_000, cpu_ns=7_000, redis_cpu_ns=1_000, done=10)
    after = Reading(at_ns=3_000_000_000, cpu_ns=1_007_000, redis_cpu_ns=501_000, done=110)
    expected = {"entries_per_s": 50, "cpu_us_per_entry": 10.0, "redis_cpu_us_per_entry": 5.0}
    assert before.until(after) == expected
