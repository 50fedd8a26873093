"""The only place that knows redis-py: clients with timeouts for the manager and the commands, errors translated."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, cast

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

from tickfleet._util.causes import cause_of, root_of
from tickfleet.contract import keys
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, NO_SENTINEL, UNREACHED
from tickfleet.redis.protocol import name_words
from tickfleet.redis.refusals import because, code_of, describe
from tickfleet.redis.tls import file_trouble
from tickfleet.redis.url import Address, AddressKind, Host, read_address

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
    except (redis.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        raise RedisUnreachableError(f"Redis at {shown_address(config)} {_describe_error(error, config)}") from error


def _describe_error(error: Exception, config: RedisConfig) -> str:
    cause = error
    if isinstance(error, redis.exceptions.RedisClusterException) and isinstance(error.__cause__, redis.RedisError):
        cause = error.__cause__  # why nobody could be asked who the nodes are
    if isinstance(cause, _CLUSTER_SAYS) and read_address(config.url).kind is not AddressKind.CLUSTER:
        return "is a Cluster: its address begins with redis+cluster://"
    if "Cluster mode is not enabled" in str(error):
        return "is no Cluster: its address begins with redis://"
    if isinstance(cause, _NO_MASTER):
        if isinstance(cause.__cause__, _LOST) and not refusal_of(cause.__cause__):
            return f"{UNREACHED}: {NO_SENTINEL}: {_cause_of(cause.__cause__)}"
        return (
            "has no master that a Sentinel tells us (is the name right? where they want a password: sentinel_auth=yes)"
        )
    if refusal := refusal_of(cause):
        return describe(refusal, _command_of(cause))
    if isinstance(cause, _LOST):
        return file_trouble(read_address(config.url)) or f"{UNREACHED}: {_cause_of(cause)}"
    return "does not work for us as it is"


_LOST = (redis.ConnectionError, redis.TimeoutError, OSError, redis.exceptions.RedisClusterException)


_NO_MASTER = (redis.sentinel.MasterNotFoundError, redis.asyncio.sentinel.MasterNotFoundError)


def _cause_of(error: BaseException) -> str:
    """Why no connection could be had, or why it broke. Of its end redis-py makes an error with nothing behind it."""
    otherwise = next((text for kind, text in _ENDS.items() if isinstance(error, kind)), "it failed")
    return cause_of(root_of(error), otherwise)


_ENDS: Mapping[type[Exception], str] = {
    redis.ConnectionError: "it broke off the connection",
    redis.TimeoutError: "no answer in time",
    redis.exceptions.RedisClusterException: "none of its nodes answers",
}


def refusal_of(error: object) -> str:
    """The refusal of Redis behind an error, as Redis gave it; empty if it is none: redis-py takes the code off."""
    text = str(error).rpartition(_IN_PIPELINE)[2].removeprefix("('").removesuffix("',)")  # in asyncio it is a tuple
    if isinstance(error, redis.ConnectionError) and any(part in text for part in _TURNED_AWAY):
        return f"ERR {text}"
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    return f"{code} {text}".strip() if code or isinstance(error, redis.ResponseError) else ""


def why_refused(reply: object, command: str) -> str:
    """As ``because``, for a reply of redis-py."""
    return because(refusal_of(reply), command)


def _command_of(error: Exception) -> str:
    """What was refused, by a pipeline's error or as ``_noted`` has noted it; empty if neither tells."""
    if _IN_PIPELINE in str(error):
        return name_words(str(error).partition(_IN_PIPELINE)[0].partition("(")[2].removesuffix(")").split())
    return next(iter(getattr(error, "__notes__", ())), "")


@contextmanager
def _noted(name: object, *args: object) -> Iterator[None]:
    """Add the refused command to a refusal; redis-py has names of two words: ``XINFO STREAM``."""
    try:
        yield
    except redis.ResponseError as refusal:
        refusal.add_note(name_words([*str(name).split(), *args]))
        raise


_IN_PIPELINE = " of pipeline caused error: "
"""What redis-py puts between a command, ``Command # 1 (HSET key …)``, and its refusal."""

_TURNED_AWAY = ("max number of clients reached", "without any password configured", "no password is set")
"""Refusals with the code ERR that redis-py makes an error of the connection."""

_CLUSTER_SAYS = (redis.exceptions.AskError, redis.exceptions.TryAgainError)  # one that was moved is a sort of the first
_CODES: Sequence[tuple[type[Exception], str]] = (
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.OutOfMemoryError, "OOM"),
    (redis.ReadOnlyError, "READONLY"),
    (redis.AuthenticationError, "WRONGPASS"),  # NOAUTH, too: redis-py asks with what it was given
    (redis.BusyLoadingError, "LOADING"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.MovedError, "MOVED"),
    (redis.exceptions.AskError, "ASK"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.ClusterCrossSlotError, "CROSSSLOT"),
)
"""The code that redis-py has made a class of; the first one that fits."""


