import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.redis.redis_py import (
    async_client,
    check_serves,
    claim,
    code_of_write,
    count_refusals,
    disclaim,
    maxmemory_of_nodes,
    node_of,
    queue_write,
    read_facts,
    read_info,
    shown_address,
    sync_client,
    translated_errors,
)
from tests.support.ports import free_port
from tests.support.redis_high import Cluster, Sentinel, running
from tests.support.redis_server import RedisServer
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command
from tickfleet.redis.url import read_address

SECRET = "hunter2@/"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "127.0.0.1:6379"),
        ("redis://", "127.0.0.1:6379"),
        ("rediss://user@db.example.org/3", "db.example.org:6379"),
        (f"redis://user:{quote(SECRET, safe='')}@db:7000/0", "db:7000"),
        ("unix://user@/run/redis.sock?db=1", "/run/redis.sock"),
        ("redis+sentinel://user@a,b:7/mymaster/1", "a:26379,b:7/mymaster"),
        ("redis+cluster://user@a,b:7", "a:6379,b:7"),
    ],
)
def test_the_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert shown_address(RedisConfig(url=url, password=SECRET)) == shown


@pytest.mark.parametrize("spelt", [" redis://{}/0", "REDIS://{}/0", "Redis://{} \n"])
async def test_an_address_means_to_clients_what_it_means_to_the_fleet_file(
    spelt: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    path, place = tmp_path / "fleet.toml", read_address(redis_server.config.url).shown
    path.write_text(f'[redis]\nurl = """{spelt.format(place)}"""\n')
    config = load_fleet(path, Environment(root=tmp_path, fleet_path=path)).redis

    with sync_client(config) as client:
        assert client.set("name", "blue")
    async with async_client(config) as client:
        assert await client.get("name") == "blue"


async def test_clients_speak_text(redis_config: RedisConfig) -> None:
    with sync_client(redis_config) as client:
        client.hset("h", mapping={"name": "é", "raw": b"\xff"})
        assert client.hgetall("h") == {"name": "é", "raw": "\ufffd"}
    async with async_client(redis_config) as other:
        assert await other.hgetall("h") == {"name": "é", "raw": "\ufffd"}  # type: ignore[misc]  # redis-py's two faces


ERRORS = {
    "no connection": (
        redis.ConnectionError(SECRET),
        "cannot be reached: it broke off the connection (ConnectionError)",
    ),
    "no answer": (redis.TimeoutError(SECRET), "cannot be reached: no answer in time (TimeoutError)"),
    "no socket": (OSError(SECRET), "cannot be reached: the network failed (OSError)"),
    "a wrong password": (redis.AuthenticationError(SECRET), "does not accept our user and password"),
    "no rights": (redis.exceptions.NoPermissionError(SECRET), "does not give us a right that we need: NOPERM"),
    "loading": (redis.BusyLoadingError(SECRET), "is still loading its data"),
    "no Cluster": (
        redis.exceptions.RedisClusterException(SECRET),  # type: ignore[no-untyped-call]
        "cannot be reached: none of its nodes answers (RedisClusterException)",
    ),
    "no master": (
        redis.sentinel.MasterNotFoundError(SECRET),
        "has no master that a Sentinel tells us (is the name right? where they want a password: sentinel_auth=yes)",
    ),
    "a replica alone": (redis.exceptions.MasterDownError(SECRET), "is a replica without its master"),
    "a Cluster with a hole": (redis.exceptions.ClusterDownError(SECRET), "is a Cluster that is not whole now"),
    "a node of a Cluster": (
        redis.exceptions.MovedError("3999 127.0.0.1:1"),
        "is a Cluster: its address begins with redis+cluster://",
    ),
    "anything else": (redis.ResponseError(SECRET), "refuses what we ask: ERR"),
}


@pytest.mark.parametrize(("error", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_translated_without_their_text(error: Exception, message: str) -> None:
    with pytest.raises(RedisUnreachableError) as caught, translated_errors(RedisConfig(url="redis://h:1")):
        raise error
    assert str(caught.value) == f"Redis at h:1 {message}"
    assert caught.value.__cause__ is error


def test_a_bug_of_ours_is_not_translated() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors(RedisConfig()):
        raise ZeroDivisionError


@pytest.fixture(scope="module", params=[Sentinel, Cluster])
def high(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisConfig]:
    """The address of a Redis that is run to be there always."""
    site: Sentinel | Cluster = request.param(tmp_path_factory.mktemp("high"))
    with running(site):
        yield site.config


def test_each_node_of_a_cluster_tells_its_own_limit(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with running(cluster):
        for number, node in enumerate(cluster.nodes):
            node.client.config_set("maxmemory", f"{100 + number}mb")
        client = sync_client(cluster.config)
        limits = maxmemory_of_nodes(client)
        names = {f"127.0.0.1:{node.port}": (100 + number) * 1024**2 for number, node in enumerate(cluster.nodes)}
        assert limits == names
        assert node_of(client, "{okx:BTC-USDT}") == f"127.0.0.1:{cluster.holder('{okx:BTC-USDT}').port}"
        client.close()


ONE_COMMAND = {
    "get": ("get {a}", "get {a}"),
    "two words": ("xinfo_stream {a}", "xinfo stream {a}"),
    "a setting": ("config_get maxmemory", "config get maxmemory"),
}


@pytest.mark.parametrize(("call", "named"), ONE_COMMAND.values(), ids=ONE_COMMAND)
@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_right_that_one_command_misses_is_told_with_its_key(
    tmp_path: Path, scheme: str, call: str, named: str
) -> None:
    cluster = Cluster(tmp_path, nodes=1) if scheme == "redis+cluster" else None
    server = RedisServer(tmp_path) if cluster is None else cluster.nodes[0]
    (cluster or server).start()
    try:
        rights = f"reset on >{SECRET} +@all ~x* -config|get".split()
        server.client.execute_command("ACL", "SETUSER", "few", *rights)
        config = RedisConfig(url=f"{scheme}://few@127.0.0.1:{server.port}", password=SECRET)
        method, argument = call.split()
        with sync_client(config) as asks, pytest.raises(RedisUnreachableError) as caught, translated_errors(config):
            getattr(asks, method)(argument)
        client: Any = async_client(config)
        with pytest.raises(RedisUnreachableError) as awaited, translated_errors(config):
            await getattr(client, method)(argument)
        await client.aclose()
    finally:
        (cluster or server).stop()
    message = f"Redis at 127.0.0.1:{server.port} does not give us a right that we need: NOPERM {named}"
    assert (str(caught.value), str(awaited.value)) == (message, message)


def unresolved(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, SECRET)


@pytest.mark.parametrize(
    ("scheme", "whom", "cause"),
    [
        ("redis", "nobody", "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"),
        ("rediss", "nobody", "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"),
        ("redis", "unresolved", "its name cannot be resolved (gaierror, EAI_NONAME)"),
        ("redis", "a closer", "it broke off the connection ("),
        ("rediss", "a closer", "it broke off the connection ("),
        (
            "redis+sentinel",
            "nobody",
            "no Sentinel answers: it refuses the connection (ConnectionRefusedError, ECONNREFUSED)",
        ),
        ("redis+sentinel", "a closer", "no Sentinel answers: it broke off the connection ("),
        ("redis+cluster", "nobody", "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"),
    ],
)
async def test_why_nobody_is_reached_is_told_by_each_way_to_redis(
    monkeypatch: pytest.MonkeyPatch, scheme: str, whom: str, cause: str
) -> None:
    closer = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = closer.sockets[0].getsockname()[1] if whom == "a closer" else free_port()
    place = f"{'redis.test' if whom == 'unresolved' else '127.0.0.1'}:{port}"
    place += "/mymaster" if scheme == "redis+sentinel" else ""
    config = RedisConfig(url=f"{scheme}://me@{place}", password=SECRET)
    if whom == "unresolved":
        monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    client: Any = async_client(config)
    with pytest.raises(RedisUnreachableError) as by_manager, translated_errors(config):
        await client.get("x")
    await client.aclose()

    def ask() -> None:
        with sync_client(config) as asks, translated_errors(config):
            asks.get("x")

    with pytest.raises(RedisUnreachableError) as by_command:
        await asyncio.to_thread(ask)
    pipe = RedisPipe(config)
    with pytest.raises(RedisUnreachableError) as by_collector:
        await pipe.execute([pack_command(("GET", "x"))])
    await pipe.close()
    closer.close()
    told = [str(each.value) for each in (by_manager, by_command, by_collector)]
    message = f"Redis at {place} cannot be reached: {cause}"
    assert [line[: len(message)] for line in told] == [message] * 3
    assert SECRET not in "".join(told)


async def test_a_sentinel_that_answers_says_more_than_a_silent_one(tmp_path: Path) -> None:
    site = Sentinel(tmp_path)
    with running(site):
        config = RedisConfig(url=f"redis+sentinel://127.0.0.1:{site.port},127.0.0.1:{free_port()}/nobody")
        with sync_client(config) as asks, pytest.raises(RedisUnreachableError) as caught, translated_errors(config):
            asks.get("x")
        with pytest.raises(RedisUnreachableError) as by_collector:
            await RedisPipe(config).connect()
    assert (str(caught.value), str(by_collector.value)) == (
        f"Redis at {shown_address(config)} has no master that a Sentinel tells us"
        " (is the name right? where they want a password: sentinel_auth=yes)",
        f"the Sentinels at {shown_address(config)} do not know a service of this name",
    )


async def test_the_manager_client_works_with_sentinels_and_in_a_cluster(high: RedisConfig) -> None:
    client: Any = async_client(high)
    names = [f"{{{number}}}" for number in range(20)]  # in a Cluster on all nodes
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hset(name, "n", name)
        pipe.set("text", "x")
        await pipe.execute(raise_on_error=False)
    async with client.pipeline(transaction=False) as pipe:
        for name in [*names, "text"]:
            pipe.hgetall(name)
        *found, refusal = await pipe.execute(raise_on_error=False)
    assert found == [{"n": name} for name in names]
    assert isinstance(refusal, redis.ResponseError)
    assert await claim(client, "lease", "one", 60_000) == "one"
    assert await claim(client, "lease", "two", 60_000) == "one"
    await disclaim(client, "lease", "one")
    assert await claim(client, "lease", "two", 60_000) == "two"
    assert (await read_info(client, "memory"))["used_memory"] > 0
    await client.aclose()


def test_the_command_client_works_with_sentinels_and_in_a_cluster(high: RedisConfig) -> None:
    client: Any = sync_client(high)
    client.set("{a}", "1")
    client.set("{b}", "2")
    assert client.exists("{a}", "{b}", "{none}") == 2
    info, settings = read_facts(client, "maxmemory-policy", "appendonly")
    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes"}
    assert info["used_memory"] > 0
    assert info["maxmemory"] == 0
    client.close()


def test_why_nobody_tells_who_the_nodes_are_is_told() -> None:
    with pytest.raises(RedisUnreachableError) as caught, translated_errors(RedisConfig(url="redis+cluster://h")):
        raise redis.exceptions.RedisClusterException from redis.AuthenticationError(SECRET)
    assert str(caught.value) == "Redis at h:6379 does not accept our user and password"


async def test_a_server_that_is_no_cluster_says_how_it_is_written(redis_server: RedisServer) -> None:
    config = RedisConfig(url=f"redis+cluster://127.0.0.1:{redis_server.port}")
    message = f"Redis at 127.0.0.1:{redis_server.port} is no Cluster: its address begins with redis://"
    with sync_client(config) as asks, pytest.raises(RedisUnreachableError) as caught, translated_errors(config):
        asks.get("x")
    assert str(caught.value) == message
    client: Any = async_client(config)
    with pytest.raises(RedisUnreachableError) as caught, translated_errors(config):
        await client.get("x")
    assert str(caught.value) == message
    await client.aclose()


async def test_a_cluster_of_one_node_tells_its_memory(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, nodes=1)
    with running(cluster):
        async with async_client(cluster.config) as client:
            assert (await read_info(client, "memory"))["used_memory"] > 0
        with sync_client(cluster.config) as asks:
            info, settings = read_facts(asks, "appendonly")
        assert (info["maxmemory"], settings) == (0, {"appendonly": "yes"})


async def test_whether_redis_takes_writes_is_seen_and_changes_nothing(own_redis: RedisServer) -> None:
    async def probe_writes() -> tuple[str, dict[str, int] | None]:
        async with async_client(own_redis.config) as client:
            pipe = client.pipeline(transaction=False)
            queue_write(pipe)
            (reply,) = await pipe.execute(raise_on_error=False)
            return code_of_write(reply), await count_refusals(client)

    assert await probe_writes() == ("", {})
    own_redis.client.config_set("maxmemory", "1")
    assert await probe_writes() == ("OOM", {"OOM": 1})
    own_redis.client.config_set("maxmemory", "0")
    own_redis.client.replicaof("127.0.0.1", "1")
    assert await probe_writes() == ("READONLY", {"OOM": 1, "READONLY": 1})
    own_redis.client.replicaof("NO", "ONE")
    assert await probe_writes() == ("", {"OOM": 1, "READONLY": 1})
    assert own_redis.client.keys("*") == []
    own_redis.client.execute_command("ACL", "SETUSER", "default", "-info")
    assert await probe_writes() == ("", None)


async def test_refusals_are_counted_over_all_nodes_of_a_cluster(tmp_path: Path) -> None:
    for nodes in (1, 3):
        (folder := tmp_path / str(nodes)).mkdir()
        cluster = Cluster(folder, nodes=nodes)
        with running(cluster):
            for node in cluster.nodes:
                node.client.config_set("maxmemory", "1")
                with pytest.raises(redis.OutOfMemoryError):
                    node.client.execute_command("FUNCTION", "LOAD", "needs memory, and no key")
            async with async_client(cluster.config) as client:
                counts = await count_refusals(client)
            assert counts is not None
            assert counts["OOM"] == nodes


def test_a_refusal_of_one_key_is_left_and_one_of_the_server_is_raised() -> None:
    check_serves([{}, redis.ResponseError("WRONGTYPE"), redis.exceptions.NoPermissionError(), None])
    with pytest.raises(redis.exceptions.ClusterDownError):
        check_serves([{}, redis.exceptions.ClusterDownError("CLUSTERDOWN")])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+sentinel://127.0.0.1:{}/mymaster", "cannot be reached: no Sentinel answers: it refuses the connection"),
        ("redis+cluster://127.0.0.1:{}", "cannot be reached"),
    ],
)
async def test_sentinels_and_nodes_that_are_away_are_told_in_seconds(url: str, message: str) -> None:
    config = RedisConfig(url=url.format(free_port()))
    with pytest.raises(RedisUnreachableError, match=message), translated_errors(config):
        sync_client(config).get("x")
    client: Any = async_client(config)
    with pytest.raises(RedisUnreachableError, match=message), translated_errors(config):
        await client.get("x")
    await client.aclose()
