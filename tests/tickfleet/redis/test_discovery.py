"""The way to a server that others know: real Sentinels, a real Cluster, and ones that say strange things."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canned_redis import CannedRedis
from tests.support.ports import free_port
from tests.support.redis_high import SERVICE, Cluster, Sentinel, running
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import RedisUnreachableError, SupersededError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.discovery import Route
from tickfleet.redis.protocol import Refusal, Reply, pack_command

TAG = "{okx:BTC-USDT}"
FENCE, STREAM = f"{TAG}:writer", f"{TAG}:trade"
PASSWORD = "hunter2"  # noqa: S105 - made up


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    """A Sentinel and its servers, to be left as they are."""
    sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"))
    with running(sentinel):
        yield sentinel


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with running(cluster):
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    """The module's Cluster, empty."""
    for node in _cluster.nodes:
        node.client.flushall()
    return _cluster


def add(number: int) -> bytes:
    return pack_command(("XADD", STREAM, f"{number}-0", "n", number))


async def fenced(config: RedisConfig) -> RedisPipe:
    pipe = RedisPipe(config)
    await pipe.take_fence(FENCE)
    return pipe


async def insist(pipe: RedisPipe, commands: list[bytes]) -> list[Reply]:
    """Carry out a transaction on a connection that may lead nowhere any more: then on the next one."""
    try:
        return await pipe.transaction(commands)
    except RedisUnreachableError:
        await pipe.close()
        return await pipe.transaction(commands)


# --- Sentinels ---------------------------------------------------------------------------------------------------


async def test_behind_sentinels_the_writer_goes_on_with_the_new_master(tmp_path: Path) -> None:
    sentinel = Sentinel(tmp_path, PASSWORD)
    with running(sentinel):
        pipe = await fenced(sentinel.config)
        assert await pipe.transaction([add(1)]) == [b"1-0"]
        sentinel.master.client.wait(1, 1_000)
        master = sentinel.fail_over()
        assert await insist(pipe, [add(2)]) == [b"2-0"]
        assert [entry for entry, _ in master.client.xrange(STREAM)] == ["1-0", "2-0"]

        newer = await fenced(sentinel.config)
        with pytest.raises(SupersededError):
            await pipe.transaction([add(3)])
        await newer.close()
        await pipe.close()


async def test_a_service_that_no_sentinel_knows_is_told_in_one_line(sentinel: Sentinel) -> None:
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/other"
    with pytest.raises(RedisUnreachableError) as caught:
        await RedisPipe(RedisConfig(url=url)).connect()
    assert str(caught.value) == f"the Sentinels at 127.0.0.1:{sentinel.port}/other do not know a service of this name"


NOT_TOLD = "the Sentinels at {shown} do not tell us where the master is: are they Sentinels?"
SAID = {
    "a refusal": (b"-ERR hunter2\r\n", "a Sentinel at {shown} refuses what we ask: ERR sentinel"),
    "no Sentinel": (b"-ERR unknown command 'SENTINEL'\r\n", NOT_TOLD),
    "one that is not let in": (
        b"-NOAUTH hunter2\r\n",
        "a Sentinel at {shown} asks for a password (sentinel_auth=yes gives them that of Redis)",
    ),
    "a wrong password": (b"-WRONGPASS hunter2\r\n", "a Sentinel at {shown} does not accept our user and password"),
    "no right": (
        b"-NOPERM hunter2\r\n",
        "a Sentinel at {shown} does not give us a right that we need: NOPERM sentinel",
    ),
    "nonsense": (b"hunter2\r\n", "Redis at {shown} does not work for us as it is"),
    "half an address": (b"*1\r\n$3\r\nabc\r\n", NOT_TOLD),
    "no port": (b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", NOT_TOLD),
}


@pytest.mark.parametrize(("reply", "message"), SAID.values(), ids=SAID)
async def test_a_sentinel_that_says_something_else(reply: bytes, message: str) -> None:
    async with CannedRedis({"SENTINEL": reply}) as canned:
        route = Route(RedisConfig(url=f"redis+sentinel://127.0.0.1:{canned.port}/{SERVICE}"), text=False)
        with pytest.raises(RedisUnreachableError) as caught:
            await route.open()
    assert str(caught.value) == message.format(shown=f"127.0.0.1:{canned.port}/{SERVICE}")


async def test_who_is_named_and_is_no_master_is_left(sentinel: Sentinel) -> None:
    _, replica = sentinel.servers
    named = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(replica.port)), replica.port)
    async with CannedRedis({"SENTINEL": named}) as canned:
        with pytest.raises(RedisUnreachableError, match="has no master now"):
            await RedisPipe(RedisConfig(url=f"redis+sentinel://127.0.0.1:{canned.port}/{SERVICE}")).connect()


