"""What holds for every example service: help that teaches, and the fleet's Redis, never another one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import wait_until
from tests.support.processes import ROOT, Process
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import write_trades

EXAMPLES = ROOT / "deploy" / "examples"
SERVICES = [path.stem for path in sorted(EXAMPLES.glob("*.py"))]
ENV = {name: value for name, value in os.environ.items() if not name.startswith("TICKFLEET_")}


def call(name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(command, env={**ENV, **env}, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", SERVICES)
def test_its_help_teaches(name: str) -> None:
    done = call(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("examples:", "exit codes:", "TICKFLEET_REDIS_URL", f"deploy/examples/{name}.py okx"[:25]):
        assert word in done.stdout, word


@pytest.mark.parametrize("name", SERVICES)
def test_what_cannot_work_is_one_line(name: str, tmp_path: Path) -> None:
    env = {"TICKFLEET_REDIS_URL": "redis://127.0.0.1:1/0", "TICKFLEET_ROOT": str(tmp_path)}
    done = call(name, "okex:BTC-USDT", **env)
    assert done.returncode == 78
    assert done.stderr.splitlines()[1:] == [done.stderr.splitlines()[-1]]
    assert done.stderr.splitlines()[-1].startswith(f"{name}: exchange 'okex' is not supported")
    done = call(name, TICKFLEET_ROOT=str(tmp_path), TICKFLEET_FLEET=str(tmp_path / "none.toml"))
    assert (done.returncode, len(done.stderr.splitlines())) == (78, 1)
    assert "where is Redis?" in done.stderr


@pytest.fixture
def fleet(tmp_path: Path, redis_server: RedisServer) -> Path:
    """A fleet file that names the Redis; no variable does."""
    path = tmp_path / "fleet.toml"
    path.write_text(f'[redis]\nurl = "{redis_server.url}"\n', encoding="utf-8")
    return path


@pytest.fixture
def running(name: str, tmp_path: Path, fleet: Path) -> Iterator[Process]:
    """The service, started by hand beside that fleet; ends with the test."""
    env = {"TICKFLEET_ROOT": str(tmp_path), "TICKFLEET_FLEET": str(fleet), "TICKFLEET_REDIS_URL": ""}
    process = Process([sys.executable, str(EXAMPLES / f"{name}.py")], tmp_path / "service.log", env)
    yield process
    process.stop()


@pytest.mark.parametrize("name", SERVICES)
def test_it_reads_the_redis_of_the_fleet(name: str, running: Process, redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 3)

    def reads() -> bool:
        commands = redis_server.client.info("commandstats")
        return "cmdstat_xread" in commands or "cmdstat_xrange" in commands

    redis_server.client.config_resetstat()
    wait_until(reads, 20.0, f"it reads\n{running.text()}")
    assert running.stop() == 0
    assert f"{name} reads Redis at {redis_server.url}" in running.text()
