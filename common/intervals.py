"""Candle intervals by their common names. Bars of six hours and more begin at UTC boundaries, weeks on Monday."""

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


def length_ns(interval: str) -> int:
    """Length of an interval in nanoseconds."""
    return INTERVAL_S[interval] * NS_PER_S