async def test_a_sentinel_that_names_one_that_is_gone_is_asked_last_next_time(sentinel: Sentinel) -> None:
    gone = b"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%d\r\n" % free_port()
    async with CannedRedis({"SENTINEL": gone}) as stale:
        hosts = f"127.0.0.1:{stale.port},127.0.0.1:{sentinel.port}"
        route = Route(RedisConfig(url=f"redis+sentinel://{hosts}/{SERVICE}"), text=False)
        for _ in range(2):
            line = await route.open()
            await line.close()
        assert stale.connections == 1


async def test_a_sentinel_that_wants_a_password_gets_it_where_that_is_configured() -> None:
    async with CannedRedis({"SENTINEL": b"$-1\r\n"}) as canned:
        url = f"redis+sentinel://user@127.0.0.1:{canned.port}/{SERVICE}?sentinel_auth=yes"
        with pytest.raises(RedisUnreachableError, match="do not know"):
            await RedisPipe(RedisConfig(url=url, password=PASSWORD)).connect()
    expected = ("AUTH", "user", PASSWORD), ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
    assert canned.heard == b"".join(map(pack_command, expected))


# --- a Cluster ---------------------------------------------------------------------------------------------------


async def test_a_cluster_writer_finds_the_node_of_its_keys_and_follows_them(cluster: Cluster) -> None:
    pipe = await fenced(cluster.config)
    assert await pipe.transaction([add(1)]) == [b"1-0"]
    for number in (2, 3, 4):  # each time to another one
        node = cluster.move(TAG)
        assert await insist(pipe, [add(number)]) == [b"%d-0" % number]
        assert [entry for entry, _ in node.client.xrange(STREAM)] == [f"{each}-0" for each in range(1, number + 1)]

    newer = await fenced(cluster.config)
    with pytest.raises(SupersededError):
        await pipe.transaction([add(9)])
    await newer.close()
    await pipe.close()


async def test_a_transaction_that_is_begun_while_the_keys_move_is_done_nowhere(cluster: Cluster) -> None:
    pipe = await fenced(cluster.config)
    assert await pipe.transaction([add(1)]) == [b"1-0"]
    node = cluster.move(TAG)
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    assert pipe.try_send([add(2)], outcome.set_result)
    error = await asyncio.wait_for(outcome, PATIENCE_S)
    assert isinstance(error, RedisUnreachableError)
    assert str(error).endswith("serves our keys by another node now")
    assert node.client.xlen(STREAM) == 1
    await pipe.close()
    assert await pipe.transaction([add(2)]) == [b"2-0"]
    await pipe.close()


async def test_who_holds_a_fence_is_not_led_elsewhere_without_knowing(cluster: Cluster) -> None:
    """What it has read of the first node may not be on the other: it looks again."""
    pipe = await fenced(cluster.config)
    cluster.move(TAG)
    with pytest.raises(RedisUnreachableError, match="serves our keys by another node now"):
        await pipe.execute([pack_command(("XLEN", STREAM))])
    await pipe.close()
    cluster.move(TAG)
    with pytest.raises(RedisUnreachableError, match="serves our keys by another node now"):
        await pipe.transaction([add(1)])
    await pipe.close()
    assert await pipe.transaction([add(1)]) == [b"1-0"]
    await pipe.close()


