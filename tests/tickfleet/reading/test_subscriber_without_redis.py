import asyncio
import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.reading import entries, numbers, read_items, until_idle
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC_TRADES, ETH_TRADES, trade_id, write_trades
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber

TRADES = 2_000


def ids(first: int, last: int) -> list[str]:
    return [trade_id(number) for number in range(first, last + 1)]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    """A way to Redis that can be broken."""
    proxy = RedisProxy(redis_server.port).start()
    yield proxy
    proxy.stop()


def through(proxy: RedisProxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


async def test_a_redis_that_never_answers_is_an_error() -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    subscriber = Subscriber("okx:BTC-USDT", "trade", redis=nowhere, first_wait_s=0.0)
    with pytest.raises(RedisUnreachableError, match="cannot be reached"):
        await anext(aiter(subscriber))


async def test_it_waits_for_a_redis_that_is_away_and_goes_on_where_it_was(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_trades(own_redis.client, 1, 5)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=own_redis.url) as subscriber:
        batches = subscriber.batches(idle_s=0.05)
        assert numbers((await read_items(batches, 1))[0].entries) == ids(1, 5)
        own_redis.stop()
        while subscriber.connected:
            assert (await read_items(batches, 1))[0].entries == []
        own_redis.start()
        write_trades(own_redis.client, 6, 8)
        assert numbers(await entries(subscriber, 3)) == ids(6, 8)
        assert (subscriber.connected, subscriber.reconnects) == (True, 1)
    gone = f"Redis at 127.0.0.1:{own_redis.port} cannot be reached: it broke off the connection ("
    first, last = caplog.messages
    assert (first.startswith(gone), first.endswith("; trying again"), last) == (True, True, "Redis answers again")


async def test_broken_connections_lose_nothing_and_repeat_nothing(redis_server: RedisServer, proxy: RedisProxy) -> None:
    """Cuts between commands, in the middle of them, and of answers, at random moments."""
    random = Random(4)
    write_trades(redis_server.client, 1, TRADES)
    write_trades(redis_server.client, 1, TRADES, ETH_TRADES)
    found: dict[StreamName, list[str]] = {BTC_TRADES: [], ETH_TRADES: []}
    where: dict[str, Any] = {"start": "oldest", "redis": through(proxy), "at_once": 50}
    async with Subscriber("okx:*", "trade", **where) as subscriber:
        async with asyncio.timeout(PATIENCE_S):
            async for batch in subscriber.batches():
                for entry in batch.entries:
                    found[entry.stream].append(entry.id)
                if len(found[ETH_TRADES]) == len(found[BTC_TRADES]) == TRADES:
                    break
                if random.random() < 0.2:
                    random.choice([proxy.cut, proxy.cut_after_next_command])()
        assert proxy.cuts >= subscriber.reconnects > 5
    assert found == {name: ids(1, TRADES) for name in found}


async def test_retention_that_passes_while_redis_is_away_is_told_exactly(
    redis_server: RedisServer, proxy: RedisProxy
) -> None:
    write_trades(redis_server.client, 1, 5)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=through(proxy)) as subscriber:
        await entries(subscriber, 5)
        proxy.refuse(on=True)
        proxy.cut()
        while subscriber.connected:
            await until_idle(subscriber)
        write_trades(redis_server.client, 6, 100)
        redis_server.client.xtrim(BTC_TRADES.key, maxlen=10, approximate=False)
        proxy.refuse(on=False)
        missed, *rest = numbers(await entries(subscriber, 11))
        assert (getattr(missed, "count", None), rest) == (85, ids(91, 100))
