"""``manager-cli restart`` and ``restart-all``: by supervisord's own means, so that they work without the manager."""

from typing import Annotated

import typer

from manager.cli.context import Tools, tell
from manager.cli.effective import at_site
from manager.cli.orders.order_commands import AsJson
from manager.cli.orders.orders import choose
from manager.cli.orders.restart_job import RestartJob, known
from manager.cli.orders.results import Report
from manager.cli.orders.target import Result
from manager.cli.patterns import ALL

AT_ONCE = 10
"""How many collectors are down at the same time while many are restarted."""

ROLLING_AT_ONCE = 3
"""The same for a rolling restart."""

Limit = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for each to be running again.")]


def restart(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="ID|PATTERN|all...", help="Which collectors.")],
    timeout: Limit = 90.0,
    as_json: AsJson = False,
) -> None:
    """Restart collectors and wait until they are running again; the others go on untouched.

    Many are restarted ten at a time. Disabled and stopped collectors are left out, and so are those of a pattern that
    the manager has not brought in yet. Works without the manager.

    \b
    exit codes: 0 all are running again, 1 some are not,
                2 no such collector, or a disabled one; 3 Redis or supervisord cannot be reached

    \b
    manager-cli restart okx:BTC-USDT
    manager-cli restart 'okx:*-USDT' --timeout 120
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _restart(context.obj, names, AT_ONCE, timeout, as_json=as_json, go_on=True, rolling=False)


def restart_all(
    context: typer.Context,
    at_once: Annotated[int, typer.Option(min=1, max=10, help="So many are down together.")] = ROLLING_AT_ONCE,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a batch that failed.")] = False,
    timeout: Limit = 90.0,
    as_json: AsJson = False,
) -> None:
    """Restart the whole fleet, a few at a time.

    The next few are restarted only when those before them are running again; where one is not, the rest continues as it
    is, with what it had. Works without the manager.

    \b
    manager-cli restart-all
    manager-cli restart-all --at-once 1 --keep-going

    \b
    exit codes: 0 all are running again, 1 some are not, or were left alone after one that is not,
                2 wrong usage or fleet file, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _restart(context.obj, [ALL], at_once, timeout, as_json=as_json, go_on=keep_going, rolling=True)


def _restart(
    tools: Tools, names: list[str], at_once: int, limit_s: float, *, as_json: bool, go_on: bool, rolling: bool
) -> None:
    with at_site(tools) as site:
        waiting, unknown = known(site, choose(site.desired, names), names)
        for each in unknown:
            tell(f"{each} is left out: supervisord does not know it yet (manager-cli plan)")
        batch_size = at_once if rolling else len(waiting)
        with Report("restart-all" if rolling else "restart", len(waiting), as_json=as_json) as report:
            job, well = RestartJob(site, limit_s, report), True
            while waiting and (well or go_on):
                batch, waiting = waiting[:batch_size], waiting[batch_size:]
                well = job.run(batch, at_once)
            for each in waiting:
                report.add(Result(id=each, done=False, outcome="left as it is, after one that failed"))
    raise typer.Exit(report.exit_code)
