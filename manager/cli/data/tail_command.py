"""``manager-cli tail``: what a collector publishes, live."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from common.process.event_loop import run
from manager.cli.context import Tools, tell
from manager.cli.data.selection import RequestedType, choose, parse_kind
from manager.cli.data.viewing.documents import entry_json, ledger_json
from manager.cli.data.viewing.ledgers import LedgerRow, Ledgers
from manager.cli.data.viewing.lines import entry_line, ledger_line, width_of
from manager.cli.data.viewing.output import Printer, is_terminal
from manager.cli.effective import Site, at_site
from manager.cli.times import parse_start
from tickfleet._util.times import NEW
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.entries import Entry
from tickfleet.redis.config import RedisConfig

_IDLE_S = 1.0
_LOOK_EVERY_S = 0.5
_REDRAW_EVERY_S = 0.1
"""As often as the eye follows; a busy book changes more often."""


def tail(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID|PATTERN|all", help="Whose data.")],
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="trade, orderbook, ticker, candles, candles:1m, or coverage.")
    ],
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Begin there: new, oldest, an entry id (behind it), 2h30m (so long ago), or a time."
        ),
    ] = NEW,
    levels: Annotated[int, typer.Option(min=1, help="How many of a book's levels on each side.")] = 10,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many entries.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else.")] = False,
) -> None:
    """Show what a collector publishes, until Ctrl-C. Times are UTC, or local (--local).

    On a terminal: a line for each trade (green: bought, red: sold, by the taker), ticker and candle; what the collector
    says of its data (gap, feed) is in its place, and so is MISSED where entries were removed unread. The order
    book of one collector is a ladder that is redrawn, with VALID, SYNCING or DOUBTFUL and the reason; with --since, or
    of several collectors, its entries are shown line by line.

    Elsewhere, or with --json: one JSON object per entry and line: collector, stream, id, type, and the fields as in the
    stream (decimals are strings, times ns).

    \b
    manager-cli tail okx:BTC-USDT trade
    manager-cli tail okx:BTC-USDT orderbook --levels 20
    manager-cli tail 'okx:*' ticker
    manager-cli tail okx:BTC-USDT candles:1m --since 2h
    manager-cli tail okx:BTC-USDT trade --json --count 100 | jq -r .price

    \b
    exit codes: 0 ended by Ctrl-C, --count or a reader that has seen enough, 2 no such collector or type, or it is not
                collected, 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    requested = parse_kind(kind, ledger=True)
    start = parse_start("--since", since, tools.clock.now_ns())
    plain = as_json or not is_terminal()
    with at_site(tools) as site:
        collectors, redis = choose(site, name, requested), site.file.redis
        try:
            if requested.data_type is None:
                _follow_ledgers(site, collectors, start, plain, count)
            elif requested.data_type is DataType.ORDERBOOK and not plain and start == NEW and len(collectors) == 1:
                # What is amiss is in the title; lines in between would tear the view.
                with _readers_log(logging.NullHandler()):
                    run(_show_book(collectors[0], redis, levels, count))
            else:
                with _readers_log(_Teller()):
                    run(_follow(collectors, requested, start, redis, plain, count))
        except KeyboardInterrupt:
            return


# --- data: see ``tools`` for the imports inside ----------------------------------------------------------------------


async def _follow(
    collectors: Sequence[CollectorId],
    kind: RequestedType,
    start: str | datetime,
    redis: RedisConfig,
    plain: bool,
    count: int | None,
) -> None:
    from tickfleet.reading.subscriber import Subscriber

    names = [str(collector) for collector in collectors]
    width = width_of(names)
    printer = Printer[Entry](entry_json if plain else lambda entry: entry_line(entry, width), count)
    passed_over = 0
    async with Subscriber(names, str(kind), start=start, redis=redis) as subscriber:
        async for batch in subscriber.batches(idle_s=_IDLE_S):
            printer.show(batch.entries)
            passed_over = _tell_passed_over(passed_over, subscriber.skipped.unknown + subscriber.skipped.malformed)
            if printer.done:
                return


def _tell_passed_over(before: int, now: int) -> int:
    """Say that entries were passed over, each time that there are more."""
    if now > before:
        tell(f"{now - before} entries cannot be read by this version and were passed over")
    return now


class _Teller(logging.Handler):
    """A stream that is not there yet, a Redis that is away: on stderr, as all that a command has to tell."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


@contextmanager
def _readers_log(handler: logging.Handler) -> Iterator[None]:
    """Where readers have to tell something it goes there."""
    from tickfleet.reading.streams.connect import LOGGER

    LOGGER.addHandler(handler)
    propagates, LOGGER.propagate = LOGGER.propagate, False
    try:
        yield
    finally:
        LOGGER.propagate = propagates
        LOGGER.removeHandler(handler)


# --- a book -----------------------------------------------------------------------------------------------------------


async def _show_book(collector: CollectorId, redis: RedisConfig, levels: int, count: int | None) -> None:
    from rich.live import Live

    from manager.cli.columns import console
    from manager.cli.data.viewing.book_view import view_of
    from tickfleet.reading.live_book import LiveBook

    title = f"{collector} orderbook"
    async with LiveBook(str(collector), redis=redis) as book:
        drawn = 0
        with Live(console=console(), auto_refresh=False) as live:
            async for _ in book.changes():
                live.update(view_of(title, book, levels), refresh=True)
                drawn += 1
                if drawn == count:
                    return
                await asyncio.sleep(_REDRAW_EVERY_S)


# --- ledgers ----------------------------------------------------------------------------------------------------------


def _follow_ledgers(
    site: Site, collectors: Sequence[CollectorId], start: str | datetime, plain: bool, count: int | None
) -> None:
    width = width_of([str(collector) for collector in collectors])
    printer = Printer[LedgerRow](ledger_json if plain else lambda row: ledger_line(row, width), count)
    ledgers, passed_over = Ledgers(site.client, site.file.redis, collectors, start), 0
    while not printer.done:
        try:
            rows = ledgers.read(site.tools.clock.now_ns())
        except RedisUnreachableError as error:
            tell(str(error))
            rows = []
        printer.show(rows)
        passed_over = _tell_passed_over(passed_over, ledgers.unreadable)
        if not rows:
            site.tools.wait(_LOOK_EVERY_S)
