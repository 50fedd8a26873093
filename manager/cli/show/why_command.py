"""``manager-cli why``: the causes of a collector's state, and what was done about them."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from common.config.fleet_file import Fleet
from manager.cli.context import Tools
from manager.cli.effective import at_site
from manager.cli.patterns import only_one
from manager.cli.show.event_format import INDENT, concerns, line, to_entry
from manager.cli.show.fleet_view import FleetView, read_fleet_view
from manager.cli.show.journal_reader import newest_first
from manager.cli.show.why import Story, facts, to_json
from manager.cli.times import parse_past
from manager.cli.wrapping import wrapped
from manager.decide.history import CollectorPast, rebuild
from manager.settings import ManagerSettings
from tickfleet.errors import EXIT_FAILURE, EXIT_OK

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis


def why(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="Which collector, e.g. okx:BTC-USDT.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many events, counted from the last.")] = 30,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="All events since then instead, e.g. 2h30m or 2026-03-29T10:00.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Tell why a collector is as it is: what is known of it now, then the time line of causes and actions.

    \b
    manager-cli why okx:BTC-USDT
    manager-cli why okx:BTC-USDT -n 200 --json
    manager-cli why okx:BTC-USDT --since 2h30m

    \b
    exit codes: 0 it is well (or disabled), 1 it is not,
                2 no such collector or fleet file, 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    since_ns = None if since is None else parse_past("--since", since, tools.clock.now_ns())
    with at_site(tools) as site:
        seen = read_fleet_view(tools, site.file, site.client, only=only_one(site.fleet, name).id)
        story = _story(seen, site.file, site.client, lines, since_ns)
    if as_json:
        sys.stdout.write(json.dumps(to_json(story)) + "\n")
    else:
        _print(story)
    judgement = story.judgement
    raise typer.Exit(EXIT_OK if judgement.well or not judgement.config.enabled else EXIT_FAILURE)


def _story(seen: FleetView, fleet: Fleet, client: "SyncRedis", lines: int, since_ns: int | None) -> Story:
    (judgement,) = seen.judgements
    name, settings = str(judgement.id), ManagerSettings()
    events = [event for event in newest_first(client, fleet) if concerns(event, name)][::-1]
    history = rebuild([entry for event in events if (entry := to_entry(event)) is not None], settings)
    if since_ns is not None:
        lines = sum(event.at_ns >= since_ns for event in events)
    shown = events[len(events) - lines :] if lines < len(events) else events
    return Story(
        judgement=judgement,
        facts=facts(judgement, history.get(name, CollectorPast()), seen.at_ns, settings),
        events=shown,
        earlier=len(events) - len(shown),
    )


def _print(story: Story) -> None:
    judgement = story.judgement
    head = f"{judgement.id} is {judgement.verdict.value.replace('_', ' ')}: {judgement.why}"
    typer.secho(wrapped(head, 2), bold=True)
    for label, text in story.facts:
        typer.echo(wrapped(f"  {label:<10} {text}", 13))
    typer.echo("")
    if story.earlier:
        typer.echo(
            f"({story.earlier} earlier events: manager-cli why {judgement.id} -n {story.earlier + len(story.events)})"
        )
    for event in story.events:
        typer.echo(wrapped(line(event), INDENT))
    if not story.events:
        typer.echo("the journal says nothing of it")
