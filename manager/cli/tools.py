"""What a command works with; tests pass their own in place of Redis, supervisord and the passage of time."""

import getpass
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from common.clock import Clock, SystemClock
from common.config import RedisConfig
from common.fleet_file import Fleet, load_fleet
from common.settings import Environment, read_environment
from manager.supervisor_client import SupervisorClient

if TYPE_CHECKING:
    from common.redis_client import SyncRedis


def _redis_client(config: RedisConfig) -> "SyncRedis":
    from common.redis_client import sync_client  # the commands that need no Redis start faster

    return sync_client(config)


class Tools(Struct, frozen=True, kw_only=True):
    """See the module.

    Attributes:
        fleet_path: The fleet file of this call.
        connect: Makes a blocking client for Redis.
        supervisor: Makes a client for supervisord's socket with a time limit in seconds per call.
        wait: Lets seconds pass.
    """

    environment: Environment
    fleet_path: Path
    connect: "Callable[[RedisConfig], SyncRedis]" = _redis_client
    supervisor: Callable[[Path, float], SupervisorClient] = SupervisorClient
    wait: Callable[[float], None] = time.sleep
    clock: Clock = SystemClock()

    def fleet(self) -> Fleet:
        """The fleet, read from its file."""
        return load_fleet(self.fleet_path, self.environment)


def default_tools() -> Tools:
    """The tools of a call from a shell."""
    environment = read_environment()
    return Tools(environment=environment, fleet_path=environment.fleet_path)


def login_name() -> str:
    """Who calls; for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
