"""All streams of one Binance symbol: what is pushed, when and in which order (sheet, section 4)."""

from __future__ import annotations

from collections.abc import Container, Iterator

from tests.simulator import binance_frames as frames
from tests.simulator.binance_aggregates import Aggregates
from tests.simulator.binance_depth import DepthDiff, PartialDepth
from tests.simulator.binance_klines import KlinePushes
from tests.simulator.binance_streams import PARTIAL_DEPTHS, Stream, name, wrap
from tests.simulator.candles import SECOND_MS
from tests.simulator.desk import Desk
from tests.simulator.events import BookChange, Candle, CandleClosed, Event, TakerOrder
from tests.simulator.source import Frame, Kind

STEP_MS = 10
"""Grid of all pushes, so the longest that a real-time frame waits."""
FAST_MS = 100
SHOWN_MS = 50
"""Period of the book that REST shows: every other state is the end of a diff, which is the usual case on the real
exchange, the others lie inside one (section 5.1)."""
KLINE_MS = 2_000


class Board:
    """Turns the events of one desk into frames.

    Args:
        desk: The symbol; it must count its sequence numbers by level.
        aggregates: Aggregate trades so far.
        wanted: Streams that anybody is subscribed to; frames of others are not made.
        phase_ms: Shift of the periodic pushes, so that not all symbols push at once; a multiple of STEP_MS.
    """

    def __init__(self, desk: Desk, aggregates: Aggregates, wanted: Container[Stream], phase_ms: int = 0) -> None:
        self.desk = desk
        self.aggregates = aggregates
        self.shown_id = desk.seq
        """Id of the book that REST shows."""
        self._wanted = wanted
        self._phase_ms = phase_ms
        symbol = desk.instrument.name
        self._trade, self._agg_trade = name(symbol, "trade"), name(symbol, "aggTrade")
        self._best, self._ticker, self._mini = (name(symbol, c) for c in ("bookTicker", "ticker", "miniTicker"))
        self._best_state: object = None
        self._fast, self._slow = (
            (name(symbol, "depth@100ms"), DepthDiff(desk)),
            (name(symbol, "depth"), DepthDiff(desk)),
        )
        self._fast_tops = [(name(symbol, f"depth{n}@100ms"), PartialDepth(desk, n)) for n in PARTIAL_DEPTHS]
        self._slow_tops = [(name(symbol, f"depth{n}"), PartialDepth(desk, n)) for n in PARTIAL_DEPTHS]
        self._klines = {interval: name(symbol, f"kline_{interval}") for interval in desk.candles}
        self._bars = KlinePushes(desk, lambda interval: self._wants(self._klines[interval]))

    def on_event(self, event: Event, now_ms: int) -> Iterator[Frame]:
        """Frames that follow an event at once: trades and best quotes."""
        instrument = self.desk.instrument
        match event:
            case BookChange():
                self._fast[1].note(event)
                self._slow[1].note(event)
            case TakerOrder():
                rows = self.aggregates.add(event)
                if self._wants(self._trade):
                    for trade in event.trades:
                        yield from self._send(self._trade, frames.trade(instrument, trade, now_ms))
                if self._wants(self._agg_trade):
                    for row in rows:
                        yield from self._send(self._agg_trade, frames.agg_trade(instrument, row, now_ms))
            case CandleClosed():
                self._bars.ended(event.period, event.candle, now_ms)

    def step(self, now_ms: int) -> Iterator[Frame]:
        """Frames of one moment of the grid."""
        since = now_ms - self._phase_ms
        yield from self._best_quotes()
        if since % SHOWN_MS == 0:
            self.shown_id = self.desk.seq
        if since % FAST_MS == 0:
            yield from self._depth(now_ms, *self._fast)
            yield from self._tops(self._fast_tops)
        if since % SECOND_MS == 0:
            yield from self._depth(now_ms, *self._slow)
            yield from self._tops(self._slow_tops)
            if self._wants(self._ticker):
                yield from self._send(self._ticker, frames.ticker(self.desk, now_ms))
            if self._wants(self._mini):
                yield from self._send(self._mini, frames.mini_ticker(self.desk, now_ms))
        yield from self._candles(now_ms, since)

    def _candles(self, now_ms: int, since: int) -> Iterator[Frame]:
        """The final push of a candle comes before the first of the next."""
        for interval, candle in self._bars.final(now_ms):
            yield from self._kline(interval, candle, now_ms, closed=True)
        if since % SECOND_MS == 0:
            turn = self._klines if since % KLINE_MS == 0 else [i for i in ("1s",) if i in self._klines]
            for interval, candle in self._bars.running(now_ms, turn):
                yield from self._kline(interval, candle, now_ms, closed=False)

    def _kline(self, interval: str, candle: Candle, now_ms: int, *, closed: bool) -> Iterator[Frame]:
        end_ms = self.desk.candles[interval].period.next_open(candle.open_ms)
        text = frames.kline(self.desk.instrument, interval, candle, end_ms, now_ms, closed=closed)
        return self._send(self._klines[interval], text)

    def _best_quotes(self) -> Iterator[Frame]:
        """In real time, if a best price or its quantity changed (section 4.2)."""
        if not self._wants(self._best):
            return
        state = (self.desk.book.bids.best(), self.desk.book.asks.best())
        if state != self._best_state:
            self._best_state = state
            yield from self._send(self._best, frames.book_ticker(self.desk))

    def _depth(self, now_ms: int, stream: str, diff: DepthDiff) -> Iterator[Frame]:
        if text := diff.push(now_ms, wanted=self._wants(stream)):
            yield from self._send(stream, text, Kind.BOOK_UPDATE, self.desk.instrument.name)

    def _tops(self, tops: list[tuple[str, PartialDepth]]) -> Iterator[Frame]:
        for stream, top in tops:
            if self._wants(stream) and (text := top.push()):
                yield from self._send(stream, text)

    def _wants(self, stream: str) -> bool:
        return Stream(stream) in self._wanted or Stream(stream, combined=True) in self._wanted

    def _send(self, stream: str, text: bytes, kind: Kind = Kind.DATA, instrument: str = "") -> Iterator[Frame]:
        """The frame in the forms that are wanted."""
        if (raw := Stream(stream)) in self._wanted:
            yield Frame(text, kind, raw, instrument)
        if (combined := Stream(stream, combined=True)) in self._wanted:
            yield Frame(wrap(stream, text), kind, combined, instrument)
