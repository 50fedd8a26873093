"""The page ``cli.md``: every command with its help, as it prints that itself."""

import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from typer.main import get_group
from typer.testing import CliRunner

from collector_worker.settings import load_settings
from common.config.environment import Environment
from deploy.reference.configuration import WRITTEN
from manager.__main__ import main as manager
from manager.cli.app import app

COLUMNS = 120
"""What the help is wrapped to."""

_HERE = Environment(root=Path(), fleet_path=Path("deploy/fleet.toml"))


def page() -> str:
    """The page."""
    parts = [
        "# Commands",
        WRITTEN,
        "`manager-cli` is what an operator types. `manager` and `collector-worker` are what supervisord starts, and can"
        " be started by hand.",
    ]
    for name, text in helps():
        parts += [f"{'###' if ' ' in name else '##'} {name}", f"```text\n{text.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def helps() -> Iterator[tuple[str, str]]:
    """Each command's name and help."""
    yield "manager-cli", _of_cli()
    for name in sorted(get_group(app).commands):
        yield f"manager-cli {name}", _of_cli(name)
    yield "collector-worker", _printed(lambda: load_settings(["--help"], _HERE))
    yield "manager", _printed(lambda: manager(["--help"]))


def _of_cli(*command: str) -> str:
    ask = CliRunner().invoke
    arguments = [*command, "--help"]
    return ask(app, arguments, prog_name="manager-cli", terminal_width=COLUMNS, max_content_width=COLUMNS).stdout


def _printed(ask: Callable[[], object]) -> str:
    plain = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    with patch.dict(os.environ, plain), redirect_stdout(StringIO()) as out, suppress(SystemExit):
        ask()
    return out.getvalue()
