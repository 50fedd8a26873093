"""An order book as a ladder for a terminal: asks above, bids below, best prices in the middle. Imports rich."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from manager.cli.times import date_time
from manager.model.formatting import one_line
from tickfleet.contract.events import Level
from tickfleet.reading.book.book_state import NOT_JOINED
from tickfleet.reading.book.ladder import decimal_of
from tickfleet.reading.live_book import LiveBook

_LONGEST_BAR = 40
_OTHER_LINES = 3
"""Spread, footer, and the cursor's."""


class BookView(Struct, frozen=True):
    """What is to be seen of a book.

    Attributes:
        title: Whose it is.
        reason: Why the book cannot be trusted; empty if it can. If it cannot, the levels are the last known ones.
        bids, asks: Best first.
        at_ns: When its last change was received; 0: never.
        joins: How often it was joined.
    """

    title: str
    reason: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    at_ns: int = 0
    seq: int | None = None
    joins: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What rich asks for."""
        title = self._title().wrap(console, options.max_width)  # an id is never cut, it takes the lines that it needs
        most = max((options.size.height - len(title) - _OTHER_LINES) // 2, 1)
        bids, asks = self.bids[:most], self.asks[:most]
        shown = [*bids, *asks]
        largest = max((decimal_of(level.size) for level in shown), default=Decimal(0)) or Decimal(1)
        prices = max((len(level.price) for level in shown), default=0)
        sizes = max((len(level.size) for level in shown), default=0)
        bar_width = max(min(_LONGEST_BAR, options.max_width - prices - sizes - 4), 0)
        bar = "#" if options.ascii_only else "█"

        def row(level: Level, colour: str) -> Text:
            length = round(bar_width * decimal_of(level.size) / largest)
            text = _line(f"{level.price:>{prices}}  {level.size:>{sizes}}  ", "dim" if self.reason else "")
            return text.append(bar * length, style="bright_black" if self.reason else colour)

        yield title
        for level in reversed(asks):
            yield row(level, "red")
        yield self._middle()
        for level in bids:
            yield row(level, "green")
        yield _line(self._footer(), "dim")

    def _title(self) -> Text:
        title = Text(f"{self.title}  ", "bold", overflow="fold")
        if not self.reason:
            return title.append(" VALID ", style="black on green")
        if self.reason == NOT_JOINED:
            return title.append(" SYNCING ", style="black on yellow").append(f" {NOT_JOINED}")
        return title.append(" DOUBTFUL ", style="white on red").append(f" {one_line(self.reason)}")

    def _middle(self) -> Text:
        if self.reason:
            return _line("── not to be relied upon: what was known last ──", "yellow")
        if not (self.bids and self.asks):
            return _line("── one side is empty ──", "yellow")
        bid, ask = decimal_of(self.bids[0].price), decimal_of(self.asks[0].price)
        return _line(f"── spread {ask - bid:f}   mid {(bid + ask) / 2:f} ──", "bold")

    def _footer(self) -> str:
        if not self.at_ns:
            return "nothing received yet"
        number = "" if self.seq is None else f"   seq {self.seq}"
        return f"last change {date_time(self.at_ns)}{number}   joins {self.joins}"


def _line(text: str, style: str) -> Text:
    """One line, however narrow the terminal is: a wrapped one would push others out of it."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def view_of(title: str, book: LiveBook, levels: int) -> BookView:
    """The book as it is now."""
    known = book.last_known
    return BookView(
        title, book.reason, known.bids.top(levels), known.asks.top(levels), known.ts_recv, known.seq, book.joins
    )
