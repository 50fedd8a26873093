"""The candles of Binance spot and when their frames are pushed (sheet, section 4.4)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

from tests.simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Period
from tests.simulator.desk import Desk
from tests.simulator.events import Candle

_MONDAY_MS = 4 * DAY_MS
"""1970-01-05: weeks begin on Monday."""

_LENGTHS = {
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
}

PERIODS: tuple[Period, ...] = (
    *(Period(name, length) for name, length in _LENGTHS.items()),
    Period("1w", 7 * DAY_MS, _MONDAY_MS),
    Period("1M", 0, 0, 1),
)
"""All candles; the names are case sensitive: 1m is a minute, 1M a month."""

_FINAL_AFTER_MS = 5
_FINAL_SPREAD_MS = 1_980
"""The final frame comes 5 ms to 2 s after the end."""
_FINAL_SPREAD_1S_MS = 900
"""The same for seconds, which end before two have passed."""


class KlinePushes:
    """Says which candles of one symbol are to be pushed.

    Each candle gets one final push, some time after its end; the next candle waits for it.

    Args:
        desk: The symbol.
        wanted: Whether anybody is subscribed to an interval.
    """

    def __init__(self, desk: Desk, wanted: Callable[[str], bool]) -> None:
        self._desk = desk
        self._wanted = wanted
        self._final: list[tuple[int, str, Candle]] = []
        self._sent: dict[str, int] = {}

    def ended(self, interval: str, candle: Candle, now_ms: int) -> None:
        """A candle has ended at `now_ms`."""
        spread_ms = _FINAL_SPREAD_1S_MS if interval == "1s" else _FINAL_SPREAD_MS
        draw = zlib.crc32(f"{self._desk.instrument.name}:{interval}:{candle.open_ms}".encode())
        self._final.append((now_ms + _FINAL_AFTER_MS + draw % spread_ms, interval, candle))

    def final(self, now_ms: int) -> Iterator[tuple[str, Candle]]:
        """Candles whose final push is due; each comes once."""
        if not any(due_ms <= now_ms for due_ms, _, _ in self._final):
            return
        due = [row for row in self._final if row[0] <= now_ms]
        self._final = [row for row in self._final if row[0] > now_ms]
        for _, interval, candle in due:
            if self._wanted(interval):
                yield interval, candle

    def running(self, now_ms: int, intervals: Iterable[str]) -> Iterator[tuple[str, Candle]]:
        """Running candles that have changed since their last push.

        Args:
            now_ms: The time.
            intervals: Those whose turn it is.
        """
        waiting = {interval for _, interval, _ in self._final}
        for interval in intervals:
            series = self._desk.candles[interval]
            if interval in waiting or not self._wanted(interval):
                continue
            if series.version != self._sent.get(interval) and series.running.open_ms < now_ms:
                self._sent[interval] = series.version
                yield interval, series.running
