"""The only place that knows redis-py: clients with timeouts, a raw connection for pipelining, errors translated."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import hiredis
import redis
import redis.asyncio
from redis.asyncio.connection import parse_url

from common.config import RedisConfig
from common.errors import FleetError, RedisUnreachableError, SupersededError

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
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


_MULTI = pack_command(("MULTI",))
_EXEC = pack_command(("EXEC",))
_TIME = pack_command(("TIME",))

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


def is_no_stream(reply: Reply) -> bool:
    """Whether XINFO or XGROUP was refused because there is no such key, or it holds something of another type."""
    no_key = ("no such key", "requires the key to exist")
    return is_wrong_type(reply) or (
        isinstance(reply, redis.ResponseError) and any(text in str(reply) for text in no_key)
    )


def is_no_group(reply: Reply) -> bool:
    """Whether a command of a consumer group was refused because there is no such group, or its stream is gone."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith(("NOGROUP", "UNBLOCKED"))


def is_group_there(reply: Reply) -> bool:
    """Whether XGROUP CREATE was refused because the group exists already."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("BUSYGROUP")


_MOST_DIGITS = 100
"""Of a fencing number: a time in ms has 13. What is longer was not written by us."""


def _number(reply: Reply) -> int:
    """What a key holds that should hold a number; 0 for anything else."""
    return int(reply) if isinstance(reply, bytes) and reply.isdigit() and len(reply) <= _MOST_DIGITS else 0


def _watch_commands(key: str) -> list[bytes]:
    """Watch a key and look at it."""
    return [pack_command(("WATCH", key)), pack_command(("GET", key))]


def _time_ms(reply: Reply) -> int:
    """The answer to TIME, as ms since the epoch; 0 where it is refused."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000 if isinstance(reply, list) else 0


@contextmanager
def _not_swallowed() -> Iterator[None]:
    """Raise a cancellation behind the block that was swallowed in it: before Python 3.12 ``wait_for`` can do that."""
    task = asyncio.current_task()
    cancels = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > cancels:
        raise asyncio.CancelledError


class RedisPipe:
    """One connection that takes packed commands in batches and gives their replies in order.

    redis-py does the connecting (TLS, unix socket, authentication, choice of database); batches go around its command
    layer, which costs several times what Redis itself does per XADD. Not safe for concurrent use.

    Args:
        config: Where Redis is.
        text: Replies hold ``str``, for readers; else ``bytes``, which a fence needs.
    """

    def __init__(self, config: RedisConfig, *, text: bool = False) -> None:
        self._config = config
        options = {**parse_url(config.url), **_options(config), **(_AS_TEXT if text else {})}
        connection_class = options.pop("connection_class", redis.asyncio.Connection)
        self._connection = connection_class(**options)
        self._fence: tuple[str, int] | None = None
        self._watching = False

    async def take_fence(self, key: str) -> int:
        """Become the one writer: take the next number of ``key`` and carry out transactions only while it holds it.

        The key is watched, so a newer run that takes the next number makes the transaction fail that would have come
        after it: there is no moment in which both write.

        A number is above the one before it and not below the time of Redis' clock (ms since the epoch), so it is
        higher than all earlier ones also where Redis has been restored to a state in which it held a lower number, or
        none. A run that finds a lower number than its own is the newer one, and writes its own again.

        Returns:
            The number.

        Raises:
            RedisUnreachableError: The connection failed, or the server takes no writes now.
        """
        while True:
            self._fence, self._watching = None, False
            held = await self._watch(key)
            (now,) = await self.execute([_TIME])
            number = max(held + 1, _time_ms(now))
            if await self._set_watched(key, number):
                self._fence = (key, number)
                return number

    async def _watch(self, key: str) -> int:
        """Watch a key; the number that it holds."""
        replies = await self.execute(_watch_commands(key))
        if isinstance(replies[1], Exception) and not is_wrong_type(replies[1]):
            self._refuse(replies)
        return _number(replies[1])

    async def _set_watched(self, key: str, number: int) -> bool:
        """Set a key that is being watched; False where somebody else wrote it meanwhile."""
        replies = await self.execute([_MULTI, pack_command(("SET", key, number)), _EXEC])
        if isinstance(replies[-1], Exception):
            self._refuse(replies)
        return replies[-1] is not None

    @property
    def connected(self) -> bool:
        """Whether the connection is up as far as we know."""
        return bool(self._connection.is_connected)

    async def connect(self) -> None:
        """Open the connection where it is not open.

        Raises:
            RedisUnreachableError: Nobody answers there, or it does not let us in.
        """
        with translated_errors(self._config), _not_swallowed():
            await self._connection.connect()

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send packed commands in one write and return their replies; a refusal is a reply, not raised.

        Cancel safety: a cancelled call leaves the connection in the middle of a reply; close it then.

        Raises:
            RedisUnreachableError: The connection failed; any part of the batch may have been carried out.
        """
        with translated_errors(self._config):
            with _not_swallowed():
                await self._connection.send_packed_command([b"".join(commands)], check_health=False)
            return [await self._reply() for _ in commands]

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands as one MULTI/EXEC: all of them or none. Returns the reply of each.

        Raises:
            RedisUnreachableError: The connection failed (all or nothing was done), or the server takes no writes
                now (nothing was done).
            SupersededError: The fence holds a higher number than ours (nothing was done).
        """
        while True:
            await self._hold_fence()
            # Behind each transaction in the same write: it costs no round trip.
            watch = _watch_commands(self._fence[0]) if self._fence else []
            replies = await self.execute([_MULTI, *commands, _EXEC, *watch])
            result = replies[len(commands) + 1]
            self._watching = self._fence is not None and _number(replies[-1]) == self._fence[1]
            if isinstance(result, list):
                return result
            if result is not None:
                self._watching = False
                self._refuse(replies)
            self._watching = False  # somebody wrote the fence: look who

    async def _hold_fence(self) -> None:
        """Watch the fence and see that it is still ours."""
        while self._fence is not None and not self._watching:
            key, number = self._fence
            held = await self._watch(key)
            if held > number:
                raise SupersededError("a newer run of this collector has begun")
            if held < number:  # Redis has forgotten us; watched, so that a newer run's number is not overwritten
                await self._set_watched(key, number)
            else:
                self._watching = True

    def _refuse(self, replies: list[Reply]) -> NoReturn:
        """EXEC itself only says that something went wrong before; the command that did says what."""
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
        self._watching = False
        await self._connection.disconnect(nowait=True)
