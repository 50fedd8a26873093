"""The fleet file as the manager has accepted it. It is valid even if the fleet file has changed meanwhile.

It is stored beside the workers' files, which have the run-time changes, so that the commands see the same fleet as the
manager. Like those, it has no secret.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.fleet_file import Fleet, Ground
from common.config.manager_limits import Tuning
from common.config.own_file import read_own
from common.config.worker_file import RedisPlace, redis_of, redis_place
from tickfleet.errors import FleetError
from tickfleet.redis.config import MaxLen, RedisConfig


class TakenFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content: the fields of ``Fleet``; ``path`` is the path of the fleet file."""

    path: str
    redis: RedisPlace
    collectors: tuple[ExchangeCollectorConfig, ...]
    ground: Ground
    tuning: Tuning


def write_taken(fleet: Fleet, environment: Environment) -> None:
    """Write the file.

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
    """The fleet that a manager has accepted from this file; None if no manager has, or it cannot be read (any more)."""
    try:
        content = msgspec.json.decode(read_own(_path(environment)), type=TakenFile)
        if Path(content.path).resolve() != fleet_path.resolve():
            return None
        redis = redis_of(content.redis, environment)
    except (OSError, msgspec.MsgspecError, FleetError):
        return None
    return Fleet(redis=redis, collectors=content.collectors, ground=content.ground, tuning=content.tuning)


class _Place(Struct, frozen=True):
    """The part of ``RedisPlace`` that is needed to find Redis, whatever else a file has or lacks."""

    redis_url: str
    password_file: str = ""
    fleet_file: str = ""


class _WithRedisTable(Struct, frozen=True):
    """The fleet's file has it in a table, a worker's does not."""

    redis: _Place


def find_redis(program: str, environment: Environment) -> RedisConfig | None:
    """The address of Redis for a worker that cannot use its own file: from the manager's file, or the environment.

    None if neither has it.
    """
    places = [_place(environment.applied / f"{program}.json", _Place), _place(_path(environment), _WithRedisTable)]
    if environment.redis_url:
        places.append(_Place(environment.redis_url))
    for place in filter(None, places):
        with suppress(FleetError):
            return redis_of(RedisPlace(maxlen=MaxLen(), **msgspec.structs.asdict(place)), environment)
    return None


def _place(path: Path, shape: type[_Place] | type[_WithRedisTable]) -> _Place | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=shape)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.redis if isinstance(found, _WithRedisTable) else found


def _path(environment: Environment) -> Path:
    return environment.applied / "fleet.json"
