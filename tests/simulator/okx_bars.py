"""The bars of OKX and where they begin (sheet, section 4.4)."""

from __future__ import annotations

from tests.simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Period

_MONDAY_MS = 4 * DAY_MS
"""1970-01-05: weeks begin on Monday."""
_UTC8_MS = -8 * HOUR_MS
"""Midnight in UTC+8, seen from UTC: a daily bar without the suffix opens at 16:00 UTC."""

_CLOCK = {
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1H": HOUR_MS,
    "2H": 2 * HOUR_MS,
    "4H": 4 * HOUR_MS,
}
_DAILY = {
    "6H": 6 * HOUR_MS,
    "12H": 12 * HOUR_MS,
    "1D": DAY_MS,
    "2D": 2 * DAY_MS,
    "3D": 3 * DAY_MS,
    "5D": 5 * DAY_MS,
}
_MONTHS = {"1M": 1, "3M": 3}


def _periods(suffix: str, midnight_ms: int) -> list[Period]:
    return [
        *(Period(name + suffix, length, midnight_ms) for name, length in _DAILY.items()),
        Period("1W" + suffix, 7 * DAY_MS, _MONDAY_MS + midnight_ms),
        *(Period(name + suffix, 0, midnight_ms, months) for name, months in _MONTHS.items()),
    ]


PERIODS: tuple[Period, ...] = (
    *(Period(name, length) for name, length in _CLOCK.items()),
    *_periods("", _UTC8_MS),
    *_periods("utc", 0),
)
"""All bars; the names are case sensitive: 1m is a minute, 1M a month."""

BARS = frozenset(period.name for period in PERIODS)
