"""Pure: an entry as a line for a terminal. Times are the events'."""

from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len

from manager.cli.data.viewing.ledgers import LedgerRow
from manager.cli.times import date_time
from manager.cli.wrapping import padded
from manager.model.formatting import one_line
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, FeedState, FeedStatus, Gap, Level, Ticker, Trade
from tickfleet.reading.entries import Entry, Missed, Rewound

_MARK = "━━"
"""Before what is no data but says something of it."""


class ShownLine(Struct, frozen=True):
    """A line and how it is shown; ``colour`` None: as usual."""

    text: str
    colour: str | None = None
    bold: bool = False


def entry_line(entry: Entry, name_width: int = 0) -> ShownLine:
    """An entry of a data stream.

    Args:
        entry: The entry.
        name_width: For several collectors: the width of the longest name; each line then begins with the name. 0: no
            name.
    """
    event = entry.event
    match event:
        case Trade():
            line = _trade(event)
        case Ticker():
            line = ShownLine(_ticker(event))
        case Candle():
            line = _candle(event)
        case BookSnapshot():
            line = ShownLine(f"snapshot ({one_line(event.reason)})  {_book(event)}", "cyan")
        case BookDelta():
            line = ShownLine(f"delta  {_book(event)}")
        case Gap():
            line = ShownLine(f"{_MARK} GAP  {gap_text(event)}", "red", bold=True)
        case FeedStatus():
            good = event.state in (FeedState.CONNECTED, FeedState.RESYNCED)
            line = ShownLine(
                f"{_MARK} feed {event.state.value}: {one_line(event.reason)}", "cyan" if good else "yellow", True
            )
        case Missed():
            number = "some (nobody knows how many)" if event.count is None else str(event.count)
            text = f"{_MARK} MISSED  {number} entries were gone before they could be read ({event.reason})"
            line = ShownLine(text, "red", bold=True)
        case Rewound():
            number = "entries" if event.count is None else f"{event.count} entries"
            text = f"{_MARK} REWOUND  Redis came back older: {number} that were read are not in the stream any more"
            line = ShownLine(text, "red", bold=True)
    name = f"{padded(str(entry.collector), name_width)}  " if name_width else ""
    return ShownLine(f"{date_time(event.ts_event)}  {name}{line.text}", line.colour, line.bold)


def width_of(names: Sequence[str]) -> int:
    """The ``name_width`` where collectors of these names are shown together."""
    return max(map(cell_len, names)) if len(names) > 1 else 0


def _trade(trade: Trade) -> ShownLine:
    more = "  backfill" if trade.origin == "backfill" else ""
    more += f"  {one_line(trade.count)} matches" if trade.count is not None else ""
    price, size, trade_id = map(one_line, (trade.price, trade.size, trade.trade_id))
    text = f"{trade.side:<4} {price:>14} {size:>16}  id {trade_id}{more}"
    return ShownLine(text, "green" if trade.side == "buy" else "red")


def _ticker(ticker: Ticker) -> str:
    figures = (
        ("last", ticker.last, ticker.last_size),
        ("bid", ticker.bid, ticker.bid_size),
        ("ask", ticker.ask, ticker.ask_size),
        ("24 h low", ticker.low_24h, None),
        ("high", ticker.high_24h, None),
        ("volume", ticker.volume_24h, None),
    )
    said = [
        f"{name} {one_line(price)}{f' x {one_line(size)}' if size is not None else ''}"
        for name, price, size in figures
        if price is not None
    ]
    return "   ".join(said)


def _candle(candle: Candle) -> ShownLine:
    names = ("open", "high", "low", "close", "volume")
    prices = "  ".join(f"{name} {one_line(getattr(candle, name))}" for name in names)
    text = f"{one_line(candle.interval)} bar of {date_time(candle.open_time)}  {prices}"
    return ShownLine(f"{text}  closed", bold=True) if candle.closed else ShownLine(f"{text}  running")


def _book(event: BookSnapshot | BookDelta) -> str:
    sides = "   ".join(_side(name, levels) for name, levels in (("bids", event.bids), ("asks", event.asks)))
    return sides if event.seq is None else f"{sides}   seq {event.seq}"


def _side(name: str, levels: list[Level]) -> str:
    best = f", first {one_line(levels[0].price)} x {one_line(levels[0].size)}" if levels else ""
    return f"{len(levels)} {name}{best}"


def gap_text(gap: Gap) -> str:
    """What is missing and why."""
    parts = [f"missing for good ({one_line(gap.reason)})"]
    for name, first, last in (
        ("ids", one_line(gap.from_id or ""), one_line(gap.to_id or "")),
        ("times", date_time(gap.from_ts) if gap.from_ts else "", date_time(gap.to_ts) if gap.to_ts else ""),
    ):
        if first or last:
            parts.append(f"{name} between {first or '…'} and {last or '…'}")
    return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]


_LEDGER_COLOURS = {"gap_opened": "yellow", "gap_filled": "green", "gap_lost": "red", "opened": "cyan"}


def ledger_line(row: LedgerRow, name_width: int = 0) -> ShownLine:
    """An entry of a completeness ledger."""
    entry = row.entry
    of = f"{entry.data_type.value} {entry.interval}".rstrip()
    times = [(word, at) for word, at in (("from", entry.from_ts), ("to", entry.to_ts)) if at is not None]
    ids = [f"{word} id {one_line(i)}" for word, i in (("from", entry.from_id), ("to", entry.to_id)) if i is not None]
    parts = [*(f"{word} {date_time(at)}" for word, at in times), *ids]
    parts += [f"({one_line(entry.reason)})"] if entry.reason else []
    parts += ["continues what was complete"] if entry.continues else []
    name = f"{padded(str(row.collector), name_width)}  " if name_width else ""
    text = f"{date_time(entry.at)}  {name}{of:<12} {entry.kind.value:<10}  {'  '.join(parts)}"
    return ShownLine(text, _LEDGER_COLOURS.get(entry.kind.value))
