from itertools import islice
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tickfleet._util.backoff import GrowingPause, full_jitter


class Highest(Random):
    """Draws the highest value that it may."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    assert list(islice(full_jitter(Highest(), 0.5, 60.0), 10)) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_cap_holds_from_the_first_pause_on() -> None:
    assert list(islice(full_jitter(Highest(), 5.0, 2.0), 3)) == [2.0, 2.0, 2.0]


@given(st.integers(), st.floats(0.01, 10), st.floats(0.01, 100))
def test_every_pause_stays_below_its_ceiling(seed: int, first_s: float, cap_s: float) -> None:
    pauses_s = list(islice(full_jitter(Random(seed), first_s, cap_s), 20))

    assert all(0.0 <= pause_s <= min(cap_s, first_s * 2**n) for n, pause_s in enumerate(pauses_s))


def test_two_collectors_do_not_come_back_in_step() -> None:
    one, other = (list(islice(full_jitter(Random(seed), 0.5, 60.0), 5)) for seed in (1, 2))

    assert all(a != b for a, b in zip(one, other, strict=True))


def test_ten_thousand_attempts_are_no_overflow() -> None:
    assert next(islice(full_jitter(Highest(), 1e-9, 60.0), 10_000, None)) == 60.0


def test_a_pause_that_grows_is_short_again_after_a_calm_time() -> None:
    pause = GrowingPause(1.0, 8.0)
    begun_s = [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 47.1, 50.0]  # from 15 to 23 a pause, to 31 calm: not longer than the cap

    assert [pause.after_attempt(now_s) for now_s in begun_s] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 1.0, 2.0]


def test_a_pause_that_is_reset_is_the_first_one() -> None:
    pause = GrowingPause(1.0, 8.0)
    pause.after_attempt(0.0)
    pause.reset()

    assert (pause.first_s, pause.after_attempt(1.0)) == (1.0, 1.0)