def check_serves(replies: Iterable[object]) -> None:
    """Check by a pipeline's replies (which do not raise) that Redis works; a refusal of a single key is ignored.

    Raises:
        redis.RedisError: A reply says that the whole server does not work; see ``translated_errors``.
    """
    for reply in replies:
        if isinstance(reply, _OF_THE_SERVER):
            raise reply


_OF_THE_SERVER = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.MovedError,
    redis.exceptions.AskError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.RedisClusterException,
)

_AS_TEXT: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace"}
"""A foreign, binary value in one of our keys is read as damaged text, and does not break the reply it is in."""


class _AsyncServer(AsyncRedis):
    """A client whose refusals name the refused command."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with _noted(*args):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class _SyncServer(SyncRedis):
    """The blocking one."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with _noted(*args):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class _AsyncNodes(redis.asyncio.cluster.RedisCluster):
    """The client of a Cluster."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with _noted(*args):
            return await super().execute_command(*args, **options)


class _SyncNodes(redis.cluster.RedisCluster):
    """The blocking client of a Cluster."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with _noted(*args):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class _AsyncSentinel(AsyncRedis):
    """A client of a Sentinel; redis-py keeps only the text of the reason why it did not answer.

    Attributes:
        lost: Why it has not answered when it was last asked; None if it has.
    """

    lost: Exception | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with _kept(self):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class _SyncSentinel(SyncRedis):
    """The blocking one."""

    lost: Exception | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with _kept(self):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


@contextmanager
def _kept(sentinel: _AsyncSentinel | _SyncSentinel) -> Iterator[None]:
    sentinel.lost = None
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        sentinel.lost = error
        raise


class _AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """The Sentinels that know the master."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        with _explained(self.sentinels):
            return await super().discover_master(service_name)  # type: ignore[no-any-return]


class _SyncSentinels(redis.sentinel.Sentinel):
    """The blocking Sentinels."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        with _explained(self.sentinels):
            return super().discover_master(service_name)  # type: ignore[no-any-return,no-untyped-call]


@contextmanager
def _explained(sentinels: Iterable[Any]) -> Iterator[None]:
    """Add its cause to the error that no master was found, if the cause is that no Sentinel answered."""
    try:
        yield
    except _NO_MASTER as error:
        lost = [each.lost for each in sentinels]
        raise error from (lost[-1] if all(lost) else None)


class _AsyncMaster(_AsyncServer):
    """A client of the master that Sentinels name; closing it also closes its connections to them."""

    sentinels: Sequence[AsyncRedis] = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for sentinel in self.sentinels:
            await sentinel.aclose()


class _SyncMaster(_SyncServer):
    """The blocking one."""

    sentinels: Sequence[SyncRedis] = ()

    def close(self) -> None:
        super().close()
        for sentinel in self.sentinels:
            sentinel.close()


class _SyncCluster:
    """A client of a Cluster that finds its nodes at its first use; redis-py's own client does so on construction."""

    def __init__(self, make: Callable[[], redis.cluster.RedisCluster]) -> None:
        self._make = make
        self._made: redis.cluster.RedisCluster | None = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def async_client(config: RedisConfig) -> AsyncRedis:
    """An asyncio client that answers or fails within seconds; its texts are str."""
    address = read_address(config.url)
    if address.kind is AddressKind.SENTINEL:
        arguments = _sentinels(config, address, AsyncRetry), _options_of_master(config, address, AsyncRetry)
        (hosts, options), options_of_master = arguments
        sentinels = _AsyncSentinels([], **options_of_master)  # type: ignore[no-untyped-call]
        sentinels.sentinels = [_AsyncSentinel(host=host, port=port, **options) for host, port in hosts]
        master: _AsyncMaster = sentinels.master_for(address.service, redis_class=_AsyncMaster)
        master.sentinels = sentinels.sentinels
        return master
    if address.kind is AddressKind.CLUSTER:
        nodes = [redis.asyncio.cluster.ClusterNode(*host) for host in address.hosts]
        cluster = _AsyncNodes(startup_nodes=nodes, **_retrying_options(config, address, AsyncRetry))
        return cast("AsyncRedis", cluster)
    return _AsyncServer(**_options_of_server(config, address, AsyncRetry))


