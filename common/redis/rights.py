"""The commands of each part of a fleet, so the least rights that its login needs; checks whether it has them.

The check executes nothing. It queues the command in a transaction that cannot be executed, because its first command
does not exist. Redis refuses a forbidden command when it is queued, before it checks whether it has the key or is a
replica (https://valkey.io/topics/transactions/, https://valkey.io/topics/acl/). Users are not replicated: each node of
a Cluster and each server behind Sentinels has its own, so each is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial

from common.config.collector import ExchangeCollectorConfig
from common.redis.servers import connected, shown
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import LineBrokenError, RedisConnection, broken
from tickfleet.redis.discovery import Route
from tickfleet.redis.protocol import NotRedisError, Refusal, Reply, Scalar, name_words, pack_command
from tickfleet.redis.refusals import NO_RIGHT
from tickfleet.redis.url import AddressKind, Host

Command = tuple[Scalar, ...]

_AN_ID = "1-1"
_WITH_SUBCOMMAND = frozenset({"XINFO", "XGROUP", "MEMORY", "CONFIG", "CLUSTER"})
_NEVER_QUEUED: tuple[Command, ...] = (("MULTI",), ("EXEC",), ("DISCARD",), ("WATCH", keys.FLEET_LEASE), ("UNWATCH",))


class Login(Enum):
    """The part of the fleet that a login is for."""

    FLEET = "fleet"  # one for all
    COLLECTORS = "collectors"
    MANAGER = "manager"
    COMMANDS = "commands"
    READERS = "readers"


PATTERNS: Mapping[Login, tuple[str, ...]] = {
    Login.FLEET: ("~md:v1:*",),
    Login.COLLECTORS: ("~md:v1:{*", "~md:v1:permits:*"),
    Login.MANAGER: ("%R~md:v1:{*", "~md:v1:fleet:*"),
    Login.COMMANDS: ("%R~md:v1:{*", "~md:v1:fleet:*", "~md:v1:permits:*"),
    Login.READERS: ("~md:v1:{*", "~md:v1:reader:*"),
}
"""Keys, as ``ACL SETUSER`` has them; ``%R~``, to read only, is of Redis 7."""


_FINDS_NODES: tuple[Command, ...] = (("COMMAND",), ("CLUSTER", "SLOTS"))
"""What redis-py asks to learn which node has a key; collectors and readers follow what nodes say."""


def needs(
    login: Login,
    collectors: Iterable[ExchangeCollectorConfig],
    host: str,
    kind: AddressKind = AddressKind.SERVER,
) -> list[Command]:
    """The commands that a login needs, with the keys of these collectors on this host.

    Args:
        login: Whose.
        collectors: The collectors with streams.
        host: The host name by which they share their exchange's limits.
        kind: The kind of address; a Cluster needs more commands than one server.
    """
    collectors = list(collectors)
    finds = _FINDS_NODES if kind is AddressKind.CLUSTER else ()
    match login:
        case Login.COLLECTORS:
            return [command for each in collectors for command in _of_collector(each, host)]
        case Login.MANAGER:
            return [*finds, *_of_manager(), *(command for each in collectors for command in _looks_of_manager(each))]
        case Login.COMMANDS:
            lists: tuple[Command, ...] = (*finds, ("CLUSTER", "NODES")) if finds else ()
            looks = (command for each in collectors for command in _looks_of_commands(each, host))
            return [*lists, *_of_commands(), *looks]
        case Login.READERS:
            return [("SCAN", 0), *(command for each in collectors for command in _of_reader(each))]
        case Login.FLEET:
            every = (each for each in Login if each is not Login.FLEET)
            return [*dict.fromkeys(command for each in every for command in needs(each, collectors, host, kind))]


def rule(login: Login, collectors: Iterable[ExchangeCollectorConfig], kind: AddressKind = AddressKind.SERVER) -> str:
    """The rules for ``ACL SETUSER name on >password``: the login's keys, and its commands by name."""
    names = {_rule_name(command) for command in (*_NEVER_QUEUED, *needs(login, collectors, "host", kind))}
    return " ".join(("resetkeys", "resetchannels", "-@all", *PATTERNS[login], *(f"+{name}" for name in sorted(names))))


