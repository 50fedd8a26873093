"""The only place that knows redis-py: clients with timeouts for the manager and the commands, errors translated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio

from common.config import RedisConfig
from common.errors import FleetError, RedisUnreachableError
from common.redis_line import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from common.redis_url import read_address

AsyncRedis = redis.asyncio.Redis
SyncRedis = redis.Redis


def shown_address(config: RedisConfig) -> str:
    """The address of Redis for messages: no user, no password."""
    return read_address(config.url).shown


@contextmanager
def translated_errors(config: RedisConfig) -> Iterator[None]:
    """Turn redis-py's errors of connection and protocol into ours."""
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise RedisUnreachableError(f"Redis at {shown_address(config)} refuses our password or rights") from error
    except redis.BusyLoadingError as error:  # to redis-py an error of the connection
        raise RedisUnreachableError(f"Redis at {shown_address(config)} {_why_refused(error)}") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise RedisUnreachableError(f"Redis at {shown_address(config)} cannot be reached") from error
    except redis.RedisError as error:
        raise RedisUnreachableError(f"Redis at {shown_address(config)} does not work for us as it stands") from error


_AS_TEXT: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace"}
"""A foreign, binary value in one of our keys is read as damaged text, and does not break the reply it stands in."""


def async_client(config: RedisConfig) -> AsyncRedis:
    """A client for asyncio that answers or fails within seconds; text in and out is str."""
    return redis.asyncio.Redis.from_url(config.url, **_options(config), **_AS_TEXT)


def sync_client(config: RedisConfig) -> SyncRedis:
    """A blocking client for commands that run and end."""
    return redis.Redis.from_url(config.url, **_options(config), **_AS_TEXT)


class KeyRefusedError(FleetError):
    """Redis works, but does not let us use this one key: it holds something else, or takes nothing."""


async def claim(client: AsyncRedis, key: str, token: str, ttl_ms: int) -> str | None:
    """Take a key that expires, or renew it; whose token it holds now. None where others were at it at the same time.

    The key is watched, so there is no moment in which two believe that it is theirs.

    Raises:
        KeyRefusedError: See there. Errors of the connection are redis-py's, see ``translated_errors``.
    """
    async with client.pipeline(transaction=True) as pipe:
        try:
            await pipe.watch(key)
            holder: str | None = await pipe.get(key)
            if holder not in (None, token):
                return holder
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.set(key, token, px=ttl_ms)
            await pipe.execute()
        except redis.WatchError:
            return None
        except redis.ResponseError as refusal:
            raise KeyRefusedError(f"Redis does not let us use {key}") from refusal
    return token


async def disclaim(client: AsyncRedis, key: str, token: str) -> None:
    """Give up a key where it is still ours. Errors as in ``claim``."""
    async with client.pipeline(transaction=True) as pipe:
        try:
            await pipe.watch(key)
            if await pipe.get(key) == token:
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.delete(key)
                await pipe.execute()
        except redis.WatchError:
            return
        except redis.ResponseError as refusal:
            raise KeyRefusedError(f"Redis does not let us use {key}") from refusal


def _options(config: RedisConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
    }
    if config.password is not None:
        options["password"] = config.password
    return options


_REFUSALS: dict[type[Exception], str] = {
    redis.OutOfMemoryError: "is out of memory",
    redis.BusyLoadingError: "is still loading its data",
    redis.ReadOnlyError: "is a read-only replica",
    redis.exceptions.MasterDownError: "is a replica without its master",
    redis.exceptions.NoPermissionError: "does not give us the rights we need",
}
"""By class: redis-py takes the error code off the texts of those it has a class for."""


def _why_refused(cause: Exception | None) -> str:
    """Our own words for the server's refusal."""
    if str(cause).startswith("MISCONF"):
        return "cannot save to its disk and takes no writes"
    return next((words for kind, words in _REFUSALS.items() if isinstance(cause, kind)), "refuses our writes")


def is_wrong_type(reply: object) -> bool:
    """Whether a command was refused because the key holds something of another type."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")