def sync_client(config: RedisConfig) -> SyncRedis:
    """A blocking client for short-lived commands."""
    address = read_address(config.url)
    if address.kind is AddressKind.SENTINEL:
        arguments = _sentinels(config, address, Retry), _options_of_master(config, address, Retry)
        (hosts, options), options_of_master = arguments
        sentinels = _SyncSentinels([], **options_of_master)  # type: ignore[no-untyped-call]
        sentinels.sentinels = [_SyncSentinel(host=host, port=port, **options) for host, port in hosts]
        master: _SyncMaster = sentinels.master_for(address.service, _SyncMaster)  # type: ignore[no-untyped-call]
        master.sentinels = sentinels.sentinels
        return master
    if address.kind is AddressKind.CLUSTER:
        nodes = [redis.cluster.ClusterNode(*host) for host in address.hosts]  # type: ignore[no-untyped-call]
        options = {"startup_nodes": nodes, **_retrying_options(config, address, Retry)}
        return cast("SyncRedis", _SyncCluster(lambda: _SyncNodes(**options)))
    return _SyncServer(**_options_of_server(config, address, Retry))


def answer_of(client: SyncRedis, command: Sequence[str]) -> Any:
    """The answer to any command; a refusal is one, too. Errors of the connection are redis-py's."""
    asks: Any = client  # redis-py types answers as awaitable too
    try:
        return asks.execute_command(*command)
    except redis.ResponseError as refusal:
        return refusal


async def read_info(client: AsyncRedis, section: str) -> dict[str, Any]:
    """The answer to INFO; empty if it is refused. Of a Cluster see ``_of_all``."""
    try:
        if isinstance(client, redis.asyncio.cluster.RedisCluster):
            return _of_all(await client.info(section, target_nodes=client.PRIMARIES))
        return dict(await client.info(section))
    except redis.ResponseError:
        return {}


