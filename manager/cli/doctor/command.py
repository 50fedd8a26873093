"""``manager-cli doctor``: checks what the fleet needs, and says how to mend what is wrong."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from common.config.fleet_file import Fleet, load_wanted_fleet
from common.redis.rights import Login
from common.redis.servers import Servers
from manager.cli.context import Tools, another_fleet
from manager.cli.doctor.exchange_checks import check_exchanges, check_start
from manager.cli.doctor.exchange_places import places
from manager.cli.doctor.findings import Finding, Severity, bad
from manager.cli.doctor.fleet_checks import check_limits, check_manager
from manager.cli.doctor.gather import host_facts, missing_rights, redis_facts, servers
from manager.cli.doctor.host_checks import check_host
from manager.cli.doctor.redis_checks import check_redis, check_rights, check_room_unseen
from manager.cli.doctor.server_checks import check_servers
from manager.cli.doctor.visits import visit_all
from manager.cli.show.fleet_view import FleetView, live_heartbeats, read_fleet_view, unshared_limits
from manager.cli.wrapping import wrapped
from manager.desired.overrides import merge
from manager.report.figures.capacity import capacity_of
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, RedisUnreachableError

_LOGS_OF_REDIS = "manager-cli logs redis, where it is the fleet's own"
_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.BAD: "red", Severity.SKIPPED: "bright_black"}


def doctor(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A fleet file to look ahead for; the fleet that runs where none is named.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the exchanges out.")] = False,
    rights: Annotated[
        Login, typer.Option(help="Whose rights in Redis the login of this call must have; fleet: all of them.")
    ] = Login.FLEET,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array and nothing else.")] = False,
) -> None:
    """Check Redis, supervisord, this machine and the way to the exchanges, and say how to mend what is wrong.

    Changes nothing. Of the exchanges it opens each socket once and asks for the time; that takes some seconds where one
    does not answer, and then it looks for another of their addresses that does.
    What the fleet needs when its streams are full is reported for the file that is named, or as it has been edited.

    \b
    manager-cli doctor
    manager-cli doctor my-fleet.toml
    manager-cli doctor --json | jq '.[] | select(.level == "bad")'

    \b
    exit codes: 0 nothing is bad (there may be warnings), 1 something is, also a Redis that cannot be reached,
                2 wrong usage or fleet file
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    if file is not None:
        tools = replace(tools, fleet_path=file)
        fleet = wanted = load_wanted_fleet(file, tools.environment)
    else:
        standing = tools.standing()
        standing.warn()
        fleet, wanted = standing.fleet, standing.edited or standing.fleet
    found = servers(fleet)
    client = tools.connect(fleet.redis)
    try:
        seen = read_fleet_view(tools, fleet, client)
        collectors, manager = merge(wanted, seen.changes).fleet.collectors, seen.manager
        rival = seen.rival
        capacity = capacity_of(collectors, wanted.redis.maxlen, seen.figures)
        findings = check_redis(redis_facts(fleet, client, capacity, seen))
        findings += [_rights(fleet, rights, found), _limits(seen)]
    except RedisUnreachableError as error:
        collectors, manager, rival = wanted.collectors, {}, ""
        capacity = capacity_of(collectors, wanted.redis.maxlen, None)
        findings = [bad("redis", str(error), f"{_LOGS_OF_REDIS}; {another_fleet(tools.environment)}")]
        findings += check_room_unseen(capacity)
        if not all(each.trouble for each in found.servers):  # a Cluster whose nodes answer, but not to this login
            findings.append(_rights(fleet, rights, found))
    finally:
        client.close()
    findings += check_servers(found)
    if file is None:
        findings.append(check_manager(manager, rival))
    findings += check_host(host_facts(tools, fleet, capacity, manager))
    findings += check_start(capacity.starts)
    if not offline:
        enabled = [config for config in collectors if config.enabled]
        findings += check_exchanges(visit_all(places(enabled), tools.clock))
    if as_json:
        sys.stdout.write(json.dumps([_to_json(finding) for finding in findings]) + "\n")
    else:
        _print(findings)
    raise typer.Exit(EXIT_FAILURE if any(finding.level is Severity.BAD for finding in findings) else EXIT_OK)


def _rights(fleet: Fleet, login: Login, found: Servers) -> Finding:
    try:
        return check_rights(missing_rights(fleet, login, found))
    except RedisUnreachableError as error:
        return check_rights(None, str(error))


def _limits(seen: FleetView) -> Finding:
    beats = live_heartbeats(seen)
    unread = beats.count(None)
    return check_limits(len(beats) - unread, unread, unshared_limits(seen))


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        line = wrapped(f"{finding.level.value:<8} {finding.check:<{width}}  {finding.found}", width + 11)
        typer.echo(typer.style(line[:8], fg=_COLOURS[finding.level]) + line[8:])
        if finding.mend:
            typer.echo(wrapped(f"{'':<8} {'':<{width}}  -> {finding.mend}", width + 14))
    counts = {level: sum(finding.level is level for finding in findings) for level in Severity}
    typer.echo(", ".join(f"{count} {level.value}" for level, count in counts.items() if count))


def _to_json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "found": finding.found,
        "mend": finding.mend,
    }
