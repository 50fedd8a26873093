"""``manager-cli start``, ``stop``, ``enable`` and ``disable``: what an operator wants of collectors, kept in Redis."""

from typing import Annotated

import typer

from manager.cli.context import Tools
from manager.cli.orders.orders import Change, Order, change, choose
from manager.cli.orders.submit import carry_out
from manager.desired.overrides import Desired, Stamp

Names = Annotated[list[str], typer.Argument(metavar="ID|PATTERN|all...", help="Which collectors.")]
Why = Annotated[str, typer.Option("--why", "-m", metavar="TEXT", help="The reason, for the journal and the status.")]
Timeout = Annotated[float, typer.Option(min=1, help="Give up when no collector has got there for so many seconds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def start(
    context: typer.Context, names: Names, why: Why = "", timeout: Timeout = 90.0, as_json: AsJson = False
) -> None:
    """Start collectors, and wait until they run.

    Undoes a stop. One that the manager leaves alone after too many restarts, or that refused its configuration, is
    tried now. One that runs already continues. Disabled collectors are left out, and refused where they are named:
    enable them.

    \b
    manager-cli start okx:BTC-USDT
    manager-cli start 'okx:*-USDT' --timeout 120

    \b
    exit codes: 0 all are running, 1 some are not, or the manager is not there (what was stopped is started when it is),
                2 no such collector, or a disabled one; 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _carry_out(context.obj, Order.START, names, why, timeout, as_json)


def stop(context: typer.Context, names: Names, why: Why = "", timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """Stop collectors until they are started again.

    Waits until they have stopped; what they have is flushed. This lasts, through restarts of manager and Redis. The
    streams stay, and what was missed meanwhile is fetched at the next start as far as the exchange has it.

    \b
    manager-cli stop okx:BTC-USDT --why "moved to another machine"

    \b
    exit codes: 0 all have stopped, 1 some have not, or the manager is not there (they are stopped when it is),
                2 no such collector, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _carry_out(context.obj, Order.STOP, names, why, timeout, as_json)


def enable(
    context: typer.Context, names: Names, why: Why = "", timeout: Timeout = 90.0, as_json: AsJson = False
) -> None:
    """Enable collectors, and wait until they run.

    Undoes a disable, a stop and a removal, and outranks 'enabled = false' in the fleet file. One that was removed has
    to be named by its ID.

    \b
    manager-cli enable okx:SOL-USDT

    \b
    exit codes: 0 all are running, 1 some are not, or the manager is not there (they are enabled when it is),
                2 no such collector, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _carry_out(context.obj, Order.ENABLE, names, why, timeout, as_json)


def disable(
    context: typer.Context, names: Names, why: Why = "", timeout: Timeout = 30.0, as_json: AsJson = False
) -> None:
    """Disable collectors until they are enabled.

    Waits until they have stopped. As 'stop', but 'start all' passes over them: for what is not to run for the time
    being.

    \b
    manager-cli disable 'okx:*-PERP' --why "not licensed yet"

    \b
    exit codes: 0 all have stopped, 1 some have not, or the manager is not there (they are disabled when it is),
                2 no such collector, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    _carry_out(context.obj, Order.DISABLE, names, why, timeout, as_json)


def _carry_out(tools: Tools, order: Order, names: list[str], why: str, timeout_s: float, as_json: bool) -> None:
    def decide(desired: Desired, stamp: Stamp) -> list[Change]:
        return [change(desired, order, each, stamp) for each in choose(desired, names, order)]

    raise typer.Exit(carry_out(tools, order, why, decide, timeout_s, as_json=as_json))
