"""Candle intervals by their common names, and where their bars begin: at UTC boundaries, weeks on Monday at 00:00 UTC.

Months have no fixed length and are not offered. Both exchanges begin their bars at these boundaries for the interval
names that we use: Binance without an offset in the name (sheet, section 4.4), OKX with ``utc`` in the names of six
hours and longer (sheet, section 4.4; without it, bars begin at midnight of UTC+8).
"""

NS_PER_S = 1_000_000_000

INTERVAL_S = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "12h": 43_200,
    "1d": 86_400,
    "1w": 604_800,
}
"""Length in seconds."""


_FIRST_OPENS_S = {"1w": 4 * 86_400}
"""When bar 0 opens, where that is not the epoch, a Thursday: 1970-01-05 was a Monday."""


def length_ns(interval: str) -> int:
    """Length of an interval in nanoseconds."""
    return INTERVAL_S[interval] * NS_PER_S


def number_at(interval: str, ts: int) -> int:
    """The number of the bar that contains a time (ns since the epoch); bars of an interval are numbered in order."""
    return (ts - _FIRST_OPENS_S.get(interval, 0) * NS_PER_S) // length_ns(interval)


def opens_at(interval: str, number: int) -> int:
    """When the bar with this number opens (ns since the epoch)."""
    return number * length_ns(interval) + _FIRST_OPENS_S.get(interval, 0) * NS_PER_S


def is_opening(interval: str, ts: int) -> bool:
    """Whether a bar opens at this time (ns since the epoch)."""
    return opens_at(interval, number_at(interval, ts)) == ts
