"""``manager-cli logs``: the log file of a collector, of the manager, of its watcher, or of Redis."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from manager.cli.context import Tools
from manager.cli.show.log_tail import follow, last_lines
from tickfleet.contract.identity import CollectorId
from tickfleet.contract.suggestions import did_you_mean, same_collector
from tickfleet.errors import FleetError, InvalidConfigurationError, UsageError

OTHERS = ("manager", "redis", "watchdog")
"""Programs with a log file of their own name."""


def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID|manager|redis|watchdog", help="Whose log.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of its last lines.")] = 50,
    follow_on: Annotated[bool, typer.Option("-f", "--follow", help="Print what is added, until Ctrl-C.")] = False,
) -> None:
    """Print the end of a log.

    \b
    manager-cli logs okx:BTC-USDT -n 200
    manager-cli logs manager -f
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    path = _path(tools, name)
    try:
        text, end = last_lines(path, lines)
        _write(text)
        if follow_on:
            for added in follow(path, end, tools.wait):
                _write(added)
    except KeyboardInterrupt:
        return
    except FileNotFoundError as error:
        raise FleetError(f"{name} has no log yet ({path})") from error
    except PermissionError as error:
        raise FleetError(f"{path} may not be read by this user") from error


def _path(tools: Tools, name: str) -> Path:
    if name in OTHERS:
        return tools.environment.logs / f"{name}.log"
    try:
        path = tools.environment.logs / f"{CollectorId.parse(name).program}.log"
    except InvalidConfigurationError:
        path = None
    if path is not None and path.is_file():  # also that of a collector which has left the fleet
        return path
    names = [str(config.id) for config in tools.fleet().collectors]
    if path is None or name not in names:
        hint = same_collector(name, names) or did_you_mean(name, OTHERS)
        others = ", ".join(OTHERS)
        raise UsageError(
            f"there is no log of {name!r}{hint} (known: {others}, and the IDs that manager-cli list shows)"
        )
    return path


def _write(text: bytes) -> None:
    sys.stdout.write(text.decode("utf-8", "replace"))
    sys.stdout.flush()
