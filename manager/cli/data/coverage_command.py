"""``manager-cli coverage``: whether what a collector published is complete, from its ledger."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from common.config.fleet_file import Fleet
from manager.cli.context import Tools
from manager.cli.data.coverage_answer import (
    CoverageAnswer,
    Subject,
    all_complete,
    answer,
    parse_data_types,
    removed_lines,
    subjects,
    to_json,
    to_rows,
    up_to_line,
    verdict_line,
)
from manager.cli.data.kept import ROWS, KeptData, kept_data, read_on
from manager.cli.effective import Site, at_site
from manager.cli.patterns import is_pattern, select
from manager.cli.times import parse_past, parse_time
from tickfleet._util.times import OLDEST
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, State, read_entry
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import (
    EXIT_FAILURE,
    EXIT_OK,
    FleetError,
    InvalidConfigurationError,
    UndecodableFrameError,
    UsageError,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from common.redis.redis_py import SyncRedis

PAGE = 5_000
"""Entries to read at once: a few milliseconds of Redis' time, which the collectors share."""

_MOST_ROWS = 500
"""Of one table: nobody reads more."""


def coverage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="Whose data, e.g. okx:BTC-USDT.")],
    from_time: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on (default: all that retention has left).")
    ] = None,
    to_time: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to then, exclusive (default: all that is known).")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", metavar="TYPE[,TYPE]", help="Only this data (default: all collected).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Show which times a collector's streams cover without a hole, and what is missing.

    The ledger says what was published. What a stream no longer keeps of it is shown below: all before its oldest data
    (retention, XTRIM, DEL, eviction), and up to where single entries were deleted (XDEL; from Redis 7.0 on). The answer
    is not complete then, but for what retention removed before a range without --from.

    A TIME is 10m, -10m or 2h30m (so long ago), ISO 8601 (UTC where it names no zone), a unix time in s, ms, us or ns,
    the id of an entry, now, or oldest.

    \b
    exit codes: 0 the range is complete for all that is asked for, 1 it is not, or there is no ledger yet,
                2 no such collector, time or data, 3 Redis cannot be reached

    \b
    manager-cli coverage okx:BTC-USDT --from -1h
    manager-cli coverage okx:BTC-USDT --data trade --from 2026-03-29T10:00 --to 2026-03-29T11:00 && use-it
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    now_ns = tools.clock.now_ns()
    from_ts = None if from_time in (None, OLDEST) else parse_past("--from", from_time, now_ns)
    to_ts = None if to_time is None else parse_time(to_time, now_ns)
    if from_ts is not None and to_ts is not None and from_ts >= to_ts:
        raise UsageError(f"--from {from_time} is not before --to {to_time}")
    data_types = parse_data_types(data or [])
    if is_pattern(name):
        raise UsageError("coverage is shown for one collector, not for a pattern (manager-cli list shows them)")
    with at_site(tools) as site:
        collector, entries, unreadable = _ledger(site, name, now_ns)
        wanted = subjects(entries, site.fleet.find(collector), data_types)
        kept = [_kept(site.client, site.file, collector, one) for one in wanted]
    answers = [answer(entries, one, from_ts, to_ts, now_ns, of_it) for one, of_it in zip(wanted, kept, strict=True)]
    if as_json:
        sys.stdout.write(json.dumps(to_json(str(collector), answers, unreadable)) + "\n")
    else:
        _print(answers, unreadable, now_ns)
    raise typer.Exit(EXIT_OK if all_complete(answers, unreadable) else EXIT_FAILURE)


def _ledger(site: Site, name: str, now_ns: int) -> tuple[CollectorId, list[LedgerEntry], int]:
    """The collector of that name, the entries of its ledger, and the number of those that cannot be read."""
    try:
        collector = CollectorId.parse(name)
    except InvalidConfigurationError:
        select(site.fleet, [name])
        raise
    entries, unreadable = _read(site.client, site.file, collector, now_ns)
    if not entries and not unreadable:
        select(site.fleet, [name])  # one that has left the fleet may still have a ledger; this one has none
        raise FleetError(f"{name} has no coverage ledger yet ({keys.coverage(collector)})")
    return collector, entries, unreadable


