import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from common.redis.redis_py import async_client
from manager.model.journal_entries import JournalEntry, What
from manager.observe.poller import RedisLink
from manager.observe.servers import LOOK_EVERY_S, ServerWatch
from tests.manager.fakes import ManualClock
from tests.support.redis_high import Cluster, Sentinel, running
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig


@pytest.fixture
async def link(redis_config: RedisConfig) -> AsyncIterator[RedisLink]:
    client = async_client(redis_config)
    yield RedisLink(redis_config, client)
    await client.aclose()


async def test_it_is_told_which_redis_serves_and_when_it_becomes_another(
    link: RedisLink, redis_server: RedisServer
) -> None:
    clock = ManualClock()
    servers = ServerWatch(clock)

    def entry(why: str) -> JournalEntry:
        details = {"serves": why.partition(", before ")[0]}
        return JournalEntry(at_ns=clock.now_ns(), who="manager", what=What.REDIS_SERVES, why=why, details=details)

    first = named(redis_server)
    last = await servers.read_change(link, None)
    assert last == entry(first)
    clock.move(LOOK_EVERY_S)
    assert await servers.read_change(link, last) is None
    redis_server.stop()
    redis_server.start()
    assert await servers.read_change(link, last) is None, "it was just looked"
    clock.move(LOOK_EVERY_S)
    with suppress(RedisUnreachableError):  # by the connection to the one before
        assert await servers.read_change(link, last) is None
    assert await servers.read_change(link, last) == entry(f"{named(redis_server)}, before {first}")


def named(server: RedisServer) -> str:
    """As the journal names a server."""
    facts = server.client.info("server")
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"
    return f"{name} (run {facts['run_id'][:8]}) at 127.0.0.1:{server.port}"


def those(nodes: list[RedisServer]) -> str:
    return ", ".join(map(named, sorted(nodes, key=lambda node: str(node.port))))


async def next_entry(
    servers: ServerWatch, link: RedisLink, last: JournalEntry | None, clock: ManualClock
) -> JournalEntry:
    """The next one; the first connections after a fault may lead nowhere any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            clock.move(LOOK_EVERY_S)
            with suppress(RedisUnreachableError):
                if entry := await servers.read_change(link, last):
                    return entry


async def test_a_failover_by_sentinels_is_told_with_both_masters(tmp_path: Path) -> None:
    sentinel, clock = Sentinel(tmp_path), ManualClock()
    with running(sentinel):
        client = async_client(sentinel.config)
        link, servers = RedisLink(sentinel.config, client), ServerWatch(clock)
        first = await next_entry(servers, link, None, clock)
        before = named(sentinel.master)
        assert first.why == before
        after = named(await asyncio.to_thread(sentinel.fail_over))
        assert (await next_entry(servers, link, first, clock)).why == f"{after}, before {before}"
        await client.aclose()


async def test_a_failed_cluster_master_is_reported_with_its_replacement(tmp_path: Path) -> None:
    cluster, clock = Cluster(tmp_path, replica=True), ManualClock()
    with running(cluster):
        client = async_client(cluster.config)
        link, servers = RedisLink(cluster.config, client), ServerWatch(clock)
        first = await next_entry(servers, link, None, clock)
        before = those(cluster.nodes[:3])
        assert first.why == before
        heir = await asyncio.to_thread(cluster.fail_over)
        after = those([*cluster.nodes[:2], heir])
        assert (await next_entry(servers, link, first, clock)).why == f"{after}, before {before}"
        await client.aclose()
