"""manager-cli with Redis, supervisord and time in memory."""

from pathlib import Path
from typing import Any

import fakeredis
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from manager.cli.app import app
from manager.cli.context import Tools
from manager.desired.overrides import Override, encode
from tests.manager.fakes import FakeSupervisor, ManualClock, heartbeat
from tests.support.ports import free_port
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId

FLEET = """\
[[collectors]]
exchange = "okx"
symbol = "BTC-USDT"

[[collectors]]
exchange = "okx"
symbol = "ETH-USDT"
data_types = ["trade"]
custom_params = { trade_channel = "trades" }

[[collectors]]
exchange = "okx"
symbol = "SOL-USDT"
enabled = false
"""
BTC, ETH, SOL = (CollectorId("okx", symbol) for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"))


class CliStage:
    """A fleet in memory. ``on_wait`` are called one by one as the command waits; after the last it gets Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.supervisor = FakeSupervisor(self.clock)
        self.server = fakeredis.FakeServer()
        self.redis: Any = fakeredis.FakeRedis(server=self.server, decode_responses=True)
        self.fleet_path = folder / "fleet.toml"
        self.fleet_path.write_text(FLEET)
        port = str(free_port())  # that of a fleet on this machine is none of ours
        self.environment = Environment(root=folder, fleet_path=self.fleet_path, metrics_port=port)
        self.environment.logs.mkdir(parents=True)
        (self.environment.logs / "supervisord.log").touch()
        self.on_wait: list[Any] = []
        self.page: dict[str, str] = {}
        self.tools = Tools(
            environment=self.environment,
            fleet_path=self.fleet_path,
            connect=lambda _: fakeredis.FakeRedis(server=self.server, decode_responses=True),
            supervisor=lambda *_: self.supervisor,  # type: ignore[arg-type]  # a twin, not a subclass
            page=lambda _: self.page,
            wait=self._wait,
            clock=self.clock,
        )
        self.supervisor.know(*(collector.program for collector in (BTC, ETH, SOL)))

    def run(self, *arguments: str) -> Result:
        """Call the command."""
        return CliRunner().invoke(app, list(arguments), obj=self.tools)

    def beat(self, collector: CollectorId, **changes: Any) -> Heartbeat:
        """Write a healthy heartbeat of the collector's process."""
        of = load_fleet(self.fleet_path, self.environment).find(collector)
        assert of is not None
        facts = {"pid": self.supervisor.table[collector.program].pid, **changes}
        beat = heartbeat(of, self.clock.now_ns(), **facts)
        self.redis.delete(keys.heartbeat(collector))
        self.redis.hset(keys.heartbeat(collector), mapping=dict(beat.to_fields()))
        return beat

    def all_up(self) -> None:
        """The enabled collectors run and beat."""
        for collector in (BTC, ETH):
            self.supervisor.start(collector.program)
            found = self.supervisor.table[collector.program]
            self.supervisor.table[collector.program] = replace(found, started_s=found.started_s - 600)
            self.beat(collector)
        self.supervisor.calls.clear()

    def overrides(self) -> dict[str, str]:
        """The run-time changes, as they stand in Redis."""
        found: dict[str, str] = self.redis.hgetall(keys.FLEET_DESIRED)
        return found

    def orders(self) -> list[tuple[str, str, str, str]]:
        """Who has asked for what, of whom and why, by the journal."""
        rows = [fields for _, fields in self.redis.xrange(keys.FLEET_EVENTS) if fields["what"] == "asked"]
        return [(row["who"], row["command"], row["collector"], row["why"]) for row in rows]

    def override(self, collector: str, override: Override) -> None:
        """A run-time change made before."""
        self.redis.hset(keys.FLEET_DESIRED, collector, encode(override))

    def _wait(self, seconds: float) -> None:
        self.clock.move(seconds)
        if not self.on_wait:
            raise KeyboardInterrupt
        self.on_wait.pop(0)()


def nothing() -> None:
    """For ``on_wait``: only time passes."""
