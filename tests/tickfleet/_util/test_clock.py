import time

from tests.support.clock import ManualClock
from tickfleet._util.clock import Clock, SystemClock


def test_the_system_clock_reads_the_clocks_of_the_machine() -> None:
    before = (time.time_ns(), time.monotonic())
    now = (SystemClock().now_ns(), SystemClock().monotonic_s())
    after = (time.time_ns(), time.monotonic())

    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_both_clocks_of_a_test_move_together() -> None:
    clock: Clock = ManualClock(1_000)
    began_s = clock.monotonic_s()
    assert isinstance(clock, ManualClock)
    clock.advance(1.5)

    assert (clock.now_ns(), clock.monotonic_s() - began_s) == (1_500_001_000, 1.5)