def read_facts(client: SyncRedis, *settings: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers to INFO and to CONFIG GET, of a Cluster those of one node; empty if they are refused."""
    asks: Any = client  # redis-py types answers as awaitable too
    info: dict[str, Any] = {}
    config: dict[str, Any] = {}
    with suppress(redis.ResponseError):
        many = isinstance(client, _SyncCluster)
        info = _of_all(asks.info("all", target_nodes=asks.PRIMARIES)) if many else asks.info("all")
    with suppress(redis.ResponseError):
        config = asks.config_get(*settings)
    return info, config


async def masters(client: AsyncRedis) -> list[tuple[str, str, str]]:
    """Of the server, or each master of a Cluster: where it says that it is, name and version, and the id of its run.

    Empty where this user may not ask.
    """
    asks: Any = client
    try:
        if isinstance(client, redis.asyncio.cluster.RedisCluster):
            await client.initialize()  # it knows no node before its first command, or after one was lost
            found = [(node.name, await asks.info("server", target_nodes=node)) for node in asks.get_primaries()]
        else:
            info = await asks.info("server")
            found = [(await _place(asks, info), info)]
    except redis.ResponseError:
        return []
    return [(place, _name(info), str(info.get("run_id", ""))) for place, info in found]


async def _place(asks: Any, info: Mapping[str, Any]) -> str:
    """The server's end of our connection (since Redis 6.2), else its port."""
    with suppress(redis.ResponseError):
        return str((await asks.client_info())["laddr"])
    return f"port {info.get('tcp_port', '?')}"


def _name(info: Mapping[str, Any]) -> str:
    return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version', '?')}"


def maxmemory_of_nodes(client: SyncRedis) -> dict[str, int]:
    """``maxmemory`` of each master of a Cluster by ``host:port``, without masters that do not tell it."""
    asks: Any = client
    found = dict[str, int]()
    for node in asks.get_primaries():
        with suppress(redis.ResponseError):
            found[node.name] = asks.info("memory", target_nodes=node)["maxmemory"]
    return found


def node_of(client: SyncRedis, key: str) -> str:
    """``host:port`` of the Cluster node with a key."""
    asks: Any = client
    return str(asks.get_node_from_key(key).name)


def queue_write(pipe: Any) -> None:
    """Put a write into a pipeline that changes nothing, and is refused if writes are; see ``code_of_write``."""
    pipe.set(keys.FLEET_PROBE, 1, xx=True)


def code_of_write(reply: object) -> str:
    """The code with which ``queue_write`` was refused; empty if it was not."""
    refusal = refusal_of(reply)
    return code_of(refusal) if refusal else ""


async def count_refusals(client: AsyncRedis) -> dict[str, int] | None:
    """How often Redis has refused a command, by code, all nodes of a Cluster together; None if it does not tell.

    It counts them from its start on, or from ``CONFIG RESETSTAT``.
    """
    counts: dict[str, int] = {}
    try:
        if isinstance(client, redis.asyncio.cluster.RedisCluster):
            answer = await client.info("errorstats", target_nodes=client.PRIMARIES)
            nodes = [each for each in answer.values() if isinstance(each, Mapping)] if _is_many(answer) else [answer]
        else:
            nodes = [await client.info("errorstats")]
    except redis.ResponseError:
        return None
    for name, facts in (item for node in nodes for item in node.items()):
        code = name.removeprefix("errorstat_")
        if code != name and isinstance(facts, Mapping) and isinstance(facts.get("count"), int):
            counts[code] = counts.get(code, 0) + facts["count"]
    return counts


def _is_many(answer: Mapping[str, Any]) -> bool:
    """Whether an answer to INFO is from several nodes, by node; for one node, redis-py returns only its facts."""
    return bool(answer) and not any(name.startswith("errorstat_") for name in answer)


def _of_all(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of one Cluster node, with the total memory of all nodes."""
    if not all(isinstance(each, Mapping) for each in nodes.values()):  # of one node redis-py gives the facts alone
        return dict(nodes)
    facts = dict(next(iter(nodes.values())))
    facts["used_memory"] = sum(each["used_memory"] for each in nodes.values())
    limits = [each.get("maxmemory", 0) for each in nodes.values()]
    facts["maxmemory"] = sum(limits) if all(limits) else 0
    return facts


class KeyRefusedError(FleetError):
    """Redis works, but does not let us use this one key: it holds something else, or refuses writes."""


@contextmanager
def refused_keys(key: str, command: str) -> Iterator[None]:
    """Turn a refusal of one key into our error; errors that say that Redis does not work stay as they are.

    Args:
        key: The key that is used.
        command: What may be refused, in lower case.
    """
    try:
        yield
    except redis.ResponseError as refusal:
        check_serves([refusal])
        raise KeyRefusedError(f"Redis does not let us use {key}{why_refused(refusal, f'{command} {key}')}") from refusal


async def claim(client: AsyncRedis, key: str, token: str, ttl_ms: int) -> str | None:
    """Take a key that expires, or renew it; whose token it holds now. None if others were at it at the same time.

    The key is watched, so there is no moment in which two believe that it is theirs.

    Raises:
        KeyRefusedError: See the class. Errors of the connection are redis-py's, see ``translated_errors``.
    """
    async with client.pipeline(transaction=True) as pipe:
        try:
            with refused_keys(key, "set"):
                await pipe.watch(key)
                holder: str | None = await pipe.get(key)
                if holder not in (None, token):
                    return holder
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(key, token, px=ttl_ms)
                await pipe.execute()
        except redis.WatchError:
            return None
    return token


async def disclaim(client: AsyncRedis, key: str, token: str) -> None:
    """Give up a key if it is still ours. Errors as in ``claim``."""
    async with client.pipeline(transaction=True) as pipe:
        with suppress(redis.WatchError), refused_keys(key, "set"):
            await pipe.watch(key)
            if await pipe.get(key) == token:
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.delete(key)
                await pipe.execute()


def _options(config: RedisConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
    }
    if config.password is not None:
        options["password"] = config.password
    return options


def _options_of_hosts(config: RedisConfig, address: Address) -> dict[str, Any]:
    """The options of connections to the hosts of an address."""
    options = _options(config)
    if address.user:
        options["username"] = address.user
    if address.tls is not None:
        options |= {"ssl": True, **{name: value for name, value in address.tls.items() if name.startswith("ssl_")}}
        options["ssl_check_hostname"] = address.checks_names
    return options


_AGAIN = ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3
"""How a master and the nodes of a Cluster are tried again: for a second or two. Who waits longer has its own pauses."""

_Retry = type[Retry | AsyncRetry]


def _sentinels(config: RedisConfig, address: Address, retry: _Retry) -> tuple[Sequence[Host], dict[str, Any]]:
    """The Sentinels' addresses, and the options of connections to them."""
    options = _options_of_hosts(config, address)
    if not address.login_at_sentinels:
        for name in ("username", "password"):
            options.pop(name, None)
    return address.hosts, {**options, **_AS_TEXT, "retry": retry(NoBackoff(), 0)}  # there are others


def _options_of_server(config: RedisConfig, address: Address, retry: _Retry) -> dict[str, Any]:
    """The connection options for an address of a single server."""
    place = (
        {"unix_socket_path": address.path} if address.path else dict(zip(("host", "port"), *address.hosts, strict=True))
    )
    options = {**_options_of_hosts(config, address), **_AS_TEXT, **place, "db": address.database}
    return {**options, "retry": retry(NoBackoff(), 0)}  # who needs patience has its own


def _options_of_master(config: RedisConfig, address: Address, retry: _Retry) -> dict[str, Any]:
    return {**_retrying_options(config, address, retry), "db": address.database}


def _retrying_options(config: RedisConfig, address: Address, retry: _Retry) -> dict[str, Any]:
    return {**_options_of_hosts(config, address), **_AS_TEXT, "retry": retry(*_AGAIN)}


def is_wrong_type(reply: object) -> bool:
    """Whether a command was refused because the key holds something of another type."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")
