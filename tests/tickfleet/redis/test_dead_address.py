"""Redis behind a name one of whose addresses swallows all that is sent to it."""

import asyncio

import pytest

from common.process import event_loop
from common.redis.redis_py import async_client, sync_client
from tests.support.dead_address import resolve, swallowing
from tests.support.redis_server import RedisServer
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command

NAME = "redis.test"


@pytest.mark.parametrize("loop", ["asyncio", "ours"])
def test_a_collector_and_a_reader_reach_it(loop: str, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        pipe = RedisPipe(RedisConfig(url=f"redis://{NAME}:{own_redis.port}"))
        await pipe.connect()
        assert await pipe.execute([pack_command(("PING",))]) == [b"PONG"]
        await pipe.close()

    with swallowing(own_redis.port) as dead:
        resolve(monkeypatch, NAME, dead, "127.0.0.1")
        (asyncio.run if loop == "asyncio" else event_loop.run)(main())


def test_the_manager_reaches_it(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        client = async_client(RedisConfig(url=f"redis://{NAME}:{own_redis.port}"))
        assert await client.set("a", "b")
        await client.aclose()

    with swallowing(own_redis.port) as dead:
        resolve(monkeypatch, NAME, dead, "127.0.0.1")
        event_loop.run(main())


def test_commands_reach_it(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py continues by itself, after the time that it has for one address."""
    with swallowing(own_redis.port) as dead:
        resolve(monkeypatch, NAME, dead, "127.0.0.1")
        with sync_client(RedisConfig(url=f"redis://{NAME}:{own_redis.port}")) as client:
            assert client.ping()
