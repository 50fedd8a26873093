"""A whole fleet for a test: a deployment of its own with supervisord, Redis and manager, on free ports."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import redis

from common.config.environment import read_environment
from manager.cli.context import Tools
from manager.cli.show.fleet_view import FleetView, read_fleet_view
from manager.cli.show.status import all_well
from manager.model.processes import Process
from manager.supervisord.client import SupervisorClient
from tests.support.ports import SLOW_POLL_S, free_port, wait_until
from tests.support.processes import BIN, ROOT
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.identity import PROGRAM_PREFIX
from tickfleet.errors import FleetError, RedisUnreachableError

_STOP_TIMEOUT_S = 40.0
_CLI_TIMEOUT_S = 120.0


class Deployment:
    """A copy of ``deploy/`` in a short temporary folder; every process below its supervisord ends with it."""

    def __init__(self, fleet: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="tf-"))
        shutil.copytree(ROOT / "deploy", self.root / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "var" / "log").mkdir(parents=True)
        self.fleet = self.root / "deploy" / "fleet.toml"
        self.fleet.write_text(fleet, encoding="utf-8")
        self.redis_port = free_port()
        self.metrics_port = free_port()
        self.redis: Any = redis.Redis(port=self.redis_port, decode_responses=True)
        self.env = {
            **os.environ,
            "TICKFLEET_ROOT": str(self.root),
            "TICKFLEET_FLEET": str(self.fleet),
            "TICKFLEET_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "TICKFLEET_METRICS_PORT": str(self.metrics_port),
            "VIRTUAL_ENV": str(BIN.parent),
        }
        self._supervisord: subprocess.Popen[bytes] | None = None

    def configure(self, old: str, new: str) -> None:
        """Change supervisord.conf before the start."""
        path = self.root / "deploy" / "supervisord.conf"
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{old!r} does not stand in {path}")
        path.write_text(text.replace(old, new), encoding="utf-8")

    def start(self) -> None:
        """Start supervisord, which starts the rest."""
        command = [str(BIN / "supervisord"), "-n", "-s", "-c", str(self.root / "deploy" / "supervisord.conf")]
        self._supervisord = subprocess.Popen(command, env=self.env, start_new_session=True)
        wait_until(self._spoken_to, _STOP_TIMEOUT_S, "supervisord has started a program")

    def _has_ended(self) -> bool:
        self._spoken_to()
        return self._supervisord is None or self._supervisord.poll() is not None

    def _spoken_to(self) -> bool:
        """Whether a program runs; to be asked ends a turn of supervisord's loop, which else takes a second."""
        try:
            return any(found.pid for found in self.processes().values())
        except FleetError:  # it does not listen yet, or has ended
            return False

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run manager-cli to its end."""
        command = [str(BIN / "manager-cli"), *arguments]
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False, timeout=3 * PATIENCE_S
        )

    def status(self) -> dict[str, Any]:
        """``manager-cli status --json``; empty where it has none to give."""
        answer = self.cli("status", "--json")
        decoded: dict[str, Any] = json.loads(answer.stdout) if answer.stdout else {}
        return decoded

    def fleet_view(self) -> FleetView:
        """What ``manager-cli status`` looks at, taken in this process: that costs far less.

        Raises:
            RedisUnreachableError: As there.
        """
        tools = Tools(environment=read_environment(self.env), fleet_path=self.fleet)
        fleet = tools.standing().fleet
        with closing(tools.connect(fleet.redis)) as client:
            return read_fleet_view(tools, fleet, client)

    def verdicts(self) -> dict[str, str]:
        """The verdict of each collector."""
        return {str(each.id): each.verdict.value for each in self.fleet_view().judgements}

    def pids(self) -> dict[str, int]:
        """The process id of each collector, by supervisord; 0 where there is no process."""
        programs = {name: found.pid for name, found in self.processes().items() if name.startswith(PROGRAM_PREFIX)}
        return {name.removeprefix(PROGRAM_PREFIX).replace("-", ":", 1): pid for name, pid in programs.items()}

    @property
    def supervisord_pid(self) -> int:
        """The process id of supervisord."""
        if self._supervisord is None:
            raise AssertionError("it was not started")
        return self._supervisord.pid

    @property
    def supervisor(self) -> SupervisorClient:
        """The way to supervisord."""
        return SupervisorClient(self.root / "var" / "supervisor.sock")

    def processes(self) -> dict[str, Process]:
        """Supervisord's own table of processes."""
        return self.supervisor.processes()

    def kill(self) -> None:
        """SIGKILL supervisord, and wait until all below it have died with it."""
        children = [found.pid for found in self.processes().values() if found.pid]
        os.kill(self.supervisord_pid, signal.SIGKILL)
        if self._supervisord is not None:
            self._supervisord.wait(timeout=_STOP_TIMEOUT_S)
        wait_until(lambda: not any(_lives(pid) for pid in children), 20, "no process is left")

    def wait_healthy(self, timeout_s: float = 60.0) -> None:
        """Wait until the manager says that all are healthy, and our own look does so too.

        Raises:
            AssertionError: They did not in time; the message holds what status and manager said.
        """

        def healthy() -> bool:
            with suppress(RedisUnreachableError):
                return self.manager_sees_all_healthy() and all_well(self.fleet_view())
            return False

        try:
            wait_until(healthy, timeout_s, "every collector is healthy", SLOW_POLL_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.cli('status').stdout}\n{self.log('manager')}") from error

    def manager_sees_all_healthy(self) -> bool:
        """Whether the manager acts and its last round found every collector healthy; costs far less than a command."""
        try:
            summary: dict[str, int] = json.loads(self.page("/status")[1])["summary"]
        except OSError:  # it does not listen yet, or another manager has its port
            return False
        return 0 < summary["desired"] == summary["healthy"]

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the manager."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def log(self, program: str) -> str:
        """What a program has written."""
        path = self.root / "var" / "log" / f"{program}.log"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def stop(self) -> None:
        """Stop everything and remove the folder."""
        if self._supervisord is not None:
            self._supervisord.terminate()
            try:
                wait_until(self._has_ended, _STOP_TIMEOUT_S, "supervisord has ended", SLOW_POLL_S)
            except AssertionError:
                os.killpg(self._supervisord.pid, signal.SIGKILL)
                raise
        self.redis.close()
        shutil.rmtree(self.root)


def complaints(answer: subprocess.CompletedProcess[str]) -> str:
    """What a command wrote to stderr, without what it says when it has to wait long, as on a busy machine."""
    return "".join(line for line in answer.stderr.splitlines(True) if not line.startswith("manager-cli: waiting for "))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
