"""``manager-cli doctor``: checks what the fleet stands on, and says how to mend what is wrong."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from common.config import ExchangeCollectorConfig
from common.errors import EXIT_FAILURE, EXIT_OK, RedisUnreachableError
from common.fleet_file import Fleet
from manager.cli.doctor.exchange_checks import check_exchanges
from manager.cli.doctor.exchange_places import places
from manager.cli.doctor.findings import Finding, Level, bad, ok
from manager.cli.doctor.gather import host_facts, redis_facts
from manager.cli.doctor.host_checks import check_host
from manager.cli.doctor.redis_checks import check_redis
from manager.cli.doctor.visits import visit_all
from manager.cli.look import Look, look
from manager.cli.tools import Tools
from manager.cli.wrapping import wrapped
from manager.figures.forecast import full_bytes
from manager.rival import MEND

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.BAD: "red", Level.SKIPPED: "bright_black"}

_DISK_OF_MEMORY = 3
"""An append-only file is rewritten when it has doubled, and for that time the new one stands beside it."""


def doctor(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the exchanges out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array and nothing else.")] = False,
) -> None:
    """Check Redis, supervisord, this machine and the way to the exchanges, and say how to mend what is wrong.

    Changes nothing. Of the exchanges it opens each socket once and asks for the time; that takes some seconds where one
    does not answer, and then it looks for another of their addresses that does.

    \b
    manager-cli doctor
    manager-cli doctor --json | jq '.[] | select(.level == "bad")'

    \b
    exit codes: 0 nothing is bad (there may be warnings), 1 something is, also a Redis that cannot be reached,
                2 wrong usage or fleet file
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    fleet = tools.fleet()
    collectors = fleet.collectors
    client = tools.connect(fleet.redis)
    try:
        seen = look(tools, fleet, client)
        collectors = tuple(judgement.config for judgement in seen.judgements)
        wanted_bytes = _wanted_bytes(fleet, collectors, seen)
        findings = check_redis(redis_facts(fleet, client, wanted_bytes))
    except RedisUnreachableError as error:
        seen, wanted_bytes = None, _wanted_bytes(fleet, collectors, None)
        findings = [
            bad("redis", str(error), "manager-cli logs redis, where it is the fleet's own; is TICKFLEET_ROOT right?")
        ]
    finally:
        client.close()
    manager = {} if seen is None else seen.manager
    if seen is not None and manager:
        findings.append(bad("manager", seen.rival, MEND) if seen.rival else ok("manager", "it acts for this fleet"))
    findings += check_host(host_facts(tools, len(collectors), _DISK_OF_MEMORY * wanted_bytes, manager))
    if not offline:
        enabled = [config for config in collectors if config.enabled]
        findings += check_exchanges(visit_all(places(enabled), tools.clock))
    if as_json:
        sys.stdout.write(json.dumps([_to_json(finding) for finding in findings]) + "\n")
    else:
        _print(findings)
    raise typer.Exit(EXIT_FAILURE if any(finding.level is Level.BAD for finding in findings) else EXIT_OK)


def _wanted_bytes(fleet: Fleet, collectors: Iterable[ExchangeCollectorConfig], seen: Look | None) -> int:
    """What Redis takes when the streams are full: as the manager has measured them, else by typical sizes."""
    if seen is not None and seen.figures is not None and seen.figures.memory is not None:
        return seen.figures.memory.redis_full_bytes
    return full_bytes(collectors, fleet.redis.maxlen)


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        line = wrapped(f"{finding.level.value:<8} {finding.check:<{width}}  {finding.found}", width + 11)
        typer.echo(typer.style(line[:8], fg=_COLOURS[finding.level]) + line[8:])
        if finding.mend:
            typer.echo(wrapped(f"{'':<8} {'':<{width}}  -> {finding.mend}", width + 14))
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    typer.echo(", ".join(f"{count} {level.value}" for level, count in counts.items() if count))


def _to_json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "found": finding.found,
        "mend": finding.mend,
    }
