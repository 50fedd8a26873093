"""``manager-cli status``: how the fleet is, from its heartbeats."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import EXIT_FAILURE, EXIT_OK, RedisUnreachableError
from common.fleet_file import Fleet
from manager.cli.look import Look, look
from manager.cli.status import all_well, to_json
from manager.cli.tools import Tools

if TYPE_CHECKING:
    from rich.console import Console

    from common.redis_client import SyncRedis

WATCH_EVERY_S = 1.0


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh each second until Ctrl-C.")] = False,
) -> None:
    """Show how every collector is.

    Works from the heartbeats in Redis alone, whether the manager runs or not; supervisord is asked where its socket
    can be reached.

    \b
    exit codes: 0 all desired collectors are healthy, 1 some are not,
                2 wrong usage or fleet file, 3 Redis cannot be reached

    \b
    manager-cli status --watch
    manager-cli status --json | jq '.collectors[] | select(.verdict != "healthy")'
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    fleet = tools.fleet()
    client = tools.connect(fleet.redis)
    try:
        if watch:
            _watch(tools, fleet, client, as_json)
            return
        seen = look(tools, fleet, client)
        _print(seen, as_json)
    finally:
        client.close()
    raise typer.Exit(EXIT_OK if all_well(seen) else EXIT_FAILURE)


def _print(seen: Look, as_json: bool, before: Look | None = None) -> None:
    if as_json:
        sys.stdout.write(json.dumps(to_json(seen)) + "\n")
        sys.stdout.flush()
        return
    from manager.cli.table import console, render  # rich is slow to import, and JSON needs none

    console().print(render(seen, before))


def _watch(tools: Tools, fleet: Fleet, client: "SyncRedis", as_json: bool) -> None:
    """Look again and again until Ctrl-C. Redis has to answer the first look; later it may be away for a while."""
    seen = look(tools, fleet, client)
    try:
        if as_json or not sys.stdout.isatty():
            _watch_plainly(tools, fleet, client, as_json, seen)
        else:
            _watch_live(tools, fleet, client, seen)
    except KeyboardInterrupt:
        return


def _watch_plainly(tools: Tools, fleet: Fleet, client: "SyncRedis", as_json: bool, seen: Look) -> None:
    before: Look | None = None
    while True:
        _print(seen, as_json, before)
        tools.wait(WATCH_EVERY_S)
        before = seen
        try:
            seen = look(tools, fleet, client)
        except RedisUnreachableError as error:
            typer.echo(f"manager-cli: {error}", err=True)


def _watch_live(tools: Tools, fleet: Fleet, client: "SyncRedis", seen: Look) -> None:
    from rich.live import Live  # see above

    from manager.cli.table import console, render

    out: Console = console()
    with Live(render(seen), console=out, auto_refresh=False, screen=True) as live:
        while True:
            tools.wait(WATCH_EVERY_S)
            before = seen
            try:
                seen = look(tools, fleet, client)
            except RedisUnreachableError as error:
                live.update(f"manager-cli: {error}", refresh=True)
                continue
            live.update(render(seen, before), refresh=True)
