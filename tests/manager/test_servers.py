from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from common.config import RedisConfig
from common.errors import RedisUnreachableError
from common.redis_client import async_client
from manager.journal import Entry, What
from manager.senses import RedisLink
from manager.servers import LOOK_EVERY_S, Servers
from tests.manager.fakes import ManualClock
from tests.support.redis_server import RedisServer


@pytest.fixture
async def link(redis_config: RedisConfig) -> AsyncIterator[RedisLink]:
    client = async_client(redis_config)
    yield RedisLink(redis_config, client)
    await client.aclose()


async def test_it_is_told_which_redis_serves_and_when_it_becomes_another(
    link: RedisLink, redis_server: RedisServer
) -> None:
    clock = ManualClock()
    servers = Servers(clock)

    def said() -> str:
        facts = redis_server.client.info("server")
        name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"
        return f"{name} (run {facts['run_id'][:8]}) at 127.0.0.1:{redis_server.port}"

    def entry(why: str) -> Entry:
        details = {"serves": why.partition(", before ")[0]}
        return Entry(at_ns=clock.now_ns(), who="manager", what=What.REDIS_SERVES, why=why, details=details)

    first = said()
    last = await servers.look(link, None)
    assert last == entry(first)
    clock.move(LOOK_EVERY_S)
    assert await servers.look(link, last) is None
    redis_server.stop()
    redis_server.start()
    assert await servers.look(link, last) is None, "it was just looked"
    clock.move(LOOK_EVERY_S)
    with suppress(RedisUnreachableError):  # by the connection to the one before
        assert await servers.look(link, last) is None
    assert await servers.look(link, last) == entry(f"{said()}, before {first}")
