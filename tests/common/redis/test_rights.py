from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from common.config.collector import ExchangeCollectorConfig
from common.redis.redis_py import async_client, masters, sync_client
from common.redis.rights import Login, missing, needs, rule
from common.redis.servers import find_servers
from tests.support.processes import ROOT
from tests.support.redis_high import Cluster, Sentinel, running
from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.url import AddressKind

CONFIGS = (
    ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)[:4], candle_intervals=("1m", "5m")),
    ExchangeCollectorConfig("binance", "ETH-USDT", (DataType.TRADE,)),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("rights"))
    server.start()
    yield server
    server.stop()


def login(server: RedisServer, acl_rule: str) -> RedisConfig:
    """A user with these rights and no others."""
    server.client.execute_command("ACL", "SETUSER", "user", "reset", "on", ">secret", *acl_rule.split())
    return RedisConfig(url=f"redis://user@127.0.0.1:{server.port}", password="secret")  # noqa: S106 - made up


@pytest.mark.parametrize("whose", Login)
async def test_minimal_redis_rights_suffice_and_the_check_writes_nothing(server: RedisServer, whose: Login) -> None:
    config = login(server, rule(whose, CONFIGS))
    assert await missing(config, needs(whose, CONFIGS, "host")) == []
    assert server.client.keys("*") == []


@pytest.mark.parametrize("whose", Login)
async def test_each_right_that_is_missing_is_told_by_command_and_key(server: RedisServer, whose: Login) -> None:
    acl_rule = rule(whose, CONFIGS)
    for name in (word for word in acl_rule.split() if word.startswith("+")):
        if name in ("+multi", "+discard", "+watch", "+unwatch"):
            continue
        config = login(
            server, acl_rule.replace(f" {name}", " ", 1) if not acl_rule.endswith(name) else acl_rule[: -len(name)]
        )
        told = await missing(config, needs(whose, CONFIGS, "host"))
        command = name[1:].replace("|", " ")
        assert told, name
        assert {each for each in told if not (each == command or each.startswith(f"{command} "))} == set()


async def test_a_key_that_is_out_of_reach_is_told_with_its_commands(server: RedisServer) -> None:
    acl_rule = rule(Login.COLLECTORS, CONFIGS).replace("~md:v1:permits:*", "")
    told = await missing(login(server, acl_rule), needs(Login.COLLECTORS, CONFIGS[1:], "host"))
    scope = "md:v1:permits:{binance@host}"
    assert told == [
        *(f"{command} {scope}:{kind}" for kind in ("connect", "rest") for command in ("eval", "get", "set")),
        *(f"{command} {scope}:banned" for command in ("eval", "hmget", "hget", "hset", "hincrby", "expire")),
    ]


async def test_a_command_that_redis_was_told_to_hide_is_missing_too(tmp_path: Path) -> None:
    own = RedisServer(tmp_path, "--rename-command", "EVAL", "")
    own.start()
    try:
        told = await missing(own.config, needs(Login.COLLECTORS, CONFIGS[1:], "host"))
    finally:
        own.stop()
    assert told == [f"eval md:v1:permits:{{binance@host}}:{kind}" for kind in ("connect", "rest", "banned")]


async def test_without_the_right_to_transactions_nothing_can_be_looked_at(server: RedisServer) -> None:
    with pytest.raises(RedisUnreachableError, match="gives no right to transactions"):
        await missing(login(server, "~* +@all -multi"), needs(Login.READERS, CONFIGS, "host"))


FINDING = {
    Login.MANAGER: ["+cluster|slots", "+command"],
    Login.COMMANDS: ["+cluster|nodes", "+cluster|slots", "+command"],
    Login.FLEET: ["+cluster|nodes", "+cluster|slots", "+command"],
}


@pytest.mark.parametrize("whose", Login)
def test_a_cluster_needs_what_the_documents_say_it_does(whose: Login) -> None:
    one, many = (rule(whose, CONFIGS, kind).split() for kind in (AddressKind.SERVER, AddressKind.CLUSTER))
    assert [word for word in many if word not in one] == FINDING.get(whose, [])
    text = " ".join((ROOT / "docs" / "redis-access.md").read_text(encoding="utf-8").split())
    assert (
        f"`manager` also needs `{' '.join(FINDING[Login.MANAGER])}`; `commands` and `fleet` also need "
        f"`{' '.join(FINDING[Login.COMMANDS])}`"
    ) in text


def set_user(servers: Iterable[RedisServer], acl_rule: str) -> None:
    """The user, with these rights and no others, on each of these servers."""
    for server in servers:
        login(server, acl_rule)


