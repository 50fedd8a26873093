"""The only place that knows redis-py: clients with timeouts, a raw connection for pipelining, errors translated."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import hiredis
import redis
import redis.asyncio
from redis.asyncio.connection import parse_url

from common.config import RedisConfig
from common.errors import RedisUnreachableError

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
LATENCY_OF_DEATH_S = 15
"""TCP keep-alive finds a Redis host that vanished without a word within about this time."""

AsyncRedis = redis.asyncio.Redis
SyncRedis = redis.Redis
Reply = bytes | int | list[Any] | str | None | Exception
Scalar = str | int | float | bytes

pack_command: Callable[[tuple[Scalar, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: 1-tuple
"""One command in Redis' protocol, packed in C."""


def shown_address(config: RedisConfig) -> str:
    """The address of Redis for messages: no user, no password."""
    parts = urlsplit(config.url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or '127.0.0.1'}:{parts.port or 6379}"


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


def _options(config: RedisConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
    }
    if config.password is not None:
        options["password"] = config.password
    return options


_MULTI = pack_command(("MULTI",))
_EXEC = pack_command(("EXEC",))

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


def is_stale_id(reply: Reply) -> bool:
    """Whether XADD was refused because the stream already has this id or a higher one."""
    return isinstance(reply, redis.ResponseError) and "equal or smaller" in str(reply)


def is_wrong_type(reply: Reply) -> bool:
    """Whether a command was refused because the key holds something of another type."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")


class RedisPipe:
    """One connection that takes packed commands in batches and gives their replies in order.

    redis-py does the connecting (TLS, unix socket, authentication, choice of database); batches go around its command
    layer, which costs several times what Redis itself does per XADD. Not safe for concurrent use.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        options = {**parse_url(config.url), **_options(config)}
        connection_class = options.pop("connection_class", redis.asyncio.Connection)
        self._connection = connection_class(**options)

    @property
    def connected(self) -> bool:
        """Whether the connection is up as far as we know."""
        return bool(self._connection.is_connected)

    async def connect(self) -> None:
        """Open the connection where it is not open.

        Raises:
            RedisUnreachableError: Nobody answers there, or it does not let us in.
        """
        with translated_errors(self._config):
            await self._connection.connect()

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send packed commands in one write and return their replies; a refusal is a reply, not raised.

        Cancel safety: a cancelled call leaves the connection in the middle of a reply; close it then.

        Raises:
            RedisUnreachableError: The connection failed; any part of the batch may have been carried out.
        """
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        with translated_errors(self._config):
            await self._connection.send_packed_command([b"".join(commands)], check_health=False)
            if task and task.cancelling() > cancels:
                raise asyncio.CancelledError  # before Python 3.12 the wait_for in there can swallow it
            return [await self._reply() for _ in commands]

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands as one MULTI/EXEC: all of them or none. Returns the reply of each.

        Raises:
            RedisUnreachableError: The connection failed (all or nothing was done), or the server takes no writes
                now (nothing was done).
        """
        replies = await self.execute([_MULTI, *commands, _EXEC])
        if isinstance(replies[-1], list):
            return replies[-1]
        # EXEC itself only says that something went wrong before; the command that did says what.
        cause = next((reply for reply in replies if isinstance(reply, Exception)), None)
        raise RedisUnreachableError(f"Redis at {shown_address(self._config)} {_why_refused(cause)}")

    async def _reply(self) -> Reply:
        try:
            reply: Reply = await self._connection.read_response()
        except redis.ResponseError as refusal:
            return refusal
        return reply

    async def close(self) -> None:
        """Drop the connection; what was sent and not answered is unknown."""
        await self._connection.disconnect(nowait=True)
