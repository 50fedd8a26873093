"""What may pass into a stream: every trade once, closed candles once, tickers never backwards. Pure."""

from common.events import Candle, Ticker, Trade


class TradeGate:
    """Lets each trade through once, by its consecutive id.

    Every reconnect brings trades again that were already published (OKX sheet, section 4.1: the last trade is pushed
    on subscribe), and so does the start of a new run, which is told the stream's last id.
    """

    __slots__ = ("last_id",)

    def __init__(self, last_id: int = -1) -> None:
        self.last_id = last_id

    def admits(self, trade: Trade) -> bool:
        """Whether the trade is new; if so it counts as published from now on."""
        number = int(trade.trade_id)
        if number <= self.last_id:
            return False
        self.last_id = number
        return True


class CandleGate:
    """Lets no bar through that is older than the last closed one of its interval, nor a closed one twice."""

    __slots__ = ("_closed_until",)

    def __init__(self) -> None:
        self._closed_until: dict[str, int] = {}

    def restore(self, interval: str, closed_until: int) -> None:
        """Bars that open before ``closed_until`` (ns) are already in the stream as closed."""
        self._closed_until[interval] = closed_until

    def admits(self, candle: Candle) -> bool:
        """Whether the bar says something new."""
        if candle.open_time < self._closed_until.get(candle.interval, 0):
            return False
        if candle.closed:
            self._closed_until[candle.interval] = candle.close_time
        return True


class TickerGate:
    """Lets no ticker through that is older than the last one: the latest wins."""

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def admits(self, ticker: Ticker) -> bool:
        """Whether the ticker is at least as new as the last one."""
        if ticker.ts_event < self._last_ns:
            return False
        self._last_ns = ticker.ts_event
        return True
