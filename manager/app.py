"""Builds the manager's objects and runs them; the only place that knows them all."""

from pathlib import Path

from common.clock import SystemClock
from common.fleet_file import Fleet, load_wanted_fleet
from common.lifecycle import run_until_signal
from common.redis_client import async_client
from common.settings import Environment
from manager.fleet_keeper import FleetKeeper
from manager.loop import Loop
from manager.programs import launch_from
from manager.settings import ManagerSettings
from manager.supervisor_async import ThreadedSupervisor
from manager.supervisor_client import SupervisorClient


async def run(environment: Environment, fleet_path: Path, fleet: Fleet) -> None:
    """Watch and heal the fleet until SIGTERM or SIGINT; SIGHUP reads ``fleet_path`` again."""
    clock, settings = SystemClock(), ManagerSettings()
    with ThreadedSupervisor(SupervisorClient(environment.supervisor_socket)) as supervisor:
        loop = Loop(
            fleet,
            load=lambda: load_wanted_fleet(fleet_path, environment),
            connect=async_client,
            supervisor=supervisor,
            keeper=FleetKeeper(
                environment,
                lambda fleet: launch_from(environment, fleet_path, fleet.redis),
                supervisor,
                clock,
                settings,
            ),
            clock=clock,
            settings=settings,
        )
        await run_until_signal(loop.run)
