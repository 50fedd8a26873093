"""Tickers, never backwards: what may pass beside what is numbered (``sequences``) and books (``book_sync``)."""

from tickfleet.contract.events import Ticker

AHEAD_NS = 1_000_000_000
"""By so much a ticker may be ahead of the exchange's clock as it was measured."""

ENOUGH = 3
"""So many in a row must be older than the last one before that is forgotten."""


class TickerGate:
    """Lets no ticker through that is older than the last one: the latest wins.

    The time of one that is ahead of the exchange's clock says nothing, and the moment of its arrival is taken instead.
    So one ticker of the future costs none of those that follow it. Where the clock of an exchange goes back, or ours
    was wrong, all that arrive are older than the last one: after ``max_wait_s`` of that the last one is forgotten. Two
    that were late are no such clock, however long it is quiet between them.

    Args:
        max_wait_s: No ticker is refused for longer than this, where all that arrive are.
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
        """Whether the ticker is at least as new as the last one, or may be passed on all the same.

        Args:
            ticker: What arrived.
            exchange_ns: The exchange's clock at its receipt, as far as it was measured (ns since the epoch).
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
        """For how long tickers have arrived of which none was admitted (s)."""
        return 0.0 if self._refused_since_s is None else now_s - self._refused_since_s
