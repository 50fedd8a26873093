"""Passes tickers on, never backwards in time; see ``sequences`` for numbered items, ``book_sync`` for books."""

from tickfleet.contract.events import Ticker

AHEAD_NS = 1_000_000_000
"""By so much a ticker may be ahead of the exchange's clock as it was measured."""

ENOUGH = 3
"""So many in a row must be older than the last one before that is forgotten."""


class TickerGate:
    """Refuses tickers that are older than the last one: the latest wins.

    If a ticker's time is ahead of the exchange's clock, the time of its arrival is used instead, so that one ticker
    from the future does not block those after it. If the exchange's clock goes back, or ours was wrong, all arriving
    tickers are older than the last one: after ``max_wait_s`` of this, the last one is forgotten. Two late tickers do
    not count as such a case, however long the quiet time between them.

    Args:
        max_wait_s: If all arriving tickers are refused, this ends after so many seconds.
    """

    __slots__ = ("_last_ns", "_max_wait_s", "_refused", "_refused_since_s", "starts_anew")

    def __init__(self, max_wait_s: float) -> None:
        self._last_ns = 0
        self._max_wait_s = max_wait_s
        self._refused_since_s: float | None = None
        self._refused = 0
        self.starts_anew = False
        """Whether the ticker that was admitted last does not follow on those before it."""

    def admits(self, ticker: Ticker, exchange_ns: int, now_s: float) -> bool:
        """Whether the ticker is at least as new as the last one, or may be passed on anyway.

        Args:
            ticker: What arrived.
            exchange_ns: The exchange's clock at the receipt, as far as it was measured (ns since the epoch).
            now_s: Monotonic time.
        """
        time_ns = exchange_ns if ticker.ts_event > exchange_ns + AHEAD_NS else ticker.ts_event
        is_older = time_ns < self._last_ns
        self._refused = self._refused + 1 if is_older else 0
        self.starts_anew = self._refused >= ENOUGH and self.refused_for_s(now_s) >= self._max_wait_s
        if is_older and not self.starts_anew:
            if self._refused_since_s is None:
                self._refused_since_s = now_s
            return False
        self._last_ns, self._refused, self._refused_since_s = time_ns, 0, None
        return True

    def refused_for_s(self, now_s: float) -> float:
        """How long tickers have arrived without one being admitted (s)."""
        return 0.0 if self._refused_since_s is None else now_s - self._refused_since_s
