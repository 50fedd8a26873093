"""``manager-cli unban``: end what an exchange's answer has begun, where a person knows better."""

import socket
from typing import Annotated

import typer

from common.config.exchanges import profile
from manager.cli.context import Tools, login_name
from manager.cli.effective import at_site
from manager.cli.show.fleet_view import read_fleet_view
from manager.decide.bans import bans_of
from manager.model.journal_entries import JournalEntry, What, write_now
from tickfleet.contract import keys
from tickfleet.errors import EXIT_OK

_KEPT_S = 4 * 24 * 3600
"""Longer than any ban: who met one sees by the count that it was lifted."""


def unban(
    context: typer.Context,
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Which exchange, e.g. okx.")],
    why: Annotated[str, typer.Option("--why", "-m", metavar="TEXT", help="The reason, for the journal.")] = "",
) -> None:
    """Let the collectors of an exchange call and connect again, although it has turned this machine away for a time.

    A ban follows from an answer (HTTP 403, 418, 429) and its Retry-After; 'status' and 'why' say which. It holds for
    all collectors of the exchange on a machine, and is lifted on all machines of the fleet. Collectors see it within
    10 s. Where the exchange still means it, its next answer bans anew; Binance makes bans of who does not heed them
    longer each time.

    \b
    manager-cli unban okx --why "the proxy in front of it was wrong"

    \b
    exit codes: 0 lifted, or there was none; 2 no such exchange; 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    profile(exchange)
    from common.redis.redis_py import translated_errors  # see ``tools``

    with at_site(tools) as site:
        seen = read_fleet_view(tools, site.file, site.client)
        beats = [each.pulse.heartbeat for each in seen.judgements if each.id.exchange == exchange]
        hosts = {socket.gethostname(), *(beat.host for beat in beats if beat is not None)}
        known = bans_of((each.id, each.pulse) for each in seen.judgements).get(exchange)
        lifted = 0
        with translated_errors(site.file.redis):
            for host in sorted(hosts):
                key = keys.ban(f"{exchange}@{host}")
                lifted += site.client.hget(key, "until") not in (None, "0")
                with site.client.pipeline(transaction=False) as pipe:
                    pipe.hset(key, "until", "0")
                    pipe.hincrby(key, "lifts", 1)
                    pipe.expire(key, _KEPT_S)
                    pipe.execute()
            entry = JournalEntry(
                at_ns=tools.clock.now_ns(),
                who=login_name(),
                what=What.UNBANNED,
                why=why,
                details={"exchange": exchange},
            )
            write_now(site.client, entry)
    if known is not None:
        typer.echo(f"{exchange}: lifted; it was {known}")
    else:
        typer.echo(f"{exchange}: lifted" if lifted else f"{exchange}: there was no ban")
    raise typer.Exit(EXIT_OK)
