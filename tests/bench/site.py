"""Where a scenario runs: a Redis of its own, a folder, a certificate, and the processes that it starts."""

import json
import os
import select
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import trustme

from tests.support.processes import ROOT
from tests.support.redis_server import RedisServer

STOP_TIMEOUT_S = 10.0
TOLD_WITHIN_S = 120.0
T = TypeVar("T")


class Helper:
    """A process of the benchmark itself, which tells what it has to tell in lines of JSON."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=pipe, bufsize=0)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def told(self) -> dict[str, Any]:
        """Wait for the next thing that it tells.

        Raises:
            AssertionError: It ended instead, or says nothing.
        """
        told = self.told_within(TOLD_WITHIN_S)
        if told is None:
            raise AssertionError(f"a helper of the benchmark is stuck: {self._process.args!r}")
        return told

    def told_within(self, timeout_s: float) -> dict[str, Any] | None:
        """The same within a time; None where it says nothing.

        Raises:
            AssertionError: It has ended.
        """
        if self._process.stdout is None or not select.select([self._process.stdout], [], [], timeout_s)[0]:
            return None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"a helper of the benchmark ended early: {self._process.args!r}")
        told: dict[str, Any] = json.loads(line)
        return told

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(timeout=STOP_TIMEOUT_S)
        if self._process.stdout:
            self._process.stdout.close()


class LoadProcess(Helper):
    """The load; see ``tests.bench.load``."""

    def __init__(self, channel: str, count: int, rate: float, folder: Path, certificate: Path | None) -> None:
        self.tls = certificate is not None
        self._stamps = folder / "sent"
        options = ["--channel", channel, "--count", str(count), "--rate", str(rate), "--stamps", str(self._stamps)]
        if certificate is not None:
            options += ["--certificate", str(certificate)]
        super().__init__([sys.executable, "-m", "tests.bench.load", *options])
        self.port: int = self.told()["port"]

    def sent_ns(self) -> "array[int]":
        """Once it has told that it begins: wait until all has been sent; when each frame was, by number less one."""
        self.told()
        return read_stamps(self._stamps)


def read_stamps(path: Path) -> "array[int]":
    """The times that a helper has written."""
    stamps = array("Q")
    stamps.frombytes(path.read_bytes())
    return stamps


class Site:
    """What all scenarios share.

    Attributes:
        say: Takes a line that tells how far the measurement is.
    """

    def __init__(self, folder: Path, redis: RedisServer, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.redis = redis
        self.say = say
        self._runs = 0
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        self.certificate = folder / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.certificate)
        self.trust = {"SSL_CERT_FILE": str(folder / "authority.pem")}
        """For the environment of those who connect with TLS: OpenSSL reads whom to trust from there."""

    @contextmanager
    def run(self) -> Iterator["Run"]:
        """A measurement: an empty Redis and an empty folder; what it starts ends with it."""
        self.redis.client.flushall()
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        folder.mkdir()
        with ExitStack() as stack:
            yield Run(self, folder, stack)


class Run:
    """One measurement."""

    def __init__(self, site: Site, folder: Path, stack: ExitStack) -> None:
        self.site = site
        self.folder = folder
        self._stack = stack

    def keep(self, thing: T, stop: Callable[[], object]) -> T:
        """Have something ended with the run."""
        self._stack.callback(stop)
        return thing

    def load(self, count: int, *, rate: float = 0.0, tls: bool = False, channel: str = "trades-all") -> LoadProcess:
        """Start the load; it waits for a subscriber."""
        load = LoadProcess(channel, count, rate, self.folder, self.site.certificate if tls else None)
        return self.keep(load, load.stop)

    def helper(self, module: str, *options: object, env: dict[str, str] | None = None) -> Helper:
        """Start another process of the benchmark."""
        command = [sys.executable, "-m", f"tests.bench.{module}", *(str(option) for option in options)]
        helper = Helper(command, env)
        return self.keep(helper, helper.stop)


@contextmanager
def open_site(folder: Path, say: Callable[[str], None]) -> Iterator[Site]:
    """A site with a running Redis, in a folder that the caller removes."""
    (folder / "redis").mkdir()
    server = RedisServer(folder / "redis")
    server.start()
    try:
        yield Site(folder, server, say)
    finally:
        server.stop()
