"""A real fleet under an operator's hands: each order touches the collector that it names, and no other process."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import pytest
import redis

from common.config.environment import Environment
from manager.act.reconcile import collector_name
from manager.supervisord.client import SupervisorClient
from tests.support.deployment import Deployment, complaints
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess
from tickfleet.contract.identity import PROGRAM_PREFIX

pytestmark = pytest.mark.system

BTC, ETH, SOL = (f"okx:{base}-USDT" for base in ("BTC", "ETH", "SOL"))
NO_MANAGER = "manager-cli: the manager is not running; kept, carried out when it starts\n"


@pytest.fixture
def fleet() -> Iterator[Deployment]:
    """Three collectors that run."""
    simulator = SimulatorProcess("--seed", "7", "--trades-per-s", "20")
    rows = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{base}-USDT"\n' for base in ("DOGE", "ETH", "BTC"))
    # An order to run is obeyed also where nothing is to be restarted.
    deployment = Deployment(f"{simulator.endpoints}[defaults]\nauto_restart = false\n{rows}")
    try:
        deployment.start()
        deployment.wait_healthy()
        yield deployment
    finally:
        deployment.stop()
        simulator.stop()


def together(fleet: Deployment, *commands: list[str]) -> list[CompletedProcess[str]]:
    """Several operators at the same time."""
    with ThreadPoolExecutor(len(commands)) as operators:
        return list(operators.map(lambda arguments: fleet.cli(*arguments), commands))


def supervisor_of(fleet: Deployment) -> SupervisorClient:
    return SupervisorClient(Environment(root=fleet.root, fleet_path=fleet.fleet).supervisor_socket)


def pids(fleet: Deployment) -> dict[str, int]:
    """The process of each collector."""
    programs = supervisor_of(fleet).processes()
    return {collector_name(name): found.pid for name, found in programs.items() if name.startswith(PROGRAM_PREFIX)}


def heartbeat(fleet: Deployment, collector: str, field: str) -> str:
    return str(fleet.redis.hget(f"md:v1:{{{collector}}}:heartbeat", field))


def answers(fleet: Deployment) -> bool:
    try:
        return bool(fleet.redis.ping())
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False


def test_each_order_touches_one_collector_and_lasts(fleet: Deployment) -> None:
    before = pids(fleet)

    for answer in together(fleet, ["stop", BTC, "--why", "moved"], ["add", "okx", "SOL-USDT", "--data", "trade"]):
        assert (answer.returncode, complaints(answer)) == (0, ""), answer.stdout
    after = pids(fleet)
    assert after == {**before, BTC: 0, SOL: after[SOL]}
    assert after[SOL] != 0

    _orders_without_a_manager_wait_for_it(fleet, after)
    before, before_restart = pids(fleet), heartbeat(fleet, BTC, "config_id")
    assert before == {**after, BTC: before[BTC], ETH: 0}

    # A change in the file that nobody has applied reaches no collector, also none that is restarted.
    fleet.fleet.write_text(fleet.fleet.read_text() + 'data_types = ["trade"]\n')
    assert fleet.cli("restart", BTC).returncode == 0
    after = pids(fleet)
    assert (after, heartbeat(fleet, BTC, "config_id")) == ({**before, BTC: after[BTC]}, before_restart)
    assert after[BTC] != before[BTC]

    plan, applied = fleet.cli("plan"), fleet.cli("apply")
    assert plan.returncode == 1
    assert plan.stdout.splitlines()[1] == "1 to change, 3 as they should be"
    assert (applied.returncode, complaints(applied)) == (0, ""), applied.stdout
    before, after = after, pids(fleet)
    assert after == {**before, BTC: after[BTC]}
    assert after[BTC] != before[BTC]
    assert heartbeat(fleet, BTC, "config_id") != before_restart

    for answer in together(fleet, ["enable", ETH], ["remove", SOL]):
        assert (answer.returncode, complaints(answer)) == (0, ""), answer.stdout
    before, after = after, pids(fleet)
    del before[SOL]
    assert after == {**before, ETH: after[ETH]}
    assert after[ETH] != 0
    assert fleet.redis.exists("md:v1:{okx:SOL-USDT}:trade")
    fleet.wait_healthy()  # else status is right to say 1
    assert fleet.cli("status").returncode == 0


def _orders_without_a_manager_wait_for_it(fleet: Deployment, before: dict[str, int]) -> None:
    """BTC, which is stopped, is started and ETH is disabled, while there is no manager; Redis is restarted besides."""
    supervisor = supervisor_of(fleet)
    supervisor.begin_stop("manager")
    wait_until(lambda: not supervisor.process("manager").pid, 10, "the manager has stopped")
    for answer in together(fleet, ["start", BTC], ["disable", ETH]):
        assert (answer.returncode, answer.stderr) == (1, NO_MANAGER)
    assert pids(fleet) == before
    fleet.redis.config_set("appendfsync", "always")  # else a kill may cost what waits for a slow disk
    os.kill(int(fleet.redis.info("server")["process_id"]), signal.SIGKILL)
    fleet.redis.close()
    wait_until(lambda: answers(fleet), 20, "supervisord has brought Redis back")
    supervisor.start("manager")
    wait_until(lambda: pids(fleet)[BTC] and not pids(fleet)[ETH], 20, "BTC is started and ETH stopped")
    wait_until(lambda: heartbeat(fleet, BTC, "state") == "running", 20, "BTC runs")
