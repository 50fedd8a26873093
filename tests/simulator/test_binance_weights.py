from tests.simulator.binance_weights import Attempts, Weights

_MINUTE_MS = 1_790_000_040_000


def test_weight_is_counted_by_the_minute_of_the_clock() -> None:
    weights = Weights(100)

    assert [weights.spend(50, _MINUTE_MS + at) for at in (0, 1_000)] == [None, None]
    assert (weights.spend(1, _MINUTE_MS + 1_001), weights.used) == (59, 101)
    assert weights.spend(1, _MINUTE_MS + 59_999) == 1
    assert (weights.spend(5, _MINUTE_MS + 60_000), weights.used) == (None, 5)


def test_attempts_are_counted_in_a_sliding_window() -> None:
    attempts = Attempts(2)

    assert [attempts.allow(at) for at in (0, 1_000)] == [None, None]
    assert attempts.allow(2_000) == 298
    assert attempts.allow(300_000) is None
    assert attempts.allow(300_001) == 1


def test_any_number_of_attempts() -> None:
    attempts = Attempts(None)
    assert [attempts.allow(0) for _ in range(1_000)] == [None] * 1_000
