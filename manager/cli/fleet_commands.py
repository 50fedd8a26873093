"""``manager-cli list`` and ``validate``: the fleet file, as it is understood."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from common.config import ExchangeCollectorConfig
from common.fleet_file import Fleet, load_wanted_fleet
from manager.cli.tools import Tools


def list_collectors(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array and nothing else.")] = False,
) -> None:
    """List the collectors of the fleet file with their settings."""
    tools: Tools = context.obj
    fleet = tools.fleet()
    if as_json:
        sys.stdout.write(json.dumps([describe(config) for config in fleet.collectors]) + "\n")
        return
    from rich.table import Table  # slow to import, and JSON needs none
    from rich.text import Text

    from manager.cli.table import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("collector", "enabled", "data", "candles", "auto restart", "silence s", "other"):
        table.add_column(name)
    for config in fleet.collectors:
        table.add_row(*(Text(text) for text in _cells(config)))
    console().print(table)


def describe(config: ExchangeCollectorConfig) -> dict[str, Any]:
    """The settings of one collector, for JSON."""
    return {
        "id": str(config.id),
        "enabled": config.enabled,
        "data_types": [data_type.value for data_type in config.data_types],
        "candle_intervals": list(config.candle_intervals),
        "auto_restart": config.auto_restart,
        "health_check_interval": config.health_check_interval,
        "max_backfill_wait": config.max_backfill_wait,
        "store_raw_data": config.store_raw_data,
        "custom_params": dict(config.custom_params or {}),
        "config_id": config.fingerprint(),
    }


def _cells(config: ExchangeCollectorConfig) -> tuple[str, ...]:
    others = [f"{name}={value}" for name, value in (config.custom_params or {}).items()]
    if config.store_raw_data:
        others.append("raw data stored")
    return (
        str(config.id),
        "yes" if config.enabled else "no",
        " ".join(data_type.value for data_type in config.data_types),
        " ".join(config.candle_intervals),
        "yes" if config.auto_restart else "no",
        f"{config.health_check_interval:g}",
        " ".join(others),
    )


def validate(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The fleet file; the one in use where none is named.")] = None,
) -> None:
    """Check a fleet file: exit code 0 where it can be used, else 2 and one line that says where it is wrong and why.

    \b
    manager-cli validate && supervisorctl -c deploy/supervisord.conf signal HUP manager
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
