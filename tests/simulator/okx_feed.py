"""All channels of one OKX instrument: what is pushed, when and in which order (sheet, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from tests.simulator.candles import SECOND_MS
from tests.simulator.desk import Desk
from tests.simulator.events import BookChange, CandleClosed, Event, TakerOrder
from tests.simulator.okx_book import BookChannel, TopChannel
from tests.simulator.okx_channels import Arg
from tests.simulator.okx_frames import aggregate_rows, candle_row, frame, ticker_row, trade_row
from tests.simulator.source import Frame, Kind

STEP_MS = 10
"""Grid of all pushes: the period of `bbo-tbt` (sheet, section 5)."""
TICKER_MS = 100


@dataclass(frozen=True, slots=True)
class PushPeriods:
    """Moments of the periodic pushes, all multiples of STEP_MS.

    Attributes:
        book_ms: Period of `books` and `books5`.
        refresh_ms: Period of the book that REST shows, at most book_ms.
        phase_ms: Shift of this instrument, so that not all push at once.
    """

    book_ms: int = 100
    refresh_ms: int = 50
    phase_ms: int = 0


class SymbolFeed:
    """Turns the events of one desk into frames.

    Args:
        desk: The instrument.
        periods: Of the pushes.
        wanted: Args that anybody is subscribed to; frames of others are not made.
        now_ms: Time of the first state.
    """

    def __init__(self, desk: Desk, periods: PushPeriods, wanted: Container[Arg], now_ms: int) -> None:
        name = desk.instrument.name
        self.desk = desk
        self.book = BookChannel(desk, now_ms)
        self._periods = periods
        self._wanted = wanted
        self._five = TopChannel(desk, "books5", 5)
        self._best = TopChannel(desk, "bbo-tbt", 1)
        self._trades = Arg("trades", inst_id=name)
        self._matches = Arg("trades-all", inst_id=name)
        self._ticker = Arg("tickers", inst_id=name)
        self._ticker_state: object = None
        self._bars = {bar: Arg(f"candle{bar}", inst_id=name) for bar in desk.candles}
        self._bar_of = {arg: bar for bar, arg in self._bars.items()}
        self._bar_sent: dict[str, int] = {}

    def on_event(self, event: Event) -> Iterator[Frame]:
        """Frames that follow an event at once: trades and closed bars."""
        instrument = self.desk.instrument
        match event:
            case BookChange():
                self.book.note(event)
            case TakerOrder():
                if self._trades in self._wanted:  # each push holds exactly one element (sheet 4.1)
                    for row in aggregate_rows(instrument, event):
                        yield _data(self._trades, [row])
                if self._matches in self._wanted:
                    for trade in event.trades:
                        yield _data(self._matches, [trade_row(instrument, trade)])
            case CandleClosed():
                if (arg := self._bars[event.period]) in self._wanted:
                    yield _data(arg, [candle_row(instrument, event.candle, closed=True)])

    def step(self, now_ms: int) -> Iterator[Frame]:
        """Frames of one moment of the grid; order of the channels as in section 5, rule 6."""
        since = now_ms - self._periods.phase_ms
        if (arg := self._best.arg) in self._wanted and (text := self._best.push(now_ms)):
            yield Frame(text, Kind.DATA, arg)
        if since % self._periods.book_ms == 0:
            yield from self._book_update(now_ms)
            if (arg := self._five.arg) in self._wanted and (text := self._five.push(now_ms)):
                yield Frame(text, Kind.DATA, arg)
        elif since % self._periods.refresh_ms == 0:
            self.book.refresh(now_ms)
        if since % TICKER_MS == 0 and self._ticker in self._wanted:
            yield from self._changed_ticker(now_ms)
        if now_ms % SECOND_MS == 0:
            yield from self._running_bars(now_ms)

    def initial(self, arg: Arg, now_ms: int) -> list[Frame]:
        """What a new subscription gets at once. `books` too: whether that is sent is the caller's choice."""
        order = self.desk.last_order
        if arg == self._trades:  # the most recent past trade (sheet 4.1)
            return [_data(arg, aggregate_rows(self.desk.instrument, order)[-1:])] if order else []
        if arg == self._ticker:
            return [_data(arg, [ticker_row(self.desk, now_ms)])]
        if arg == self.book.arg:
            return [Frame(self.book.snapshot(now_ms), Kind.DATA, arg)]
        for channel in (self._five, self._best):
            if arg == channel.arg:
                return [Frame(channel.snapshot(), Kind.DATA, arg)]
        if arg in self._bar_of:
            bar = self.desk.candles[self._bar_of[arg]].running
            return [_data(arg, [candle_row(self.desk.instrument, bar, closed=False)])]
        return []

    def _book_update(self, now_ms: int) -> Iterator[Frame]:
        """A heartbeat does not count as an update: losing it makes no gap."""
        arg, before = self.book.arg, self.book.sent_seq
        if text := self.book.push(now_ms, wanted=arg in self._wanted):
            if self.book.sent_seq != before:
                yield Frame(text, Kind.BOOK_UPDATE, arg, self.desk.instrument.name)
            else:
                yield Frame(text, Kind.DATA, arg)

    def _changed_ticker(self, now_ms: int) -> Iterator[Frame]:
        """On a trade or a change of the best prices, at most every 100 ms (sheet 4.2)."""
        book = self.desk.book
        state = (self.desk.next_trade_id, book.bids.best(), book.asks.best())
        if state != self._ticker_state:
            self._ticker_state = state
            yield _data(self._ticker, [ticker_row(self.desk, now_ms)])

    def _running_bars(self, now_ms: int) -> Iterator[Frame]:
        """At most one push a second, if the bar changed (sheet 4.4)."""
        for bar, arg in self._bars.items():
            if arg not in self._wanted:
                continue
            series = self.desk.candles[bar]
            if series.version != self._bar_sent.get(bar) and series.running.open_ms < now_ms:
                self._bar_sent[bar] = series.version
                yield _data(arg, [candle_row(self.desk.instrument, series.running, closed=False)])


def _data(arg: Arg, rows: list[dict[str, object]] | list[list[str]]) -> Frame:
    return Frame(frame(arg, rows), Kind.DATA, arg)
