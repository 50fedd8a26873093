"""Trades by their ids and bars by their times, each once and in order; see ``sequencer`` for how."""

from collections.abc import Sequence

from collector_worker.sequencer import Lost, Patience, Sequencer
from common.events import Candle, Trade
from common.intervals import length_ns

TRADE_GRACE_S = 0.2
"""Two frames may arrive in the wrong order; a hole that lasts longer is one."""

CANDLE_GRACE_S = 3.0
"""The last push of a bar may come up to two seconds after its end (Binance sheet, section 4.4)."""

MAX_JUMP = 1_000_000_000
"""No exchange trades so much while a collector is away: such an id is garbage and must not end the tape."""


class TradeTape:
    """The trades of one stream."""

    def __init__(self, max_wait_s: float) -> None:
        self.sequence: Sequencer[Trade] = Sequencer(None, Patience(max_wait_s=max_wait_s, grace_s=TRADE_GRACE_S))
        self.last_ts = 0
        self.implausible = 0

    @property
    def last_id(self) -> int | None:
        """The highest id that was passed on or given up; None while there is none."""
        return self.sequence.last

    def restore(self, last_id: int, last_ts: int) -> None:
        """What the stream holds already: its last trade's id and time (ns)."""
        self.sequence.last, self.last_ts = last_id, last_ts

    def offer(self, trade: Trade, now_s: float) -> list[Trade | Lost]:
        """Take a live trade. An aggregate of ``count`` matches carries the id of the last of them."""
        last = int(trade.trade_id)
        first = last if trade.count is None else last - max(int(trade.count), 1) + 1
        known = self.sequence.last
        if known is not None and last - known > MAX_JUMP:
            self.implausible += 1
            return []
        return self.sequence.offer(trade, first, last, now_s)

    def fill(self, trades: Sequence[Trade], now_s: float, *, more: bool) -> list[Trade | Lost]:
        """Take a page of trades that was fetched."""
        return self.sequence.fill([(int(trade.trade_id), trade) for trade in trades], now_s, more=more)


class CandleTape:
    """The bars of one interval; a bar's number is its opening time in intervals since the epoch."""

    def __init__(self, interval: str, max_wait_s: float) -> None:
        self.interval = interval
        self.length_ns = length_ns(interval)
        self.sequence: Sequencer[Candle] = Sequencer(None, Patience(max_wait_s=max_wait_s, grace_s=CANDLE_GRACE_S))

    def restore(self, closed_until: int) -> None:
        """Bars that open before ``closed_until`` (ns) are in the stream as closed."""
        self.sequence.last = closed_until // self.length_ns - 1

    def offer(self, candle: Candle, now_s: float) -> list[Candle | Lost]:
        """Take a live bar; a running one may come many times, a closed one once."""
        number = candle.open_time // self.length_ns
        known = self.sequence.last
        if known is not None and number - known > MAX_JUMP:
            return []
        return self.sequence.offer(candle, number, number, now_s, advances=candle.closed)

    def fill(self, candles: Sequence[Candle], now_s: float, *, more: bool) -> list[Candle | Lost]:
        """Take a page of closed bars that was fetched."""
        return self.sequence.fill([(c.open_time // self.length_ns, c) for c in candles], now_s, more=more)

    def opens_at(self, number: int) -> int:
        """When the bar of a number opens (ns)."""
        return number * self.length_ns