def _rule_name(command: Command) -> str:
    count = 2 if command[0] in _WITH_SUBCOMMAND else 1
    return "|".join(str(word).lower() for word in command[:count])


async def missing(config: RedisConfig, commands: Sequence[Command], hosts: Sequence[Host] = ()) -> list[str]:
    """The commands that this login may not use, or that Redis does not know: ``xinfo stream KEY``.

    Args:
        config: The address and the login.
        commands: What to try.
        hosts: All servers to ask, of a Cluster or behind Sentinels; none: only the server of the address. If only some
            refuse a command, they are named: ``xinfo stream KEY at 10.0.0.7:6379``.

    Raises:
        RedisUnreachableError: A server does not answer, or refuses transactions to this login: nothing was checked
            there.
    """
    if not hosts:
        route = Route(config, text=True)
        line = await route.open()
        try:
            return await _refused(line, route.address.shown, commands)
        except (LineBrokenError, NotRedisError) as error:
            raise broken(route.address, error) from error
        finally:
            await line.close()
    lacking: dict[str, list[str]] = {}
    for host in hosts:
        name = shown(host)
        for each in await connected(config, host, partial(_refused, name=name, commands=commands)):
            lacking.setdefault(each, []).append(name)
    return [each if len(at) == len(hosts) else f"{each} at {', '.join(at)}" for each, at in lacking.items()]


async def _refused(line: RedisConnection, name: str, commands: Sequence[Command]) -> list[str]:
    """As ``missing``, for the connected server; ``name`` is for messages."""
    (begun,) = await line.ask(pack_command(("MULTI",)), 1)
    if isinstance(begun, Refusal):
        raise RedisUnreachableError(f"Redis at {name} gives no right to transactions ({begun.code})")
    sent: list[Command] = [("GET",), *commands, ("EXEC",)]  # the first has too few words, so none is carried out
    replies = await line.ask(b"".join(map(pack_command, sent)), len(sent))
    return [name_words(command) for command, reply in zip(sent[1:], replies[1:], strict=True) if _is_missing(reply)]


def _is_missing(reply: Reply) -> bool:
    """Whether a reply means a missing right; EXEC always answers EXECABORT, with the reason."""
    return isinstance(reply, Refusal) and any(part in str(reply) for part in (NO_RIGHT, "unknown command"))


# --- what each does -------------------------------------------------------------------------------------------------


def _streams(config: ExchangeCollectorConfig) -> list[str]:
    intervals = config.candle_intervals
    return [
        keys.stream(config.id, data_type, interval)
        for data_type in config.data_types
        for interval in (intervals if data_type is DataType.CANDLES else ("",))
    ]


def _of_collector(config: ExchangeCollectorConfig, host: str) -> Iterable[Command]:
    for stream in (*_streams(config), keys.coverage(config.id)):
        yield from (("XADD", stream, _AN_ID, "f", "v"), ("XINFO", "STREAM", stream))
        yield from (("XREVRANGE", stream, "+", "-"), ("XRANGE", stream, "-", "+"))
    for place in (keys.heartbeat(config.id), keys.book(config.id), keys.instrument(config.id)):
        yield ("HSET", place, "f", "v")
    beat, writer = keys.heartbeat(config.id), keys.writer(config.id)
    yield from (("DEL", beat), ("EXPIRE", beat, 1), ("HGETALL", beat))
    yield from (("EXISTS", writer), ("GET", writer), ("SET", writer, 1), ("TIME",), ("ROLE",))
    scope = f"{config.exchange}@{host}"
    for line in (keys.rate_limiter(scope, "connect"), keys.rate_limiter(scope, "rest")):
        yield from (("EVAL", "return 1", 1, line), ("GET", line), ("SET", line, 1))
    ban = keys.ban(scope)
    yield from (("EVAL", "return 1", 1, ban), ("HMGET", ban, "f"), *_lifts(ban))


def _lifts(ban: str) -> Iterable[Command]:
    yield from (("HGET", ban, "f"), ("HSET", ban, "f", "v"), ("HINCRBY", ban, "f", 1), ("EXPIRE", ban, 1))


