import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from common.redis.redis_py import sync_client
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import Refusal, is_stale_id, is_wrong_type, pack_command

SECRET = "hunter2@/"  # noqa: S105 - made up
FULL = b"x" * 1_000


@pytest.fixture
async def pipe(redis_config: RedisConfig) -> AsyncIterator[RedisPipe]:
    """A connection to an empty Redis."""
    connection = RedisPipe(redis_config)
    await connection.connect()
    yield connection
    await connection.close()


def xadd(entry_id: str, value: str | bytes = "1", key: str = "s") -> bytes:
    return pack_command(("XADD", key, entry_id, "field", value))


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_replies_come_in_the_order_of_the_commands(pipe: RedisPipe) -> None:
    commands = [("SET", "a", "1"), ("INCR", "a"), ("GET", "a"), ("GET", "none"), ("LRANGE", "l", 0, -1)]

    assert await pipe.execute([pack_command(command) for command in commands]) == [b"OK", 2, b"2", None, []]


async def test_a_refusal_is_a_reply_and_the_rest_is_carried_out(pipe: RedisPipe) -> None:
    refusal, length = await pipe.execute([xadd("0-0"), pack_command(("XLEN", "s"))])

    assert isinstance(refusal, Refusal)
    assert length == 0


async def test_a_transaction_gives_the_reply_of_each_command(pipe: RedisPipe) -> None:
    assert await pipe.transaction([xadd("1-1"), xadd("1-2"), pack_command(("XLEN", "s"))]) == [b"1-1", b"1-2", 2]


@pytest.mark.parametrize("entry_id", ["5-5", "5-4", "4-9"])
async def test_an_id_that_is_not_above_the_last_one_is_recognised(pipe: RedisPipe, entry_id: str) -> None:
    replies = await pipe.transaction([xadd("5-5"), xadd(entry_id), xadd("5-6")])

    assert [is_stale_id(reply) for reply in replies] == [False, True, False]
    assert replies[::2] == [b"5-5", b"5-6"]


async def test_a_key_of_another_type_is_recognised(pipe: RedisPipe) -> None:
    replies = await pipe.transaction([pack_command(("SET", "s", "1")), xadd("1-1"), xadd("0-0", key="other")])

    assert [is_wrong_type(reply) for reply in replies] == [False, True, False]
    assert [is_stale_id(reply) for reply in replies] == [False, False, False]


async def test_a_full_redis_takes_all_of_a_transaction_or_none(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--maxmemory-policy", "noeviction")
    server.start()
    pipe = RedisPipe(server.config)
    try:
        await pipe.connect()
        server.client.config_set("maxmemory", 1)
        with pytest.raises(RedisUnreachableError) as caught:
            await pipe.transaction([pack_command(("DEL", "x")), xadd("1-1"), xadd("1-2", FULL)])
        assert str(caught.value) == f"Redis at 127.0.0.1:{server.port} takes no writes: OOM"
        assert server.client.exists("s") == 0

        server.client.config_set("maxmemory", 0)
        assert await pipe.transaction([xadd("1-1"), xadd("1-2", FULL)]) == [b"1-1", b"1-2"]
    finally:
        await pipe.close()
        server.stop()


async def test_the_pipe_goes_on_after_a_refused_transaction(own_redis: RedisServer) -> None:
    pipe = RedisPipe(own_redis.config)
    await pipe.connect()
    own_redis.client.replicaof("127.0.0.1", free_port())
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.transaction([xadd("1-1")])
    assert str(caught.value) == f"Redis at 127.0.0.1:{own_redis.port} takes no writes: READONLY"

    own_redis.client.replicaof("NO", "ONE")
    assert await pipe.transaction([xadd("1-1")]) == [b"1-1"]
    await pipe.close()


async def test_a_server_that_goes_away_is_an_error_and_comes_back(own_redis: RedisServer) -> None:
    pipe = RedisPipe(own_redis.config)
    assert not pipe.connected
    await pipe.connect()
    assert pipe.connected
    await pipe.transaction([xadd("1-1")])
    own_redis.kill()
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.transaction([xadd("1-2")])
    gone = f"Redis at 127.0.0.1:{own_redis.port} cannot be reached: it broke off the connection ("
    assert str(caught.value).startswith(gone)  # by its end, or by the reset of what was written after it
    await pipe.close()

    own_redis.start()
    await pipe.connect()
    assert await pipe.transaction([xadd("1-2"), pack_command(("XLEN", "s"))]) == [b"1-2", 2]
    await pipe.close()


async def test_a_connection_that_is_dropped_in_the_middle_can_be_opened_again(pipe: RedisPipe) -> None:
    async with asyncio.TaskGroup() as tasks:
        blocked = tasks.create_task(pipe.execute([pack_command(("BLPOP", "nothing", 0))]))
        await asyncio.sleep(0)
        blocked.cancel()
    await pipe.close()

    await pipe.connect()
    assert await pipe.execute([pack_command(("ECHO", "fresh"))]) == [b"fresh"]


# --- the way in -------------------------------------------------------------------------------------------------------


async def test_a_password_lets_us_in_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--requirepass", SECRET)
    server.client.close()
    server.client = redis.Redis.from_url(server.url, password=SECRET)
    server.start()
    try:
        for password, error in ((SECRET, ""), ("wrong", "does not accept our user and password")):
            pipe = RedisPipe(RedisConfig(url=server.url, password=password))
            try:
                await pipe.connect()
                assert await pipe.execute([pack_command(("PING",))]) == [b"PONG"]
                assert not error
            except RedisUnreachableError as refused:
                assert str(refused) == f"Redis at 127.0.0.1:{server.port} {error}"  # noqa: PT017 - one of two
            await pipe.close()
    finally:
        server.stop()


async def test_what_can_be_no_host_cannot_be_reached() -> None:
    with pytest.raises(RedisUnreachableError) as caught:
        await RedisPipe(RedisConfig(url="redis://a..b:6379")).connect()
    said, _, error = str(caught.value).partition(" (")
    assert said == "Redis at a..b:6379 cannot be reached: that cannot be the name of a host"
    assert error in ("UnicodeError)", "UnicodeEncodeError)"), "the second since Python 3.13"


async def test_nobody_there() -> None:
    port = free_port()
    pipe = RedisPipe(RedisConfig(url=f"redis://me@127.0.0.1:{port}/0", password=SECRET))

    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.connect()
    why = "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
    assert str(caught.value) == f"Redis at 127.0.0.1:{port} cannot be reached: {why}"


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    server = RedisServer(tmp_path, "--unixsocket", str(path))
    server.start()
    config = RedisConfig(url=f"unix://{path}?db=2")
    pipe = RedisPipe(config)
    try:
        await pipe.connect()
        assert await pipe.transaction([xadd("1-1")]) == [b"1-1"]
        with sync_client(config) as client:
            assert client.xlen("s") == 1
        assert server.client.xlen("s") == 0  # another database
    finally:
        await pipe.close()
        server.stop()
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.connect()
    why = "there is no socket of that name (FileNotFoundError, ENOENT)"
    assert str(caught.value) == f"Redis at {path} cannot be reached: {why}"
