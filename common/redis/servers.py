"""All servers behind an address of Sentinels or a Cluster: asks each for its role, and whom it follows.

The fleet needs one of them at a time; the others are the ones that it may need next
(https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/,
https://redis.io/docs/latest/commands/cluster-nodes/).
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tickfleet.contract import keys
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import LineBrokenError, RedisConnection, broken, open_line
from tickfleet.redis.protocol import NotRedisError, Refusal, Reply, Scalar, pack_command
from tickfleet.redis.refusals import describe
from tickfleet.redis.url import AddressKind, Host, read_address

SLOTS = 16_384

_Said = TypeVar("_Said")


class ServerRow(Struct, frozen=True, kw_only=True):
    """One node as another node sees it.

    Attributes:
        node_id: The id by which the nodes know each other.
        host: Where; None if that is not known.
        flags: ``master``, ``slave``, ``fail`` and others.
        slots: The first and the last of each range.
    """

    node_id: str
    host: Host | None
    flags: frozenset[str]
    slots: tuple[tuple[int, int], ...] = ()


class SentinelSays(Struct, frozen=True, kw_only=True):
    """One Sentinel.

    Attributes:
        host: Where it is.
        trouble: Why it could not be asked; then nothing else is known about it.
        info: Its answer to INFO; empty if it is refused.
        master: Where it says that the master is; None if it names none.
        no_failover: Why the Sentinels could not agree on another master now; empty if they could.
        replicas: The other servers that it knows.
        others: The other Sentinels that it knows, by the id of their run.
    """

    host: Host
    trouble: str = ""
    info: Mapping[str, str] = {}
    master: Host | None = None
    no_failover: str = ""
    replicas: tuple[Host, ...] = ()
    others: Mapping[str, Host] = {}


class ServerSays(Struct, frozen=True, kw_only=True):
    """One server behind Sentinels, or node of a Cluster.

    Attributes:
        host, trouble, info: As above.
        refusal: Of a master: the refusal of a write that changes nothing; empty if it was not refused.
        rows: Of a Cluster: all nodes in its eyes, itself with the flag ``myself``; none if it does not tell.
    """

    host: Host
    trouble: str = ""
    info: Mapping[str, str] = {}
    refusal: str = ""
    rows: tuple[ServerRow, ...] = ()

    @property
    def row(self) -> ServerRow | None:
        """Its own row, as a node of a Cluster."""
        return next((row for row in self.rows if "myself" in row.flags), None)


class Servers(Struct, frozen=True, kw_only=True):
    """All servers that were found; see the module."""

    sentinels: tuple[SentinelSays, ...] = ()
    servers: tuple[ServerSays, ...] = ()


def shown(host: Host) -> str:
    """The address for messages."""
    return f"[{host[0]}]:{host[1]}" if ":" in host[0] else f"{host[0]}:{host[1]}"


# --- pure: what they say ----------------------------------------------------------------------------------------------


def read_rows(text: str, asked_host: Host) -> tuple[ServerRow, ...]:
    """The answer to ``CLUSTER NODES``; a node that does not know its own address is where it was asked."""
    return tuple(_row(line.split(), asked_host) for line in text.splitlines() if len(line.split()) >= _ROW_FIELDS)


_ROW_FIELDS = 8


def _row(fields: Sequence[str], asked_host: Host) -> ServerRow:
    node_id, address, flags = fields[:3]
    host, _, port = address.partition("@")[0].rpartition(":")
    named = frozenset(flags.split(","))
    if "myself" in named:
        host = host or asked_host[0]
    return ServerRow(
        node_id=node_id,
        host=(host, int(port)) if host and port.isdecimal() and "noaddr" not in named else None,
        flags=named,
        slots=tuple(_range(part) for part in fields[_ROW_FIELDS:] if not part.startswith("[")),  # those are on the move
    )


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def probe_of(slots: Sequence[tuple[int, int]]) -> str:
    """A key that never exists, in one of these slots.

    See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tag.
    """
    tags = map(str, range(100 * SLOTS))
    tag = next(tag for tag in tags if any(a <= crc_hqx(tag.encode(), 0) % SLOTS <= b for a, b in slots))
    return keys.fleet_probe(tag)


def _read_info(reply: Reply) -> dict[str, str]:
    lines = reply.splitlines() if isinstance(reply, str) else []
    return {name: value for name, found, value in (line.partition(":") for line in lines) if found}


def _host(fields: Mapping[str, str]) -> Host | None:
    ip, port = fields.get("ip", ""), fields.get("port", "")
    return (ip, int(port)) if ip and port.isdecimal() else None


def _pairs(reply: Reply) -> list[dict[str, str]]:
    """Dicts from a list of flat lists of names and values, the form of Sentinels' answers."""
    rows = [row for row in reply if isinstance(row, list)] if isinstance(reply, list) else []
    return [dict(zip(map(str, row[::2]), map(str, row[1::2]), strict=False)) for row in rows]


# --- asking them ------------------------------------------------------------------------------------------------------


