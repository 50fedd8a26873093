"""A worker whose Redis is not there: at the start, at the end, or at both."""

import asyncio

import pytest
from structlog.testing import capture_logs

from collector_worker.app import RunLimits
from tests.support.okx_wire import ticker
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tests.support.worker_rig import (
    PREFIX,
    a_ticker,
    context,
    last_words,
    ledger,
    published,
    running,
)
from tests.support.ws_server import Peer
from tickfleet.contract.health import WorkerState
from tickfleet.errors import RedisUnreachableError


@pytest.fixture
def own_redis(own_redis: RedisServer) -> RedisServer:
    """One that has what it confirmed also after a kill: otherwise what waits for the disk just then is lost."""
    own_redis.client.config_set("appendfsync", "always")
    return own_redis


async def test_no_redis_at_the_start(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with context(own_redis.config) as make:
        with pytest.raises(RedisUnreachableError):
            await make().run()


async def test_a_redis_that_comes_up_late_is_waited_for(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with context(own_redis.config) as make:
        make.keywords["limits"] = RunLimits()  # type: ignore[attr-defined]  # a partial has them
        with capture_logs() as logs:
            async with running(make()):
                await until(lambda: any(line["event"] == "redis_awaited" for line in logs))
                await asyncio.to_thread(own_redis.start)
                await until(lambda: "ticker" in published(own_redis))
    assert last_words(own_redis)[0] is WorkerState.STOPPED


async def test_told_to_stop_while_it_waits_for_redis(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with context(own_redis.config) as make:
        make.keywords["limits"] = RunLimits()  # type: ignore[attr-defined]
        with capture_logs() as logs:
            async with running(make()) as work:
                await until(lambda: any(line["event"] == "redis_awaited" for line in logs))
    assert work.cancelled()


@pytest.mark.parametrize("waiting", [0, 1, 3])
async def test_an_exit_without_redis_is_quick_and_spools_for_the_next_run(own_redis: RedisServer, waiting: int) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        for number in range(waiting):
            await peer.send(ticker(f"{number + 2}", 1_767_225_600_001 + number))
        await peer.settle()
        told.clear()

    async with context(own_redis.config, script) as make:
        async with running(make()) as work:
            await until(lambda: "ticker" in published(own_redis))
            await asyncio.to_thread(own_redis.kill)
            told.set()
            await until(lambda: not told.is_set())
            with capture_logs() as logs:
                work.cancel()
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.wait([work])
        assert work.cancelled()
        kept = next(line for line in logs if line["event"] == "entries_kept")
        assert {**kept, "count": 0} == {
            "event": "entries_kept", "log_level": "warning", "count": 0, "lost": 0, "why": "Redis is away at the exit"
        }  # fmt: skip
        assert kept["count"] >= waiting  # and how far the ledger has come

        own_redis.start()
        async with running(make()):
            await until(lambda: ledger(own_redis)[:2] == ["opened", "complete"])
    tickers = [fields["last"] for _, fields in own_redis.client.xrange(PREFIX + "ticker") if "last" in fields]
    assert tickers == [str(number + 1) for number in range(waiting + 1)]


async def test_the_first_entries_of_all_are_not_lost_either(own_redis: RedisServer) -> None:
    """Redis goes away before anything was published: what is left comes behind the beginning of the streams."""
    began, told, sent = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        began.set()
        await told.wait()
        await a_ticker(peer)
        await peer.settle()
        sent.set()

    async with context(own_redis.config, script) as make:
        with capture_logs():
            async with running(make()) as work:
                await began.wait()
                await asyncio.to_thread(own_redis.kill)
                told.set()
                await sent.wait()
                work.cancel()
                await asyncio.wait([work])
        own_redis.start()
        async with running(make()):
            await until(lambda: "complete" in ledger(own_redis))
            assert published(own_redis)[:3] == ["feed_status", "ticker", "feed_status"]


async def test_redis_still_away_at_the_next_start(own_redis: RedisServer) -> None:
    """What a run left behind is not lost on one that does not get as far as to publish it."""
    async with context(own_redis.config) as make:
        async with running(make()) as work:
            await until(lambda: "ticker" in published(own_redis))
            await asyncio.to_thread(own_redis.kill)
            work.cancel()
            await asyncio.wait([work])
        for _ in range(2):
            with pytest.raises(RedisUnreachableError):
                await make().run()
        own_redis.start()
        async with running(make()):
            await until(lambda: ledger(own_redis)[:2] == ["opened", "complete"])
