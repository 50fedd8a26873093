"""All streams of one Binance symbol: what is pushed, when and in which order (sheet, section 4)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from tests.simulator import binance_frames as frames
from tests.simulator.binance_aggregates import Aggregates
from tests.simulator.binance_depth import DepthDiff, PartialDepth
from tests.simulator.binance_klines import KlinePushes
from tests.simulator.binance_streams import CUTS, PARTIAL_DEPTHS, Stream, name, topic, wrap
from tests.simulator.candles import SECOND_MS
from tests.simulator.desk import Desk
from tests.simulator.events import BookChange, Candle, CandleClosed, Event, TakerOrder
from tests.simulator.source import Frame, Kind

STEP_MS = 10
"""Grid of all pushes, so the longest that a real-time frame waits."""
FAST_MS = 100
CUT_MS = 50
"""How much later than the first one the second server cuts depth."""
SHOWN_MS = 50
"""Period of the book that REST shows: every other state is the end of a diff, which is the usual case on the real
exchange, the others lie inside one (section 5.1)."""
KLINE_MS = 2_000


@dataclass(frozen=True, slots=True)
class _Window:
    """The depth streams of one speed, as one server cuts them."""

    cut: int
    every_ms: int
    stream: str
    diff: DepthDiff
    tops: list[tuple[str, PartialDepth]]


class SymbolFeed:
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
        self._windows = [
            _Window(
                cut,
                every_ms,
                name(symbol, f"depth{speed}"),
                DepthDiff(desk),
                [(name(symbol, f"depth{n}{speed}"), PartialDepth(desk, n)) for n in PARTIAL_DEPTHS],
            )
            for cut in CUTS
            for every_ms, speed in ((FAST_MS, "@100ms"), (SECOND_MS, ""))
        ]
        self._klines = {interval: name(symbol, f"kline_{interval}") for interval in desk.candles}
        self._bars = KlinePushes(desk, lambda interval: self._wants(self._klines[interval]))

    def on_event(self, event: Event, now_ms: int) -> Iterator[Frame]:
        """Frames that follow an event at once: trades and best quotes."""
        instrument = self.desk.instrument
        match event:
            case BookChange():
                for window in self._windows:
                    window.diff.note(event)
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
        for window in self._windows:
            if (since - window.cut * CUT_MS) % window.every_ms == 0:
                yield from self._depth(now_ms, window)
        if since % SECOND_MS == 0:
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

    def _depth(self, now_ms: int, window: _Window) -> Iterator[Frame]:
        cut, stream = window.cut, window.stream
        if text := window.diff.push(now_ms, wanted=self._wants(stream, cut)):
            yield from self._send(stream, text, Kind.BOOK_UPDATE, self.desk.instrument.name, cut)
        for stream, top in window.tops:
            if self._wants(stream, cut) and (text := top.push()):
                yield from self._send(stream, text, cut=cut)

    def _wants(self, stream: str, cut: int = 0) -> bool:
        return any(topic(stream, combined=combined, cut=cut) in self._wanted for combined in (False, True))

    def _send(
        self, stream: str, text: bytes, kind: Kind = Kind.DATA, instrument: str = "", cut: int = 0
    ) -> Iterator[Frame]:
        """The frame in the forms that are wanted."""
        for combined in (False, True):
            if (form := topic(stream, combined=combined, cut=cut)) in self._wanted:
                yield Frame(wrap(stream, text) if combined else text, kind, form, instrument)