def _of_manager() -> Iterable[Command]:
    yield from (("HGETALL", keys.FLEET_DESIRED), ("HGET", keys.FLEET_DESIRED, "f"))
    yield from (("HSET", keys.FLEET_DESIRED, "f", "v"), ("HDEL", keys.FLEET_DESIRED, "f"))
    yield from (("GET", keys.FLEET_LEASE), ("SET", keys.FLEET_LEASE, 1), ("DEL", keys.FLEET_LEASE))
    yield from (("HSET", keys.FLEET_MANAGER, "f", "v"), ("DEL", keys.FLEET_MANAGER))
    yield from (("EXPIRE", keys.FLEET_MANAGER, 1), ("HMGET", keys.FLEET_MANAGER, "f"), ("HGETALL", keys.FLEET_MANAGER))
    yield from (("XADD", keys.FLEET_EVENTS, _AN_ID, "f", "v"), ("XRANGE", keys.FLEET_EVENTS, "-", "+"))
    yield from (("SET", keys.FLEET_FIGURES, 1), ("SET", keys.FLEET_PROBE, 1), ("INFO",), ("ROLE",))
    yield ("SET", keys.FLEET_WRITTEN, 1, "GET")


def _looks_of_manager(config: ExchangeCollectorConfig) -> Iterable[Command]:
    yield ("HGETALL", keys.heartbeat(config.id))
    for stream in (*_streams(config), keys.coverage(config.id)):
        yield from (("XLEN", stream), ("MEMORY", "USAGE", stream))


def _of_commands() -> Iterable[Command]:
    yield from (("HGETALL", keys.FLEET_DESIRED), ("HGETALL", keys.FLEET_MANAGER), ("GET", keys.FLEET_FIGURES))
    yield from (("HSET", keys.FLEET_DESIRED, "f", "v"), ("HDEL", keys.FLEET_DESIRED, "f"))
    yield from (("XADD", keys.FLEET_EVENTS, _AN_ID, "f", "v"), ("XRANGE", keys.FLEET_EVENTS, "-", "+"))
    yield from (("XREVRANGE", keys.FLEET_EVENTS, "+", "-"), ("SET", keys.FLEET_PROBE, 1))
    yield from (("SCAN", 0), ("INFO",), ("CONFIG", "GET", "maxmemory"))


def _looks_of_commands(config: ExchangeCollectorConfig, host: str) -> Iterable[Command]:
    yield from (("HGETALL", keys.heartbeat(config.id)), ("EXISTS", keys.heartbeat(config.id)))
    yield from _lifts(keys.ban(f"{config.exchange}@{host}"))
    yield from _reads(config)


def _of_reader(config: ExchangeCollectorConfig) -> Iterable[Command]:
    yield from _reads(config)
    place = keys.position("name")
    yield from (("HSET", place, "f", "v"), ("HGETALL", place))
    for stream in _streams(config):
        yield ("XREADGROUP", "GROUP", "g", "c", "STREAMS", stream, ">")
        yield from (("XACK", stream, "g", _AN_ID), ("XPENDING", stream, "g"), ("XLEN", stream))
        yield from (("XCLAIM", stream, "g", "c", 1, _AN_ID), ("XGROUP", "CREATE", stream, "g", "0"))
        yield from (("XGROUP", "DELCONSUMER", stream, "g", "c"), ("XINFO", "GROUPS", stream))
        yield ("XINFO", "CONSUMERS", stream, "g")
    known, dead = keys.acknowledged(config.id, "g"), keys.dead(config.id, "g")
    yield from (("HSET", known, "f", "v"), ("HGET", known, "f"), ("XADD", dead, _AN_ID, "f", "v"))


def _reads(config: ExchangeCollectorConfig) -> Iterable[Command]:
    for place in (keys.book(config.id), keys.instrument(config.id), keys.heartbeat(config.id)):
        yield ("HGETALL", place)
    for stream in (*_streams(config), keys.coverage(config.id)):
        yield from (("XINFO", "STREAM", stream), ("XRANGE", stream, "-", "+"), ("XREVRANGE", stream, "+", "-"))
        yield ("XREAD", "STREAMS", stream, "0")
