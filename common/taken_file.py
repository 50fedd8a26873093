"""The fleet file as the manager has taken it: what holds, whatever stands in the fleet file meanwhile.

Beside the workers' files, which have the run-time changes in them, so that the commands see the fleet that the manager
sees. As there, no secret is in it.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from common.config import ExchangeCollectorConfig
from common.errors import FleetError
from common.fleet_file import Fleet, Ground
from common.settings import Environment
from common.tuning import Tuning
from common.worker_file import RedisPlace, redis_of, redis_place


class TakenFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it says: the fields of ``Fleet``; ``path`` is that of the fleet file."""

    path: str
    redis: RedisPlace
    collectors: tuple[ExchangeCollectorConfig, ...]
    ground: Ground
    tuning: Tuning


def write_taken(fleet: Fleet, environment: Environment) -> None:
    """Write it down.

    Raises:
        OSError: The folder cannot be written.
    """
    content = TakenFile(
        path=str(environment.fleet_path.absolute()),
        redis=redis_place(fleet.redis, environment),
        collectors=fleet.collectors,
        ground=fleet.ground,
        tuning=fleet.tuning,
    )
    path = _path(environment)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    os.replace(fresh, path)


def read_taken(fleet_path: Path, environment: Environment) -> Fleet | None:
    """The fleet as a manager has taken it from this file; None where none has, or that cannot be read (any more)."""
    try:
        content = msgspec.json.decode(_path(environment).read_bytes(), type=TakenFile)
        if Path(content.path).resolve() != fleet_path.resolve():
            return None
        redis = redis_of(content.redis, environment)
    except (OSError, ValueError, msgspec.MsgspecError, FleetError):
        return None
    return Fleet(redis=redis, collectors=content.collectors, ground=content.ground, tuning=content.tuning)


def _path(environment: Environment) -> Path:
    return environment.applied / "fleet.json"
