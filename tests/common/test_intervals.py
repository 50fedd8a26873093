import pytest

from common.intervals import INTERVAL_S, length_ns


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("1s", 1), ("1m", 60), ("15m", 15 * 60), ("1h", 3_600), ("12h", 12 * 3_600), ("1d", 86_400), ("1w", 7 * 86_400)],
)
def test_the_length_of_an_interval(interval: str, seconds: int) -> None:
    assert length_ns(interval) == seconds * 1_000_000_000


@pytest.mark.parametrize("interval", INTERVAL_S)
def test_a_name_says_its_length(interval: str) -> None:
    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}[interval[-1]]
    assert INTERVAL_S[interval] == int(interval[:-1]) * unit


def test_intervals_are_listed_by_length() -> None:
    assert list(INTERVAL_S.values()) == sorted(INTERVAL_S.values())