def _read(client: "SyncRedis", fleet: Fleet, collector: CollectorId, now_ns: int) -> tuple[list[LedgerEntry], int]:
    from common.redis.redis_py import check_serves, is_wrong_type, translated_errors, why_refused  # see ``tools``

    key, after, entries, unreadable = keys.coverage(collector), "-", list[LedgerEntry](), 0
    while True:
        with translated_errors(fleet.redis), client.pipeline(transaction=False) as pipe:
            pipe.xrange(key, after, "+", count=PAGE)
            [page] = pipe.execute(raise_on_error=False)
            check_serves([page])
        if is_wrong_type(page):
            raise FleetError(f"{key} does not hold a ledger (it is no stream)")
        if isinstance(page, Exception):
            raise FleetError(f"the ledger {key} cannot be read{why_refused(page, f'xrange {key}')}") from page
        for _, fields in page:
            try:
                entries.append(read_entry(fields, now_ns))
            except UndecodableFrameError:
                unreadable += 1
        if len(page) < PAGE:
            return entries, unreadable
        after = f"({page[-1][0]}"


def _kept(client: "SyncRedis", fleet: Fleet, collector: CollectorId, subject: Subject) -> KeptData:
    """What the stream of that data still keeps: nothing where its key holds something else, or is not there."""
    from common.redis.redis_py import is_wrong_type, translated_errors  # see ``tools``

    key = keys.stream(collector, subject.data_type, subject.interval)
    with translated_errors(fleet.redis), client.pipeline(transaction=False) as pipe:
        pipe.xrange(key, "-", "+", count=ROWS)
        pipe.xinfo_stream(key)
        rows, info = pipe.execute(raise_on_error=False)
        if isinstance(rows, Exception) and not is_wrong_type(rows):
            raise rows
        if isinstance(info, Exception) and rows and not is_wrong_type(info):
            raise info
        if isinstance(rows, Exception) or isinstance(info, Exception):
            return KeptData()
        while (after := read_on(rows)) is not None:
            pipe.xrange(key, f"({after}", "+", count=ROWS)
            [rows] = pipe.execute()
    return kept_data(info, rows, fleet.redis.maxlen.of(subject.data_type))


def _print(answers: list[CoverageAnswer], unreadable: int, now_ns: int) -> None:
    from rich.console import Group  # slow to import, and JSON needs none
    from rich.text import Text

    from manager.cli.columns import Column, Columns, console

    styles = {State.LOST: "red", State.OPEN: "yellow", State.UNKNOWN: "yellow"}
    columns = (
        Column("from", 0),
        Column("to", 1),
        Column("length", 4),
        Column("state", 2),
        Column("ids", 5),
        Column("reason", 3, least=16),
    )
    parts: list[RenderableType] = []
    for one in answers:
        rows = []
        hidden = max(len(one.parts) - _MOST_ROWS, 0)
        for row in to_rows(one.parts[hidden:]):
            state = Text(row.state.value, styles.get(row.state, "green"))
            rows.append((row.from_ts, row.to_ts, row.length, state, row.ids, row.reason))
        parts += [Text(str(one.subject), style="bold")]
        parts += (
            [Text(f"{hidden:,} parts before these are not shown: see --json, or --from and --to")] if hidden else []
        )
        there = [index for index in range(len(columns)) if any(row[index] for row in rows)]
        table = Columns([columns[index] for index in there], [[row[index] for index in there] for row in rows])
        parts += [table] if one.parts else []
        parts += [Text(line, style="red") for line in removed_lines(one)]
        parts += [Text(up_to_line(one, now_ns)), Text()]
    console().print(Group(*parts, Text(verdict_line(answers, unreadable), style="bold")))