async def find_servers(config: RedisConfig) -> Servers:
    """Ask all of them, each for a few seconds at most; of one server alone there is nothing to be found."""
    address = read_address(config.url)
    if address.kind is AddressKind.SENTINEL:
        return await _behind_sentinels(config, address.hosts)
    if address.kind is AddressKind.CLUSTER:
        return Servers(servers=await _in_cluster(config, address.hosts))
    return Servers()


async def _behind_sentinels(config: RedisConfig, hosts: Iterable[Host]) -> Servers:
    sentinels = await _all(hosts, lambda host: _ask_sentinel(config, host))
    known = {each.info.get("run_id", "") for each in sentinels}
    others = {host for each in sentinels for run, host in each.others.items() if run not in known}
    sentinels += await _all(others - {each.host for each in sentinels}, lambda host: _ask_sentinel(config, host))
    found = dict.fromkeys(host for each in sentinels for host in (each.master, *each.replicas) if host is not None)
    servers = await _all(found, lambda host: _ask_server(config, host))
    return Servers(sentinels=tuple(sentinels), servers=tuple(servers))


async def _in_cluster(config: RedisConfig, hosts: Iterable[Host]) -> tuple[ServerSays, ...]:
    nodes = await _all(hosts, lambda host: _ask_server(config, host, cluster=True))
    known = {each.row.node_id for each in nodes if each.row is not None}
    others = {row.host for each in nodes for row in each.rows if row.node_id not in known and row.host is not None}
    nodes += await _all(others - {each.host for each in nodes}, lambda host: _ask_server(config, host, cluster=True))
    return tuple(nodes)


async def _all(hosts: Iterable[Host], ask: Callable[[Host], Awaitable[_Said]]) -> list[_Said]:
    return list(await asyncio.gather(*map(ask, sorted(hosts))))


async def _ask_sentinel(config: RedisConfig, host: Host) -> SentinelSays:
    address = read_address(config.url)
    name = address.service

    async def ask(line: RedisConnection) -> SentinelSays:
        info, master, quorum, replicas, others = await _replies(
            line,
            ("INFO",),
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
            ("SENTINEL", "CKQUORUM", name),
            ("SENTINEL", "REPLICAS", name),
            ("SENTINEL", "SENTINELS", name),
        )
        if isinstance(master, Refusal):
            return SentinelSays(host=host, trouble=describe(str(master), "sentinel"))
        named = dict(zip(("ip", "port"), map(str, master), strict=False)) if isinstance(master, list) else {}
        return SentinelSays(
            host=host,
            info=_read_info(info),
            master=_host(named),
            no_failover=quorum.code if isinstance(quorum, Refusal) else "",
            replicas=tuple(found for each in _pairs(replicas) if (found := _host(each)) is not None),
            others={each.get("runid", ""): found for each in _pairs(others) if (found := _host(each)) is not None},
        )

    try:
        return await connected(config, host, ask, login=address.login_at_sentinels)
    except RedisUnreachableError as error:
        return SentinelSays(host=host, trouble=_short(error, host))


async def _ask_server(config: RedisConfig, host: Host, *, cluster: bool = False) -> ServerSays:
    async def ask(line: RedisConnection) -> ServerSays:
        info, nodes = await _replies(line, ("INFO",), ("CLUSTER", "NODES"))
        said = ServerSays(
            host=host,
            info=_read_info(info),
            rows=read_rows(nodes, host) if cluster and isinstance(nodes, str) else (),
        )
        row = said.row
        slots = row.slots if row is not None else ()
        if said.info.get("role") != "master" or (cluster and not slots):
            return said
        probe = probe_of(slots) if cluster else keys.FLEET_PROBE
        (written,) = await _replies(line, ("SET", probe, 1, "XX"))
        return replace(said, refusal=str(written) if isinstance(written, Refusal) else "")

    try:
        return await connected(config, host, ask)
    except RedisUnreachableError as error:
        return ServerSays(host=host, trouble=_short(error, host))


async def connected(
    config: RedisConfig, host: Host, ask: Callable[[RedisConnection], Awaitable[_Said]], *, login: bool = True
) -> _Said:
    """The answers of one server, over a separate connection, with the login of the address or none.

    Raises:
        RedisUnreachableError: It does not answer, or does not let us in.
    """
    address = replace(read_address(config.url), kind=AddressKind.SERVER, hosts=(host,), service="", database=0)
    if not login:
        config, address = RedisConfig(url=config.url), replace(address, user="")
    line = await open_line(config, address, host, text=True)
    try:
        return await ask(line)
    except (LineBrokenError, NotRedisError) as error:
        raise broken(address, error) from error
    finally:
        await line.close()


async def _replies(line: RedisConnection, *commands: tuple[Scalar, ...]) -> list[Reply]:
    return await line.ask(b"".join(map(pack_command, commands)), len(commands))


def _short(error: RedisUnreachableError, host: Host) -> str:
    """The text without the address, which is already in front of it."""
    return str(error).removeprefix(f"Redis at {shown(host)} ")
