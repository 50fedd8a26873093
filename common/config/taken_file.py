"""The fleet file as the manager has taken it: what holds, whatever is in the fleet file meanwhile.

Beside the workers' files, which have the run-time changes in them, so that the commands see the fleet that the manager
sees. As there, no secret is in it.
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
        content = msgspec.json.decode(read_own(_path(environment)), type=TakenFile)
        if Path(content.path).resolve() != fleet_path.resolve():
            return None
        redis = redis_of(content.redis, environment)
    except (OSError, msgspec.MsgspecError, FleetError):
        return None
    return Fleet(redis=redis, collectors=content.collectors, ground=content.ground, tuning=content.tuning)


class _Place(Struct, frozen=True):
    """What is needed of ``RedisPlace`` to find Redis, whatever else a file holds or lacks."""

    redis_url: str
    password_file: str = ""
    fleet_file: str = ""


class _Around(Struct, frozen=True):
    """The fleet's file has it in a table, a worker's does not."""

    redis: _Place


def find_redis(program: str, environment: Environment) -> RedisConfig | None:
    """Where Redis is, for a worker that cannot use its own file: by what is left of the manager's, or the environment.

    None where nothing tells.
    """
    places = [_place(environment.applied / f"{program}.json", _Place), _place(_path(environment), _Around)]
    if environment.redis_url:
        places.append(_Place(environment.redis_url))
    for place in filter(None, places):
        with suppress(FleetError):
            return redis_of(RedisPlace(maxlen=MaxLen(), **msgspec.structs.asdict(place)), environment)
    return None


def _place(path: Path, shape: type[_Place] | type[_Around]) -> _Place | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=shape)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.redis if isinstance(found, _Around) else found


def _path(environment: Environment) -> Path:
    return environment.applied / "fleet.json"
