"""A worker from start to exit inside the test's process: what surrounds it fails in every way it can."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector_worker.app import Limits, Worker
from collector_worker.exchanges.okx import Okx
from collector_worker.publisher import StreamTakenError
from collector_worker.settings import WorkerSettings
from common.config import ExchangeCollectorConfig, RedisConfig
from common.errors import RedisUnreachableError, SubscriptionRefusedError, UnknownSymbolError
from common.exchanges import Endpoints
from common.health import Heartbeat, WorkerState, read_heartbeat
from common.identity import DataType
from tests.support import okx_wire
from tests.support.http_server import HttpServer, answer
from tests.support.okx_wire import acknowledge, ticker
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tests.support.ws_server import Peer, Script, ScriptedServer

PREFIX = "md:v1:{okx:BTC-USDT}:"
IMPATIENT = Limits(redis_wait_s=0.0, flush_s=0.1, rest_pause_first_s=0.001, rest_pause_cap_s=0.002)
INSTRUMENT = {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live"}
S = 1_000_000_000


def instruments(state: str = "live") -> bytes:
    return answer(okx_wire.rest([{**INSTRUMENT, "state": state, "tickSz": "0.1"}]))


TIME = answer(okx_wire.rest([{"ts": "4102444800000"}]))
"""The year 2100."""


async def a_ticker(peer: Peer) -> None:
    """A script: one ticker."""
    await acknowledge(peer)
    await peer.send(ticker("1", 1_767_225_600_000))


@asynccontextmanager
async def surroundings(
    redis: RedisConfig, script: Script = a_ticker, *answers: bytes
) -> AsyncIterator[Callable[[], Worker]]:
    """An exchange of one script and some answers; makes workers that find it and ``redis``."""
    async with HttpServer(*(answers or (instruments(), TIME))) as http, ScriptedServer(script) as server:
        endpoints = Endpoints(ws_public=server.url, ws_business=server.url, rest=http.root)
        config = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,), endpoints=endpoints)
        with capture_logs(), TemporaryDirectory() as folder:
            yield partial(Worker, WorkerSettings(config, redis, "info", Path(folder)), limits=IMPATIENT)


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[asyncio.Future[None]]:
    """Run a worker until the end of the block, then stop it as a signal does."""
    work = asyncio.ensure_future(worker.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield work
    finally:
        work.cancel()
        await asyncio.wait([work], timeout=PATIENCE_S)
        assert work.done()


def heartbeat(server: RedisServer) -> Heartbeat | None:
    return read_heartbeat(server.client.hgetall(PREFIX + "heartbeat"))


def last_words(server: RedisServer) -> tuple[Any, ...]:
    beat = heartbeat(server)
    assert beat is not None
    return beat.state, beat.last_error, beat.exit_code


def published(server: RedisServer) -> list[str]:
    return [fields["type"] for _, fields in server.client.xrange(PREFIX + "ticker")]


def ledger(server: RedisServer) -> list[str]:
    return [fields["kind"] for _, fields in server.client.xrange(PREFIX + "coverage")]


async def test_collects_and_says_so(redis_server: RedisServer) -> None:
    async with surroundings(redis_server.config) as make, running(make()) as work:
        await until(lambda: published(redis_server) == ["feed_status", "ticker"])
        await until(lambda: redis_server.client.hget(PREFIX + "instrument", "tick_size") == "0.1")
        work.cancel()
        await asyncio.wait([work])
    assert work.cancelled()
    assert last_words(redis_server) == (WorkerState.STOPPED, "", 0)
    beat = heartbeat(redis_server)
    assert beat is not None
    assert beat.clock_offset_ms > 1_000_000_000
    assert beat.progress[DataType.TICKER].silence_limit == 30 * S


async def test_an_exchange_whose_rest_does_not_answer_is_asked_again(redis_server: RedisServer) -> None:
    busy = answer(b"<html>", "503 Service Unavailable")
    too_many = answer(okx_wire.rest([], "50011"), "429 Too Many Requests", "Retry-After: 0")
    answers = (busy, too_many, b"", instruments(), busy)
    async with surroundings(redis_server.config, a_ticker, *answers) as make, running(make()):
        await until(lambda: "ticker" in published(redis_server))
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)
    state, error, _ = last_words(redis_server)
    assert (state, error) == (WorkerState.STOPPED, "REST of 127.0.0.1 cannot be reached")


async def test_a_symbol_that_is_not_there(redis_server: RedisServer) -> None:
    async with surroundings(redis_server.config, a_ticker, instruments("expired")) as make:
        with pytest.raises(UnknownSymbolError):
            await make().run()
    says = "OKX lists no instrument for symbol BTC-USDT"
    assert last_words(redis_server) == (WorkerState.ERROR, says, 78)
    assert redis_server.client.ttl(PREFIX + "heartbeat") > 80_000


@pytest.mark.parametrize("reply", [answer(okx_wire.rest([])), instruments("suspend")], ids=["no list", "suspended"])
async def test_a_symbol_that_is_not_traded_for_now_is_waited_for(redis_server: RedisServer, reply: bytes) -> None:
    async with surroundings(redis_server.config, a_ticker, reply, instruments(), TIME) as make, running(make()):
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)


async def test_a_refused_subscription(redis_server: RedisServer) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.send(okx_wire.refusal(await peer.receive(), "60018"))

    async with surroundings(redis_server.config, refuse) as make:
        with pytest.raises(SubscriptionRefusedError):
            await make().run()
    assert last_words(redis_server) == (WorkerState.ERROR, "OKX knows no such channel or instrument (60018)", 78)


async def test_a_bug_shows_no_text_of_its_own(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Okx, __: bytes) -> int:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Okx, "read_time_ms", fail)
    async with surroundings(redis_server.config) as make:
        with pytest.raises(RuntimeError):
            await make().run()
    assert last_words(redis_server) == (WorkerState.ERROR, "internal error, see the log", 1)
    assert "hunter2" not in str(redis_server.client.hgetall(PREFIX + "heartbeat"))


async def test_no_redis_at_the_start(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with surroundings(own_redis.config) as make:
        with pytest.raises(RedisUnreachableError):
            await make().run()


async def test_a_redis_that_comes_up_late_is_waited_for(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with surroundings(own_redis.config) as make:
        make.keywords["limits"] = Limits()  # type: ignore[attr-defined]  # a partial has them
        with capture_logs() as logs:
            async with running(make()):
                await until(lambda: any(line["event"] == "redis_awaited" for line in logs))
                await asyncio.to_thread(own_redis.start)
                await until(lambda: "ticker" in published(own_redis))
    assert last_words(own_redis)[0] is WorkerState.STOPPED


async def test_told_to_stop_while_it_waits_for_redis(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with surroundings(own_redis.config) as make:
        make.keywords["limits"] = Limits()  # type: ignore[attr-defined]
        with capture_logs() as logs:
            async with running(make()) as work:
                await until(lambda: any(line["event"] == "redis_awaited" for line in logs))
    assert work.cancelled()


@pytest.mark.parametrize("waiting", [0, 1, 3])
async def test_an_exit_without_redis_is_quick_and_leaves_what_waits_to_the_next_run(
    own_redis: RedisServer, waiting: int
) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        for number in range(waiting):
            await peer.send(ticker(f"{number + 2}", 1_767_225_600_001 + number))
        await peer.settle()
        told.clear()

    async with surroundings(own_redis.config, script) as make:
        async with running(make()) as work:
            await until(lambda: "ticker" in published(own_redis))
            await asyncio.to_thread(own_redis.kill)
            told.set()
            await until(lambda: not told.is_set())
            with capture_logs() as logs:
                work.cancel()
                async with asyncio.timeout(2):
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


async def test_redis_still_away_at_the_next_start(own_redis: RedisServer) -> None:
    """What a run left behind is not lost on one that does not get as far as to publish it."""
    async with surroundings(own_redis.config) as make:
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


async def test_another_writer_ends_it(redis_server: RedisServer) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        await peer.send(ticker("2", 1_767_225_600_001))

    async with surroundings(redis_server.config, script) as make, running(make()) as work:
        await until(lambda: "ticker" in published(redis_server))
        redis_server.client.xadd(PREFIX + "ticker", {"by": "another"}, id="99999999999999-0")
        told.set()
        await asyncio.wait([work])
    assert isinstance(work.exception(), StreamTakenError)


async def test_junk_in_its_streams_does_not_stop_it(redis_server: RedisServer) -> None:
    redis_server.client.xadd(PREFIX + "ticker", {b"\xff": b"\xfe"})
    async with surroundings(redis_server.config) as make, running(make()):
        await until(lambda: redis_server.client.xlen(PREFIX + "ticker") == 3)


async def test_a_stream_s_key_of_another_type_degrades_but_does_not_stop_it(redis_server: RedisServer) -> None:
    redis_server.client.set(PREFIX + "ticker", "somebody's")
    async with surroundings(redis_server.config) as make, running(make()):
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.DEGRADED)
    state, error, _ = last_words(redis_server)
    assert (state, error) == (WorkerState.STOPPED, "Redis refuses entries: a key of ours holds something else")
