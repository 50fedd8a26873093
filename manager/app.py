"""Builds the manager's objects and runs them; the only place that knows them all."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from common.config.environment import Environment
from common.config.fleet_file import Fleet, load_wanted_fleet
from common.config.place import close_to_others
from common.config.taken_file import write_taken
from common.process.lifecycle import run_until_signal
from common.process.log import get_logger
from common.process.parent_death import under_supervisord
from common.redis.redis_py import async_client
from manager.act.programs import launch_from
from manager.act.reconciler import Reconciler
from manager.desired.source import Wanted
from manager.loop import Loop
from manager.report.alerts.address import read_address
from manager.report.alerts.webhook import Webhook
from manager.report.metrics.pages import Pages
from manager.report.metrics.server import MetricsServer, read_port
from manager.report.reporter import Reporter
from manager.report.snapshot import Snapshot
from manager.settings import ManagerSettings
from manager.supervisord.async_client import ThreadedSupervisor
from manager.supervisord.client import SupervisorClient
from tickfleet._util.clock import Clock, SystemClock
from tickfleet.errors import FleetError

_T = TypeVar("_T")


async def run(environment: Environment, fleet: Fleet) -> None:
    """Watch and heal the fleet until SIGTERM or SIGINT; SIGHUP reads its file again."""
    clock, settings, path = SystemClock(), ManagerSettings(), environment.fleet_path
    close_folders(environment)
    with (
        ThreadedSupervisor(SupervisorClient(environment.supervisor_socket)) as supervisor,
        reporting(environment, clock, settings) as reporter,
    ):
        loop = Loop(
            Wanted(
                fleet,
                str(path),
                lambda: load_wanted_fleet(path, environment),
                record=lambda taken: write_taken(taken, environment),
            ),
            connect=async_client,
            supervisor=supervisor,
            reconciler=Reconciler(
                environment,
                lambda fleet: launch_from(environment, fleet.redis),
                supervisor,
                clock,
                settings,
            ),
            clock=clock,
            settings=settings,
            reporter=reporter,
        )
        await run_until_signal(loop.run)


@contextmanager
def reporting(environment: Environment, clock: Clock, settings: ManagerSettings) -> Iterator[Reporter]:
    """What reports the manager's state to others. A wrong setting here does not stop the manager from working."""
    snapshot, troubles = Snapshot(clock.monotonic_s()), list[str]()

    def read(setting: Callable[[], _T]) -> _T | None:
        try:
            return setting()
        except FleetError as error:
            get_logger().error("setting_unusable", why=str(error))
            troubles.append(str(error))
            return None

    port = read(lambda: read_port(environment.metrics_port))
    address = read(lambda: read_address(environment))
    with MetricsServer(port, Pages(snapshot, clock).answer) if port else nullcontext() as server:
        yield Reporter(
            environment.var,
            clock,
            settings,
            watched=under_supervisord(),
            snapshot=snapshot,
            server=server,
            webhook=Webhook(address, _fleet_name(environment), snapshot.count_alerts) if address else None,
            troubles=troubles,
        )


def close_folders(environment: Environment) -> None:
    """Nobody else may read what a run writes. If that is not possible, ``manager-cli doctor`` says how to repair it."""
    for folder in (environment.var, environment.logs):
        try:
            if close_to_others(folder):
                get_logger().warning("folder_closed", folder=str(folder), why="others could look into it")
        except OSError as error:
            get_logger().warning("folder_not_closed", folder=str(folder), why=error.strerror or type(error).__name__)


def _fleet_name(environment: Environment) -> str:
    """Names the fleet in alerts: the machine and the fleet file, as several fleets may run on one machine."""
    return f"{socket.gethostname()}, fleet {environment.fleet_path.absolute()}"
