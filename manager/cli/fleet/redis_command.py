"""``manager-cli redis``: any command to the fleet's Redis, where no client of its own is installed."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from manager.cli.context import Tools, tell
from manager.model.formatting import one_line, visible
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, UsageError

_FOR_EVER = frozenset({"MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"})

_TEXT = "\n\t"
"""Some answers are texts of several lines."""


def ask_redis(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="WORD...", help="The command, as Redis has it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Send one command to the fleet's Redis and print its answer, as 'redis-cli' would.

    It goes where the fleet's data is: address, password, TLS, Sentinels and Cluster are those of the fleet file or of
    TICKFLEET_REDIS_URL. Quote keys, or the shell takes their braces. A line for each element of the answer: entries of
    streams as JSON, fields of a hash as name and value; what a terminal would obey is escaped. Options of ours stand
    before the command.

    \b
    manager-cli redis XREVRANGE KEY + - COUNT 3
    manager-cli redis HGETALL KEY
    manager-cli redis CONFIG GET maxmemory

    \b
    exit codes: 0 answered, 1 Redis refuses the command, 2 wrong usage or fleet file, 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    if command[0].upper() in _FOR_EVER:
        raise UsageError(f"{command[0].upper()} has no end; 'manager-cli tail' and 'events --follow' show what comes")
    redis = tools.fleet().redis
    client = tools.connect(redis)
    from common.redis.redis_py import answer_of, translated_errors  # see ``tools``

    try:
        with translated_errors(redis):
            answer = answer_of(client, command)
    finally:
        client.close()
    if isinstance(answer, Exception):
        tell(f"Redis refuses {one_line(command[0])}: {one_line(str(answer))}")
        raise typer.Exit(EXIT_FAILURE)
    said = [json.dumps(answer, default=str)] if as_json else [visible(line, _TEXT) for line in lines(answer)]
    sys.stdout.write("".join(f"{line}\n" for line in said))
    raise typer.Exit(EXIT_OK)


def lines(answer: Any) -> Iterator[str]:
    """An answer for people; nothing for an empty one."""
    if isinstance(answer, Mapping):
        yield from (f"{name} {_text(value)}" for name, value in answer.items())
    elif isinstance(answer, list | tuple | set):
        yield from map(_text, answer)
    elif answer is not None:
        yield _text(answer)


def _text(value: Any) -> str:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if plain else json.dumps(value, ensure_ascii=False, default=str)
