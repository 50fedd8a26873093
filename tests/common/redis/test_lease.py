"""``claim`` and ``disclaim``: one holder at a time, with a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common.redis.redis_py import AsyncRedis, KeyRefusedError, async_client, claim, disclaim
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S

KEY = "lease"


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[AsyncRedis]:
    client = async_client(redis_server.config)
    yield client
    await client.aclose()


async def test_the_first_holds_it_until_he_gives_it_up(client: AsyncRedis) -> None:
    held = [await claim(client, KEY, token, 60_000) for token in ("a", "b", "a")]
    await disclaim(client, KEY, "b")
    held.append(await claim(client, KEY, "b", 60_000))
    await disclaim(client, KEY, "a")
    held.append(await claim(client, KEY, "b", 60_000))
    assert held == ["a", "a", "a", "a", "b"]


async def test_it_expires_unless_it_is_renewed(client: AsyncRedis, redis_server: RedisServer) -> None:
    await claim(client, KEY, "a", 60_000)
    assert 59_000 < redis_server.client.pttl(KEY) <= 60_000
    await claim(client, KEY, "a", 20)
    async with asyncio.timeout(PATIENCE_S):
        while await claim(client, KEY, "b", 60_000) != "b":
            pass


async def test_of_many_at_once_one_gets_it(redis_server: RedisServer) -> None:
    clients = [async_client(redis_server.config) for _ in range(8)]
    for _ in range(10):
        held = await asyncio.gather(*(claim(each, KEY, str(n), 60_000) for n, each in enumerate(clients)))
        holder = redis_server.client.get(KEY)
        winners = [n for n, found in enumerate(held) if found == str(n)]
        assert winners == [int(holder)]
        assert set(held) <= {holder, None}
        redis_server.client.delete(KEY)
    for each in clients:
        await each.aclose()


async def test_a_key_that_holds_something_else_is_refused(client: AsyncRedis, redis_server: RedisServer) -> None:
    redis_server.client.rpush(KEY, "x")
    with pytest.raises(KeyRefusedError, match="Redis does not let us use lease"):
        await claim(client, KEY, "a", 1_000)
    with pytest.raises(KeyRefusedError, match="Redis does not let us use lease"):
        await disclaim(client, KEY, "a")
    redis_server.client.delete(KEY)
    assert await claim(client, KEY, "a", 1_000) == "a", "the client works on"
