"""Processes under test: the simulated exchange and single workers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from tests.support.ports import wait_until
from tests.support.waiting import PATIENCE_S

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent.parent
STOP_TIMEOUT_S = 40.0


class Process:
    """A child process whose output goes to a file; ends with the test."""

    def __init__(self, arguments: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self._output = log.open("wb")
        self._process = subprocess.Popen(
            arguments, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait for its end, by ``Patience``; the exit code.

        Raises:
            AssertionError: It did not end in time.
        """
        wait_until(lambda: self.exit_code is not None, timeout_s, "the process has ended")
        return self._process.wait()

    def signal(self, sig: int) -> None:
        """Send a signal."""
        self._process.send_signal(sig)

    def stop(self) -> int:
        """End it if it still runs, politely first; the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._output.close()

    def text(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8")


class SimulatorProcess:
    """The simulated exchange in a process of its own; what it calls its record can be asked over HTTP."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "tests.simulator", "--port", "0", *options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise AssertionError("a pipe was asked for")
        line = self._process.stdout.readline()
        self.port: int = json.loads(line)["port"]

    @property
    def endpoints(self) -> str:
        """The section of a fleet file that leads here."""
        return (
            "[exchanges.okx]\n"
            f'ws_public = "ws://127.0.0.1:{self.port}/ws/v5/public"\n'
            f'ws_business = "ws://127.0.0.1:{self.port}/ws/v5/business"\n'
            f'rest = "http://127.0.0.1:{self.port}"\n'
        )

    def get(self, path: str) -> object:
        """The ``data`` of a GET."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())["data"]

    def stop(self) -> int:
        """End it, politely first; the exit code."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()


def start_worker(exchange: str, symbol: str, fleet: Path, log: Path, **env: str) -> Process:
    """One ``collector-worker`` in the foreground of a child process."""
    command = [str(BIN / "collector-worker"), "--exchange", exchange, "--symbol", symbol, "--fleet", str(fleet)]
    return Process(command, log, env)
