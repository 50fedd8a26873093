"""The example services under the real supervisord, beside a collector."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from manager.model.processes import ALIVE
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import BIN, SimulatorProcess
from tests.support.waiting import PATIENCE_S

TRADES = "md:v1:{okx:BTC-USDT}:trade"
SERVICES = ("archiver", "candle_builder")


@pytest.fixture
def fleet() -> Iterator[Deployment]:
    """One collector, and the services as their README says."""
    simulator = SimulatorProcess("--seed", "7", "--trades-per-s", "50")
    deployment = Deployment(simulator.endpoints + '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
    try:
        deployment.start()
        wait_until((deployment.root / "var" / "programs").is_dir, 20.0, "the manager has begun")
        take_up_services(deployment.root)
        yield deployment
    finally:
        deployment.stop()
        simulator.stop()


def take_up_services(root: Path) -> None:
    shutil.copy(root / "deploy" / "examples" / "supervisord.conf", root / "var" / "programs" / "examples.conf")
    update = [str(BIN / "supervisorctl"), "-c", str(root / "deploy" / "supervisord.conf"), "update", *SERVICES]
    done = subprocess.run(update, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert sorted(done.stdout.splitlines()) == [f"{name}: added process group" for name in SERVICES]


def archived(folder: Path) -> list[str]:
    files = sorted(folder.glob("okx/BTC-USDT/trade/*/*.parquet"))
    return [entry_id for file in files for entry_id in parquet.read_table(file)["entry_id"].to_pylist()]


@pytest.mark.system
def test_they_run_beside_the_fleet(fleet: Deployment) -> None:
    archive = fleet.root / "var" / "archive"
    unfinished = archive / ".unfinished" / "okx_BTC-USDT_trade.parquet"
    wait_until(unfinished.exists, 40.0, "it archives what the collector publishes")
    assert {fleet.processes()[name].state for name in SERVICES} <= ALIVE
    for name in SERVICES:
        fleet.supervisor.begin_stop(name)
    wait_until(lambda: not any(fleet.processes()[name].pid for name in SERVICES), 10.0, "they have ended")
    ids = archived(archive)
    assert ids == [entry_id for entry_id, _ in fleet.redis.xrange(TRADES, "-", ids[-1])]
    assert not list((archive / ".unfinished").iterdir())
    assert not any("Traceback" in fleet.log(name) for name in SERVICES)
