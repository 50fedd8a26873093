"""The command line: global options, the list of commands, and how an error is reported: one line and an exit code."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace
from typer.core import TyperGroup

from common.config.environment import from_here
from manager.cli.context import Tools, default_tools
from manager.cli.data.coverage_command import coverage
from manager.cli.data.export_command import export
from manager.cli.data.tail_command import tail
from manager.cli.doctor.command import doctor
from manager.cli.fleet.fleet_commands import list_collectors, validate
from manager.cli.fleet.plan_command import apply_file, plan
from manager.cli.fleet.redis_command import ask_redis
from manager.cli.fleet.unban_command import unban
from manager.cli.orders.membership_commands import add, remove
from manager.cli.orders.order_commands import disable, enable, start, stop
from manager.cli.orders.restart_command import restart, restart_all
from manager.cli.show.events_command import events
from manager.cli.show.logs_command import logs
from manager.cli.show.status_command import status
from manager.cli.show.why_command import why
from manager.model.formatting import Zone
from tickfleet.contract.suggestions import of_known
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, FleetError, InvalidConfigurationError, UsageError
from tickfleet.version import VERSION

_HELP = """Watch and steer the fleet of market-data collectors.

A collector's ID is exchange:SYMBOL, e.g. okx:BTC-USDT. Where an ID is wanted a pattern ('okx:*-USDT') or 'all' will do,
unless the command says otherwise. Quote patterns, or the shell expands them.

\b
manager-cli status                      how is the fleet?
manager-cli status --watch              the same, refreshed each second
manager-cli why okx:BTC-USDT            why is it so, and what was done about it?
manager-cli events --follow             what happens in the fleet?
manager-cli doctor                      what would harm it, and how to mend that
manager-cli restart okx:BTC-USDT        restart one collector, the others go on
manager-cli stop okx:BTC-USDT           until it is started; 'disable' until it is enabled
manager-cli add okx SOL-USDT            one collector more; 'remove' takes it out
manager-cli logs okx:BTC-USDT -f        what does it say?
manager-cli unban okx                   call it again, although it has turned us away for a time
manager-cli tail okx:BTC-USDT trade     what does it publish? live; also orderbook, ticker, candles, coverage
manager-cli export okx:BTC-USDT trade --from -1h x.parquet       its data as a file
manager-cli redis XREVRANGE KEY + - COUNT 3     any command to the fleet's Redis
manager-cli validate my-fleet.toml      would this fleet file work?
manager-cli plan                        what would the fleet file change? 'apply' takes it

\b
exit codes: 0 done, 1 not all is well, 2 wrong usage or fleet file, 3 Redis or supervisord cannot be reached
"""
_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[
    2
]  # the base of all errors of parsing, however typer packs it


_NO_CHOICE = re.compile(r"(?:Value error, )?'([^']*)' is not one of ((?:'[^']*'(?:, )?)+)\.")


def _with_nearest(message: str) -> str:
    """The parser's message for an unknown choice, with the nearest known one."""
    found = _NO_CHOICE.search(message)
    if found is None:
        return message
    known = found[2].replace("'", "").split(", ")
    return f"{message[: found.start()]}'{found[1]}'{of_known(found[1], known)}{message[found.end() :]}"


class OneLineErrors(TyperGroup):
    """Tells expected errors in one line on stderr, with the exit code of the error."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **rest: Any) -> Any:
        """Run the command line and exit."""
        rest["standalone_mode"] = False
        try:
            code = super().main(global_first(sys.argv[1:] if args is None else args), *more, **rest)
        except FleetError as error:
            bad_file = isinstance(error, InvalidConfigurationError)  # for a command that is a matter of its arguments
            _fail(str(error), EXIT_USAGE if bad_file else error.exit_code)
        except _CLICK_ERROR as error:
            message = getattr(error, "format_message", error.__str__)()
            _fail(f"{_with_nearest(' '.join(message.split()))} (see manager-cli --help)", EXIT_USAGE)
        except typer.Abort:
            sys.exit(EXIT_FAILURE)
        except BrokenPipeError:  # as of ``| head``: who reads has seen enough
            _leave_output()
            code = EXIT_OK
        except OSError as error:  # of a file or folder that this command was to look at
            place = "" if error.filename is None else f"{error.filename}: "
            _fail(f"{place}{error.strerror or type(error).__name__}", EXIT_FAILURE)
        sys.exit(code if isinstance(code, int) else EXIT_OK)


def global_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--fleet FILE`` and ``--local`` moved to the front: a user may write them anywhere."""
    first, others, rest = list[str](), list[str](), list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            others += [argument, *rest]
            break
        if argument == "--fleet":
            if not rest:
                raise UsageError("--fleet wants the name of a file")
            first += [argument, rest.pop(0)]
        elif argument.startswith("--fleet=") or argument == "--local":
            first.append(argument)
        else:
            others.append(argument)
    return first + others


def _leave_output() -> None:
    """Discard what is not written yet; else Python would report at its exit that it cannot write it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fail(message: str, code: int) -> None:
    typer.echo(f"manager-cli: {message}", err=True)
    sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"manager-cli {VERSION}")
        raise typer.Exit


app = typer.Typer(
    cls=OneLineErrors,
    help=_HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    fleet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The fleet file (default: $TICKFLEET_FLEET, else deploy/fleet.toml)."),
    ] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Show times in this machine's zone, in place of UTC. Only what manager and collectors wrote as text "
            "(a cause in the journal, a last error) keeps the UTC that it names.",
        ),
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    """Take up the global options."""
    Zone.local = local
    tools = context.obj if isinstance(context.obj, Tools) else default_tools()
    context.obj = tools if fleet is None else replace(tools, fleet_path=from_here(fleet, "--fleet"))


app.command()(status)
app.command("list")(list_collectors)
app.command()(validate)
app.command()(start)
app.command()(stop)
app.command()(restart)
app.command("restart-all")(restart_all)
app.command()(enable)
app.command()(disable)
app.command()(add)
app.command()(remove)
app.command()(unban)
app.command()(plan)
app.command("apply")(apply_file)
app.command()(logs)
app.command()(tail)
app.command()(export)
app.command()(coverage)
app.command()(why)
app.command()(events)
app.command()(doctor)
app.command("redis", context_settings={"ignore_unknown_options": True})(ask_redis)