@pytest.mark.parametrize("code", ["CLUSTERDOWN The cluster is down", "LOADING Redis is loading", "MASTERDOWN Link"])
async def test_a_node_that_serves_nothing_is_left_for_others(cluster: Cluster, code: str) -> None:
    async with CannedRedis({"XADD": f"-{code}\r\n".encode(), "EXEC": b"-EXECABORT\r\n"}) as of_no_use:
        told = RedisPipe(RedisConfig(url=f"{cluster.config.url},127.0.0.1:{of_no_use.port}"))
        first = RedisPipe(
            RedisConfig(url=f"redis+cluster://127.0.0.1:{of_no_use.port},127.0.0.1:{cluster.nodes[0].port}")
        )
        for number, pipe in enumerate((told, first), 1):
            assert await insist(pipe, [add(number)]) == [b"%d-0" % number]
            await pipe.close()
        assert of_no_use.connections == 1


async def test_a_reader_is_led_to_the_node_of_its_keys(cluster: Cluster) -> None:
    cluster.holder(TAG).client.xadd(STREAM, {"n": 1}, id="1-0")
    pipe = RedisPipe(cluster.config, text=True)
    for _ in range(3):
        assert await pipe.execute([pack_command(("XLEN", STREAM))]) == [1]
        assert await pipe.transaction([pack_command(("XLEN", STREAM))]) == [1]
        cluster.move(TAG)
    await pipe.close()


async def test_keys_of_several_nodes_are_not_followed_for_ever(cluster: Cluster) -> None:
    names = {id(cluster.holder(f"{{{number}}}")): f"{{{number}}}" for number in range(50)}
    pipe = RedisPipe(cluster.config)
    with pytest.raises(RedisUnreachableError, match="serves our keys by another node now"):
        await pipe.execute([pack_command(("XLEN", name)) for name in names.values()])
    await pipe.close()


async def test_a_cluster_that_is_addressed_as_one_server_says_how_it_is_written(cluster: Cluster) -> None:
    other = next(node for node in cluster.nodes if node is not cluster.holder(TAG))
    pipe = RedisPipe(other.config)
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.transaction([add(1)])
    assert (
        str(caught.value) == f"Redis at 127.0.0.1:{other.port} is a Cluster: its address begins with redis+cluster://"
    )
    await pipe.close()


WHERE = {
    "MOVED 3999 {host}:{port}": True,
    "MOVED 3999 :{port}": True,  # the host that was asked
    "MOVED 3999 ?:{port}": False,
    "MOVED 3999": False,
    "MOVED": False,
    "MOVED 3999 {host}:": False,
    "MOVED 3999 {host}:x": False,
    "ASK 3999 {host}:{port}": False,  # it is there only for this one question
    "TRYAGAIN Multiple keys request during rehashing of slot": False,
    "CLUSTERDOWN Hash slot not served": False,
}


@pytest.mark.parametrize(("said", "followed"), WHERE.items(), ids=WHERE)
async def test_where_a_node_sends_us(said: str, followed: bool) -> None:
    async with CannedRedis({}) as seed, CannedRedis({}) as other:
        route = Route(RedisConfig(url=f"redis+cluster://127.0.0.1:{seed.port}"), text=False)
        first = await route.open()
        route.heed(Refusal(said.format(host="127.0.0.1", port=other.port)))
        second = await route.open()
        assert (seed.connections, other.connections) == ((1, 1) if followed else (2, 0))
        await first.close()
        await second.close()


async def test_a_node_that_we_were_sent_to_and_that_is_gone_is_forgotten() -> None:
    async with CannedRedis({}) as seed:
        url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{seed.port}"
        route = Route(RedisConfig(url=url), text=False)
        for _ in range(2):
            route.heed(Refusal(f"MOVED 1 127.0.0.1:{free_port()}"))
        for count in (1, 2):
            line = await route.open()
            assert seed.connections == count
            await line.close()
