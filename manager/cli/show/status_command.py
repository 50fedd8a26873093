"""``manager-cli status``: how the fleet is, from its heartbeats."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from manager.cli.context import Standing, Tools, tell
from manager.cli.show.fleet_view import FleetView, read_fleet_view
from manager.cli.show.status import all_well, to_json
from manager.cli.unapplied import count_unapplied, unapplied_line
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, InvalidConfigurationError, RedisUnreachableError

if TYPE_CHECKING:
    from rich.console import Console

    from common.redis.redis_py import SyncRedis

WATCH_EVERY_S = 1.0


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh each second until Ctrl-C.")] = False,
    hint: Annotated[list[str] | None, typer.Option(hidden=True, help="A line above the view of --watch.")] = None,
) -> None:
    """Show how every collector is.

    Works from the heartbeats in Redis alone, whether the manager runs or not; supervisord is asked where its socket
    can be reached. The fleet is as the manager has taken it from the fleet file; a note tells of later edits.

    \b
    exit codes: 0 all desired collectors are healthy, 1 some are not,
                2 wrong usage or fleet file, 3 Redis cannot be reached

    \b
    manager-cli status --watch
    manager-cli status --json | jq '.collectors[] | select(.verdict != "healthy")'
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    standing = tools.standing()
    standing.warn()
    client = tools.connect(standing.fleet.redis)
    try:
        seen = _see(tools, client, standing)
        if watch:
            _watch(tools, client, as_json, seen, hint or [])
            return
        _print(seen, as_json)
    finally:
        client.close()
    raise typer.Exit(EXIT_OK if all_well(seen.view) else EXIT_FAILURE)


class _Sight(Struct, frozen=True):
    """What was seen; ``unapplied`` as ``count_unapplied`` has it."""

    view: FleetView
    unapplied: int | None


def _see(tools: Tools, client: "SyncRedis", standing: Standing) -> _Sight:
    seen = read_fleet_view(tools, standing.fleet, client)
    return _Sight(seen, count_unapplied(standing, seen.changes, tools.environment))


def _print(seen: _Sight, as_json: bool, before: _Sight | None = None) -> None:
    if as_json:
        sys.stdout.write(json.dumps(to_json(seen.view, seen.unapplied)) + "\n")
        sys.stdout.flush()
        return
    from manager.cli.columns import console  # rich is slow to import, and JSON needs none
    from manager.cli.show.status_table import render

    console().print(render(seen.view, before.view if before else None))
    if note := unapplied_line(seen.unapplied):
        tell(note)


def _watch(tools: Tools, client: "SyncRedis", as_json: bool, seen: _Sight, hints: Sequence[str]) -> None:
    """Look again and again until Ctrl-C. Redis had to answer the first look; later it may be away for a while.

    The ``hints`` of who calls us are shown with the view: on the screen that it takes nothing else can be read.
    """
    try:
        if as_json or not sys.stdout.isatty():
            _watch_plainly(tools, client, as_json, seen)
        else:
            _watch_live(tools, client, seen, hints)
    except KeyboardInterrupt:
        return


def _watch_plainly(tools: Tools, client: "SyncRedis", as_json: bool, seen: _Sight) -> None:
    before: _Sight | None = None
    while True:
        _print(seen, as_json, before)
        tools.wait(WATCH_EVERY_S)
        before = seen
        try:
            seen = _see(tools, client, tools.standing())  # the fleet may have become another
        except (RedisUnreachableError, InvalidConfigurationError) as error:
            tell(str(error))


def _watch_live(tools: Tools, client: "SyncRedis", seen: _Sight, hints: Sequence[str]) -> None:
    from rich.console import Group  # see above
    from rich.live import Live
    from rich.text import Text

    from manager.cli.columns import console
    from manager.cli.show.status_table import render

    def view(now: _Sight, before: _Sight | None = None) -> Group:
        note = unapplied_line(now.unapplied)
        return Group(
            *(Text(hint, "dim") for hint in hints),
            *([note] if note else []),
            render(now.view, before.view if before else None),
        )

    out: Console = console()
    with Live(view(seen), console=out, auto_refresh=False, screen=True) as live:
        while True:
            tools.wait(WATCH_EVERY_S)
            before = seen
            try:
                seen = _see(tools, client, tools.standing())
            except (RedisUnreachableError, InvalidConfigurationError) as error:
                live.update(f"manager-cli: {error}", refresh=True)
                continue
            live.update(view(seen, before), refresh=True)
