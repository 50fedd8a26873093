"""A real Redis (or Valkey) server for tests, on a free loopback port, with an append-only file."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import redis

from deploy.redis_server import find_server
from tests.support.ports import free_port, wait_until
from tests.support.waiting import PATIENCE_S
from tickfleet.redis.config import RedisConfig


class RedisServer:
    """One server process; it can be stopped and started again with its data."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.config = RedisConfig(url=self.url)
        # Any: redis-py types answers as awaitable too. Without the retries of a plain ``Redis()``, which would sleep a
        # second before it asks a starting server again.
        self.client: Any = redis.Redis.from_url(
            self.url, password=password or None, decode_responses=True, encoding_errors="surrogateescape"
        )
        self._folder = folder
        self._options = (*options, "--requirepass", password) if password else options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise AssertionError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        server = find_server()
        if server is None:
            raise AssertionError("no Redis server: make setup installs one")
        arguments = ["--port", str(self.port), "--dir", str(self._folder), "--appendonly", "yes", "--save", ""]
        with (self._folder / "redis.log").open("ab") as log:
            command = [str(server), *arguments, "--bind", "127.0.0.1", *self._options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._is_up, 20, "the Redis server answers")

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:  # not the answer of another in its place
            raise AssertionError(f"the Redis server has ended: {(self._folder / 'redis.log').read_text()[-2_000:]}")
        return self.answers()

    def answers(self) -> bool:
        """Whether it takes commands now."""
        try:
            return bool(self.client.ping())
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False

    def stop(self) -> None:
        """Stop it in an orderly way; does nothing where it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            # Only idle connections: another thread may be about to read from one in use; it learns of the end there.
            self.client.connection_pool.disconnect(inuse_connections=False)
            self._process.send_signal(number)
            self._process.wait(timeout=PATIENCE_S)
            self._process = None
