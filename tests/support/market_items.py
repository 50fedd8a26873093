"""Trades and bars by their numbers, for tests."""

from msgspec.structs import replace

from tickfleet.contract.events import Candle, Trade

MINUTE_NS = 60 * 1_000_000_000
START_NS = 1_767_225_600_000_000_000
"""2026-01-01: where a ``ManualClock`` is."""


def trade(number: int, *, fetched: bool = False, count: str | None = None) -> Trade:
    """The trade of a number, one second behind the one before, received at once."""
    made = Trade(trade_ts(number), trade_ts(number), str(number), f"{number}.5", "0.1", "buy", "live", count)
    return replace(made, origin="backfill") if fetched else made


def trade_ts(number: int) -> int:
    """When it was."""
    return START_NS + number * 1_000_000_000


def bar(minute: int, *, closed: bool = True, close: str = "1", interval: str = "1m") -> Candle:
    """The bar that opens so many minutes after ``START_NS``."""
    opened = START_NS + minute * MINUTE_NS
    return Candle(
        ts_event=opened,
        ts_recv=opened + MINUTE_NS,
        interval=interval,
        open_time=opened,
        close_time=opened + MINUTE_NS,
        open="1",
        high="1",
        low="1",
        close=close,
        volume="1",
        closed=closed,
    )
