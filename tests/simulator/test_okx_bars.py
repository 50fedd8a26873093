from datetime import UTC, datetime

import pytest

from tests.simulator.okx_bars import BARS, PERIODS

_MOMENT = datetime(2026, 11, 18, 13, 47, 58, tzinfo=UTC)  # a Wednesday; 21:47 in UTC+8


@pytest.mark.parametrize(
    ("bar", "opened"),
    [
        ("1s", "2026-11-18T13:47:58"),
        ("1m", "2026-11-18T13:47"),
        ("15m", "2026-11-18T13:45"),
        ("1H", "2026-11-18T13:00"),
        ("4H", "2026-11-18T12:00"),
        ("6H", "2026-11-18T10:00"),
        ("12H", "2026-11-18T04:00"),
        ("1D", "2026-11-17T16:00"),
        ("1Dutc", "2026-11-18T00:00"),
        ("6Hutc", "2026-11-18T12:00"),
        ("1W", "2026-11-15T16:00"),
        ("1Wutc", "2026-11-16T00:00"),
        ("1M", "2026-10-31T16:00"),
        ("1Mutc", "2026-11-01T00:00"),
        ("3Mutc", "2026-10-01T00:00"),
    ],
)
def test_running_bar_opened_at(bar: str, opened: str) -> None:
    period = next(period for period in PERIODS if period.name == bar)

    open_ms = period.open_of(int(_MOMENT.timestamp() * 1_000))
    assert datetime.fromtimestamp(open_ms / 1_000, UTC) == datetime.fromisoformat(opened).replace(tzinfo=UTC)


def test_names_are_those_of_the_sheet() -> None:
    daily = ["6H", "12H", "1D", "2D", "3D", "5D", "1W", "1M", "3M"]
    clock = ["1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H"]
    assert {*clock, *daily, *(f"{name}utc" for name in daily)} == BARS
