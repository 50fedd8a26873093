"""What a command works with; tests pass their own in place of Redis, supervisord and the passage of time."""

import getpass
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from common.config.environment import Environment, read_environment
from common.config.fleet_file import Fleet, load_fleet, load_wanted_fleet
from common.config.taken_file import read_taken
from manager.cli.manager_page import read_page
from manager.supervisord.client import SupervisorClient
from tickfleet._util.clock import Clock, SystemClock
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import RedisConfig

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis


def _redis_client(config: RedisConfig) -> "SyncRedis":
    from common.redis.redis_py import sync_client  # the commands that need no Redis start faster

    return sync_client(config)


class Standing(Struct, frozen=True, kw_only=True):
    """How the fleet file compares with what the manager has taken from it.

    Attributes:
        fleet: What the manager has taken; the file itself where none has.
        edited: The file as it is now, where it differs.
        trouble: Why the file cannot be used now; else empty.
    """

    fleet: Fleet
    edited: Fleet | None = None
    trouble: str = ""

    def warn(self) -> None:
        """Tell the trouble, where there is one."""
        if self.trouble:
            tell(f"the fleet file cannot be used ({self.trouble}): shown is what was applied")


class Tools(Struct, frozen=True, kw_only=True):
    """The tools by which a command reaches Redis, supervisord, the manager and the time.

    Attributes:
        fleet_path: The fleet file of this call.
        connect: Makes a blocking client for Redis.
        page: Reads what the manager says of itself on a port; empty where nothing is there.
        supervisor: Makes a client for supervisord's socket with a time limit in seconds per call.
        wait: Lets seconds pass.
    """

    environment: Environment
    fleet_path: Path
    connect: "Callable[[RedisConfig], SyncRedis]" = _redis_client
    supervisor: Callable[[Path, float], SupervisorClient] = SupervisorClient
    page: Callable[[int], dict[str, str]] = read_page
    wait: Callable[[float], None] = time.sleep
    clock: Clock = SystemClock()

    def fleet(self) -> Fleet:
        """The fleet that holds; what is wrong with its file meanwhile is reported in one line.

        Raises:
            InvalidConfigurationError: As ``standing``.
        """
        standing = self.standing()
        standing.warn()
        return standing.fleet

    def standing(self) -> Standing:
        """The fleet that holds, and what the fleet file says beyond it.

        Raises:
            InvalidConfigurationError: No manager has taken the fleet file, and it cannot be used.
        """
        taken = read_taken(self.fleet_path, self.environment)
        if taken is None:
            return Standing(fleet=self._file())
        try:
            file = load_wanted_fleet(self.fleet_path, self.environment)
        except InvalidConfigurationError as error:
            return Standing(fleet=taken, trouble=str(error))
        return Standing(fleet=taken, edited=None if file == taken else file)

    def _file(self) -> Fleet:
        try:
            return load_fleet(self.fleet_path, self.environment)
        except InvalidConfigurationError as error:
            if isinstance(error.__cause__, FileNotFoundError) and self.fleet_path == self.environment.fleet_path:
                raise InvalidConfigurationError(f"{error}; {another_fleet(self.environment)}") from error
            raise


def another_fleet(environment: Environment) -> str:
    """Names the fleet of a command, for a user who meant another fleet and does not find a collector."""
    return f"this is about the fleet in {environment.root}; for another one: export TICKFLEET_ROOT=FOLDER"


def tell(text: str) -> None:
    """A line beside the command's output."""
    sys.stderr.write(f"manager-cli: {text}\n")


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