async def test_the_rights_of_each_node_of_a_cluster_are_looked_at(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with running(cluster):
        hosts = [("127.0.0.1", node.port) for node in cluster.nodes]
        config = RedisConfig(
            url=cluster.config.url.replace("//", "//user@"),
            password="secret",  # noqa: S106 - made up
        )
        for whose in Login:
            commands = needs(whose, CONFIGS, "host", AddressKind.CLUSTER)
            set_user(cluster.nodes, exact := rule(whose, CONFIGS, AddressKind.CLUSTER))
            assert await missing(config, commands, hosts) == []
            for word in FINDING.get(whose, []):
                name = word[1:].replace("|", " ")
                set_user(cluster.nodes, exact)
                set_user(cluster.nodes[2:], f"{exact} -{word[1:]}")
                assert await missing(config, commands, hosts) == [f"{name} at 127.0.0.1:{hosts[2][1]}"]
                set_user(cluster.nodes, f"{exact} -{word[1:]}")
                assert await missing(config, commands, hosts) == [name]


@pytest.mark.parametrize("whose", [Login.MANAGER, Login.COMMANDS, Login.FLEET])
async def test_our_clients_find_the_nodes_with_exactly_these_rights(tmp_path: Path, whose: Login) -> None:
    cluster = Cluster(tmp_path)
    with running(cluster):
        config = RedisConfig(
            url=cluster.config.url.replace("//", "//user@"),
            password="secret",  # noqa: S106 - made up
        )
        set_user(cluster.nodes, rule(whose, CONFIGS, AddressKind.CLUSTER))
        client, blocking = async_client(config), sync_client(config)
        try:
            found = sorted(place for place, _, _ in await masters(client))
            answers = [await client.hgetall(keys.heartbeat(each.id)) for each in CONFIGS]  # type: ignore[misc]
            answers += [blocking.hgetall(keys.heartbeat(each.id)) for each in CONFIGS]
        finally:
            await client.aclose()
            blocking.close()
        assert (found, answers) == (sorted(f"127.0.0.1:{node.port}" for node in cluster.nodes), [{}] * 4)
        rows = {says.host[1]: len(says.rows) for says in (await find_servers(config)).servers if not says.trouble}
        lists = whose is not Login.MANAGER
        assert rows == ({node.port: 3 for node in cluster.nodes} if lists else {cluster.nodes[0].port: 0})


async def test_the_rights_at_a_replica_behind_sentinels_are_looked_at(tmp_path: Path) -> None:
    """It has users of its own, and is the master after the next failover."""
    sentinel = Sentinel(tmp_path)
    with running(sentinel):
        config = RedisConfig(
            url=sentinel.config.url.replace("//", "//user@"),
            password="secret",  # noqa: S106 - made up
        )
        hosts = [("127.0.0.1", server.port) for server in sentinel.servers]
        commands = needs(Login.COLLECTORS, CONFIGS[1:], "host", AddressKind.SENTINEL)
        set_user(sentinel.servers, exact := rule(Login.COLLECTORS, CONFIGS))
        assert await missing(config, commands, hosts) == []
        set_user(sentinel.servers[1:], f"{exact} -eval")
        assert await missing(config, commands, hosts) == [
            f"eval md:v1:permits:{{binance@host}}:{kind} at 127.0.0.1:{hosts[1][1]}"
            for kind in ("connect", "rest", "banned")
        ]


async def test_the_documented_rights_suffice_at_the_sentinels(tmp_path: Path) -> None:
    text = " ".join((ROOT / "docs" / "redis-access.md").read_text(encoding="utf-8").split())
    documented = text.partition("must exist at the Sentinels, too, with `")[2].partition("`")[0]
    sentinel = Sentinel(tmp_path)
    with running(sentinel):
        sentinel.client.execute_command("ACL", "SETUSER", "user", "on", ">secret", "-@all", *documented.split())
        sentinel.client.execute_command("ACL", "SETUSER", "default", "off")
        set_user(sentinel.servers, rule(Login.MANAGER, CONFIGS))
        url = sentinel.config.url.replace("//", "//user@") + "?sentinel_auth=yes"
        config = RedisConfig(url=url, password="secret")  # noqa: S106 - made up
        client = async_client(config)
        try:
            assert await client.hgetall(keys.FLEET_DESIRED) == {}  # type: ignore[misc]
        finally:
            await client.aclose()
        assert await missing(config, needs(Login.MANAGER, CONFIGS, "host")) == []
        (says,) = (each for each in (await find_servers(config)).sentinels if not each.trouble)
        assert (says.master, says.replicas, says.no_failover, "run_id" in says.info) == (
            ("127.0.0.1", sentinel.servers[0].port),
            (("127.0.0.1", sentinel.servers[1].port),),
            "",
            True,
        )


@pytest.mark.parametrize("whose", Login)
def test_the_documented_rights_are_these(whose: Login) -> None:
    text = (ROOT / "docs" / "redis-access.md").read_text(encoding="utf-8")
    assert f"\nACL SETUSER {whose.value} on >PASSWORD {rule(whose, CONFIGS)}\n" in text
