import asyncio

import pytest

from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC_TRADES, ETH_TRADES, write_trades
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.reading.output import OutputEntry, OutputStreams

pytestmark = pytest.mark.system

KEY = "app:v1:{okx:BTC-USDT}:bars:1m"


def entries(first: int, last: int) -> list[OutputEntry]:
    return [(f"{number}-0", {"close": number}) for number in range(first, last + 1)]


async def test_what_is_added_again_is_there_once(redis_server: RedisServer) -> None:
    async with OutputStreams(redis_server.url) as outputs:
        assert await outputs.last(KEY) is None
        assert await outputs.add(KEY, entries(1, 700)) == 700
        assert await outputs.add(KEY, entries(650, 702)) == 2
        assert await outputs.add(KEY, []) == 0
        assert await outputs.last(KEY) == ("702-0", {"close": "702"})
    expected = [(f"{number}-0", {"close": str(number)}) for number in range(1, 703)]
    assert redis_server.client.xrange(KEY) == expected


async def test_old_entries_are_dropped(redis_server: RedisServer) -> None:
    async with OutputStreams(redis_server.url, maxlen=100) as outputs:
        await outputs.add(KEY, entries(1, 1_000))
    assert 100 <= redis_server.client.xlen(KEY) < 1_000


async def test_the_keys_of_the_collectors_are_not_written(redis_server: RedisServer) -> None:
    async with OutputStreams(redis_server.url) as outputs:
        with pytest.raises(InvalidConfigurationError):
            await outputs.add(BTC_TRADES.key, entries(1, 1))
    assert redis_server.client.exists(BTC_TRADES.key) == 0


async def test_a_key_that_holds_something_else_is_an_error(redis_server: RedisServer) -> None:
    redis_server.client.set(KEY, "no stream")
    async with OutputStreams(redis_server.url) as outputs:
        for call in (outputs.add(KEY, entries(1, 1)), outputs.last(KEY)):
            with pytest.raises(FleetError):
                await call


async def test_the_streams_to_make_it_from(redis_server: RedisServer) -> None:
    for name in (BTC_TRADES, ETH_TRADES):
        write_trades(redis_server.client, 1, 1, name)
    async with OutputStreams(redis_server.url) as outputs:
        assert await outputs.inputs("okx:*", "trade") == {BTC_TRADES, ETH_TRADES}
        assert await outputs.inputs(["okx:ETH-USDT", "okx:SOL-USDT"], "trade") == {ETH_TRADES}


async def test_while_redis_is_away_it_waits(own_redis: RedisServer) -> None:
    async with OutputStreams(own_redis.url) as outputs:
        await outputs.add(KEY, entries(1, 1))
        own_redis.kill()
        adding = asyncio.ensure_future(outputs.add(KEY, entries(1, 2)))
        await asyncio.sleep(0)
        await asyncio.to_thread(own_redis.start)
        async with asyncio.timeout(PATIENCE_S):
            assert await adding == 1
