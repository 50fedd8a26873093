from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickfleet.contract.intervals import INTERVAL_S, is_opening, length_ns, number_at, opens_at

NS_PER_S = 1_000_000_000


def ns(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * NS_PER_S


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


@pytest.mark.parametrize(
    ("interval", "moment", "opened"),
    [
        ("1m", "2026-11-20T21:35:59", "2026-11-20T21:35:00"),
        ("4h", "2026-11-20T21:35:59", "2026-11-20T20:00:00"),
        ("6h", "2026-11-20T21:35:59", "2026-11-20T18:00:00"),
        ("12h", "2026-11-20T21:35:59", "2026-11-20T12:00:00"),
        ("1d", "2026-11-20T21:35:59", "2026-11-20T00:00:00"),
        ("1w", "2026-11-20T21:35:59", "2026-11-16T00:00:00"),
        ("1w", "2026-11-22T23:59:59", "2026-11-16T00:00:00"),
        ("1w", "2026-11-23T00:00:00", "2026-11-23T00:00:00"),
        ("1w", "2017-07-05T12:00:00", "2017-07-03T00:00:00"),
        ("1w", "1970-01-01T00:00:00", "1969-12-29T00:00:00"),
    ],
)
def test_where_a_bar_opens(interval: str, moment: str, opened: str) -> None:
    assert opens_at(interval, number_at(interval, ns(moment))) == ns(opened)


@given(st.sampled_from(list(INTERVAL_S)), st.integers(0, 2**62))
def test_bars_follow_each_other_without_a_hole(interval: str, ts: int) -> None:
    number = number_at(interval, ts)
    opened = opens_at(interval, number)
    assert opened <= ts < opened + length_ns(interval) == opens_at(interval, number + 1)
    assert number_at(interval, opened) == number
    assert is_opening(interval, opened)
    assert is_opening(interval, ts) is (ts == opened)


@given(st.integers(0, 2**62))
def test_every_week_begins_on_a_monday(ts: int) -> None:
    opened = opens_at("1w", number_at("1w", ts))
    assert (opened // NS_PER_S // 86_400 + 3) % 7 == 0  # day 0 was a Thursday
    assert opened % (86_400 * NS_PER_S) == 0


def test_months_are_not_offered() -> None:
    assert "1M" not in INTERVAL_S
