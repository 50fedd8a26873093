"""Tickers, never backwards: what may pass beside what is numbered (``sequences``) and books (``book_sync``)."""

from collector_worker.exchanges.trusted_time import trusted_ns
from tickfleet.contract.events import Ticker


class TickerGate:
    """Lets no ticker through that is older than the last one: the latest wins."""

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def admits(self, ticker: Ticker) -> bool:
        """Whether the ticker is at least as new as the last one."""
        time_ns = trusted_ns(ticker.ts_event, ticker.ts_recv)  # a wrong clock must not end the stream
        if time_ns < self._last_ns:
            return False
        self._last_ns = time_ns
        return True
