"""``manager-cli events``: what happened in the fleet, from the journal."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from common.config.fleet_file import Fleet
from manager.cli.context import Tools
from manager.cli.patterns import ALL, select
from manager.cli.show.event_format import INDENT, Event, Mood, concerns, line, to_json
from manager.cli.show.journal_reader import added_after, newest_first
from manager.cli.times import parse_past
from manager.cli.wrapping import wrapped
from tickfleet.errors import RedisUnreachableError

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis

LOOK_EVERY_S = 0.5
_COLOURS = {Mood.GOOD: "green", Mood.BAD: "red", Mood.PASSING: "yellow"}


def events(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[ID|PATTERN|all]", help="Only what concerns these.")] = ALL,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last ones.")] = 50,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="All since then instead, e.g. 2h30m or 2026-03-29T10:00.")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Print what is added, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else.")] = False,
) -> None:
    """Print what happened: verdicts that changed, what was done, by whom and why. Times are UTC, or local (--local).

    What concerns the whole fleet, as a start of the manager, is shown with every collector.

    \b
    manager-cli events -n 200
    manager-cli events 'okx:*' --since -1d
    manager-cli events --follow --json | jq 'select(.what == "parked")'

    \b
    exit codes: 0 done, 1 the journal cannot be read, 2 wrong usage or fleet file, 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    since_ns = None if since is None else parse_past("--since", since, tools.clock.now_ns())
    pattern = "*" if name == ALL else name
    fleet = tools.fleet()
    client = tools.connect(fleet.redis)
    try:
        past, last_id = _past(newest_first(client, fleet), pattern, lines, since_ns)
        if name != ALL and not any(event.collector for event in past):
            select(fleet, [name])  # one that has left the fleet may still be told of; this one is not
        for event in past:
            _print(event, as_json)
        if follow:
            for event in _added_events(tools, fleet, client, last_id):
                if concerns(event, pattern):
                    _print(event, as_json)
    except KeyboardInterrupt:
        return
    finally:
        client.close()


def _past(newest: Iterator[Event], pattern: str, lines: int, since_ns: int | None) -> tuple[list[Event], str]:
    """The events wanted, oldest first, and the id of the newest of all."""
    wanted = list[Event]()
    last_id = "0-0"
    for number, event in enumerate(newest):
        last_id = event.entry_id if number == 0 else last_id
        if (event.at_ns < since_ns) if since_ns is not None else (len(wanted) >= lines):
            break
        if concerns(event, pattern):
            wanted.append(event)
    return wanted[::-1], last_id


def _added_events(tools: Tools, fleet: Fleet, client: "SyncRedis", last_id: str) -> Iterator[Event]:
    """What is added, for ever; a Redis that is away for a while ends nothing."""
    while True:
        try:
            added = added_after(client, fleet, last_id)
        except RedisUnreachableError as error:
            typer.echo(f"manager-cli: {error}", err=True)
            added = []
        last_id = added[-1].entry_id if added else last_id
        yield from added
        if not added:
            tools.wait(LOOK_EVERY_S)


def _print(event: Event, as_json: bool) -> None:
    text = json.dumps(to_json(event)) if as_json else wrapped(line(event), INDENT)
    colour = None if as_json else _COLOURS.get(event.mood)
    typer.secho(text, fg=colour)
    sys.stdout.flush()
