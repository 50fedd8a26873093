"""manager-cli with a real Redis: what reads streams as services do wants one."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from common.config.environment import Environment
from manager.cli.app import app
from manager.cli.context import Tools
from tests.manager.cli.stage import FLEET
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer


class RedisStage:
    """The fleet of ``stage``; ``client`` writes the streams as collectors would."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.server, self.folder = server, folder
        self.client: Any = server.client
        self.fleet_path = folder / "fleet.toml"
        self.fleet_path.write_text(f'[redis]\nurl = "{server.url}"\n\n{FLEET}')
        environment, self.clock = Environment(root=folder, fleet_path=self.fleet_path), ManualClock()
        self.tools = Tools(environment=environment, fleet_path=self.fleet_path, clock=self.clock)

    def run(self, *arguments: str) -> Result:
        """Call the command; it must end by itself."""
        return CliRunner().invoke(app, list(arguments), obj=self.tools)
