"""``manager-cli list`` and ``validate``: the fleet as it is understood."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from common.config.collector import DEFAULT_TRANSPORT, ExchangeCollectorConfig
from common.config.fleet_file import Fleet, load_wanted_fleet
from manager.cli.context import Tools, tell
from manager.cli.effective import at_site
from manager.cli.unapplied import count_unapplied, unapplied_line
from manager.desired.overrides import Desired, Override


def list_collectors(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array and nothing else.")] = False,
) -> None:
    """List the collectors with their settings.

    Those of the fleet file as the manager has taken it, with what was changed at run time.

    \b
    manager-cli list
    manager-cli list --json | jq '.[] | select(.origin != "file") | .id'

    \b
    exit codes: 0 done, 2 wrong usage or fleet file, 3 Redis (with what was changed at run time) cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    with at_site(tools) as site:
        desired = site.desired
        unapplied = unapplied_line(count_unapplied(site.standing, site.changes, tools.environment))
    if as_json:
        rows = [describe(desired, config) for config in (*desired.fleet.collectors, *removed_configs(desired))]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    from manager.cli.columns import Column, Columns, console  # rich is slow to import, and JSON needs none

    columns = (
        Column("collector", 0),
        Column("state", 1),
        Column("data", 2, least=20),
        Column("candles", 4, least=12),
        Column("auto restart", 6),
        Column("silence s", 7),
        Column("other", 5, least=20),
        Column("changed at run time", 3, least=24),
    )
    every = (*desired.fleet.collectors, *removed_configs(desired))
    console().print(Columns(columns, [_cells(desired, config) for config in every]))
    for trouble in desired.troubles:
        typer.echo(trouble, err=True)
    if unapplied:
        tell(unapplied)


def removed_configs(desired: Desired) -> list[ExchangeCollectorConfig]:
    """The collectors that the file lists and an operator has removed, as they stand in the file."""
    return [desired.in_file[name] for name in desired.removed]


def state_of(desired: Desired, config: ExchangeCollectorConfig) -> str:
    """``enabled``, or the run-time change that keeps it from running, or ``disabled`` by the file."""
    override = desired.overrides.get(config.id)
    if override is not None:
        return override.state.value
    return "enabled" if config.enabled else "disabled"


def describe(desired: Desired, config: ExchangeCollectorConfig) -> dict[str, Any]:
    """What ``list --json`` says of one collector."""
    override = desired.overrides.get(config.id)
    return {
        "id": str(config.id),
        "origin": "file" if config.id in desired.in_file else "added",
        "state": state_of(desired, config),
        "changed": override and {"who": override.who, "at": override.at, "why": override.why},
        "enabled": config.enabled and state_of(desired, config) == "enabled",
        "data_types": [data_type.value for data_type in config.data_types],
        "candle_intervals": list(config.candle_intervals),
        "auto_restart": config.auto_restart,
        "health_check_interval": config.health_check_interval,
        "max_backfill_wait": config.max_backfill_wait,
        "store_raw_data": config.store_raw_data,
        "transport": config.transport,
        "custom_params": dict(config.custom_params or {}),
        "config_id": config.fingerprint(),
    }


def _cells(desired: Desired, config: ExchangeCollectorConfig) -> tuple[str, ...]:
    override = desired.overrides.get(config.id)
    others = [f"{name}={value}" for name, value in (config.custom_params or {}).items()]
    if config.store_raw_data:
        others.append("raw data stored")
    if config.transport != DEFAULT_TRANSPORT:
        others.append(f"transport={config.transport}")
    return (
        str(config.id),
        state_of(desired, config),
        " ".join(data_type.value for data_type in config.data_types),
        " ".join(config.candle_intervals),
        "yes" if config.auto_restart else "no",
        f"{config.health_check_interval:g}",
        " ".join(others),
        _history(override) if override else "",
    )


def _history(override: Override) -> str:
    """``stopped by alice at …``, with who added it where that was somebody before him."""
    added = f"{override.added.told('added')}; " if override.added else ""
    return added + override.sentence()


def validate(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The fleet file; the one in use where none is named.")] = None,
) -> None:
    """Check a fleet file: exit code 0 where it can be used, else 2 and one line that says where it is wrong and why.

    \b
    manager-cli validate && manager-cli apply
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    path = file or tools.fleet_path
    typer.echo(f"OK: {path}: {_counts(load_wanted_fleet(path, tools.environment))}")


def _counts(fleet: Fleet) -> str:
    enabled = sum(config.enabled for config in fleet.collectors)
    exchanges = ", ".join(sorted({config.exchange for config in fleet.collectors}))
    disabled = len(fleet.collectors) - enabled
    return f"{len(fleet.collectors)} collectors ({enabled} enabled, {disabled} disabled)" + (
        f" on {exchanges}" if exchanges else ""
    )
