"""Runs a service that reads the streams: finds the fleet's Redis, and stops in order.

def main() -> int:
    return run_service("archiver", lambda redis: archive(Subscriber("okx:*", "trade", redis=redis)))
"""

import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from common.config.environment import Environment, read_environment
from common.config.fleet_file import Fleet, load_fleet
from common.config.taken_file import read_taken
from common.process.event_loop import run
from common.process.lifecycle import run_until_signal
from tickfleet.errors import EXIT_OK, FleetError, InvalidConfigurationError
from tickfleet.redis.config import RedisConfig, redis_config

LOG = logging.getLogger("tickfleet.service")


def fleet_in_force(fleet_path: Path, environment: Environment) -> Fleet:
    """The fleet that the manager has accepted; the fleet file itself if no manager has accepted one.

    Raises:
        InvalidConfigurationError: No manager has accepted a fleet, and the file cannot be used.
    """
    return read_taken(fleet_path, environment) or load_fleet(fleet_path, environment)


def fleet_redis(environment: Environment) -> RedisConfig:
    """The address of the fleet's Redis, as for the commands: ``TICKFLEET_REDIS_URL``, else the fleet file's address.

    Raises:
        InvalidConfigurationError: Neither gives an address. Nothing is guessed: a Redis on this machine may belong to
            another program.
    """
    try:
        return fleet_in_force(environment.fleet_path, environment).redis
    except InvalidConfigurationError as error:
        if environment.redis_url:
            return redis_config(None)
        hint = "TICKFLEET_REDIS_URL=redis://HOST:6379/0, or TICKFLEET_FLEET=FILE"
        raise InvalidConfigurationError(f"where is Redis? {error}; name it: {hint}") from error


def run_service(name: str, work: Callable[[RedisConfig], Coroutine[Any, Any, None]]) -> int:
    """Run ``work`` with the fleet's Redis until SIGTERM or Ctrl-C; returns the exit code.

    An error of ours is reported in one line, with its exit code. Logs go to stderr.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        redis = fleet_redis(read_environment())
        LOG.info("%s reads Redis at %s", name, redis.url)
        run(run_until_signal(lambda: work(redis)))
    except FleetError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return error.exit_code
    return EXIT_OK
