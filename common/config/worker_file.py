"""The file that the manager gives to a worker: its configuration as applied.

A worker that restarts by itself continues with the applied configuration, even if the fleet file has changed. The file
has no secret: a worker finds the password of Redis in the same place as the readers of the fleet file.
"""

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.own_file import read_own
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.redis.config import MaxLen, RedisConfig
from tickfleet.redis.url import split_secret


class RedisPlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address of Redis, and where to find its password.

    Attributes:
        redis_url: The address without its password; ``TICKFLEET_REDIS_URL`` outranks it, as everywhere.
        password_file: The file of the password, if it has its own file, else empty.
        fleet_file: Set only if the password is part of the address in the fleet file.
    """

    redis_url: str
    maxlen: MaxLen
    password_file: str = ""
    fleet_file: str = ""


class WorkerFile(RedisPlace, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file."""

    collector: ExchangeCollectorConfig


def redis_place(redis: RedisConfig, environment: Environment) -> RedisPlace:
    """The address of Redis without secrets; ``environment`` must be the readers' environment, too."""
    by_environment = environment.redis_password is not None or environment.redis_url is not None
    in_fleet_file = redis.password is not None and not redis.password_file and not by_environment
    return RedisPlace(
        redis_url=redis.url,
        maxlen=redis.maxlen,
        password_file=redis.password_file,
        fleet_file=str(environment.fleet_path.absolute()) if in_fleet_file else "",
    )


def worker_file(collector: ExchangeCollectorConfig, redis: RedisConfig, environment: Environment) -> WorkerFile:
    """All that a worker needs in place of the fleet file; ``environment`` must be the workers' environment, too."""
    return WorkerFile(collector=collector, **msgspec.structs.asdict(redis_place(redis, environment)))


def encode(content: WorkerFile) -> str:
    """The text of the file: JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def decode(path: Path) -> WorkerFile:
    """Read the file.

    Raises:
        InvalidConfigurationError: It cannot be read, others may change it, or it is not such a file.
        FleetError: It does not exist.
    """
    try:
        text = read_own(path)
    except InvalidConfigurationError as error:
        if error.__cause__ is None:  # it is there, and its message says what to do
            raise
        if isinstance(error.__cause__, FileNotFoundError):
            raise FleetError(f"{path} is not there; a manager that runs writes it again within seconds") from error
        raise _spoilt(path, "the file cannot be read") from error
    try:
        return msgspec.json.decode(text, type=WorkerFile)
    except msgspec.MsgspecError as error:
        raise _spoilt(path, "not a configuration as the manager writes it") from error
    except FleetError as error:
        raise InvalidConfigurationError(f"{path}: {error}") from error


def _spoilt(path: Path, what: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(f"{path}: {what} (manager-cli apply writes it anew; then start the collector)")


def redis_of(content: RedisPlace, environment: Environment) -> RedisConfig:
    """The address of Redis, with its password.

    Raises:
        InvalidConfigurationError: ``TICKFLEET_REDIS_URL`` is not an address.
        FleetError: The password cannot be read from its file now; the next try may succeed.
    """
    url, secret = split_secret(environment.redis_url or content.redis_url, "TICKFLEET_REDIS_URL")
    password = environment.redis_password
    if password is None and content.password_file:
        password = _read(content.password_file).strip()
    if password is None and content.fleet_file:
        secret = _secret_in(content.fleet_file)
    return RedisConfig(url=url, password=password or secret, maxlen=content.maxlen, password_file=content.password_file)


def _secret_in(fleet_file: str) -> str | None:
    """The password in the fleet file's address of Redis; nothing else in that file matters here."""
    try:
        url = tomllib.loads(_read(fleet_file))["redis"]["url"]
        return split_secret(url, "redis.url")[1]
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError, InvalidConfigurationError) as error:
        raise FleetError(f"{fleet_file}: the password of Redis cannot be read from it") from error


def _read(path: str) -> str:
    try:
        return read_own(Path(path), secret=True)
    except InvalidConfigurationError as error:
        raise FleetError(f"the password of Redis cannot be read now: {error}") from error
