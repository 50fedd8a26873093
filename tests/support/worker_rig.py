"""A whole worker inside the test's process, with an exchange of scripts and answers around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from structlog.testing import capture_logs

from collector_worker.app import RunLimits, Worker
from collector_worker.settings import WorkerSettings
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.support import okx_wire
from tests.support.http_server import HttpServer, answer
from tests.support.okx_wire import acknowledge, ticker
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S
from tests.support.ws_server import Peer, Script, ScriptedServer
from tickfleet.contract.health import Heartbeat, read_heartbeat
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import RedisConfig

PREFIX = "md:v1:{okx:BTC-USDT}:"
IMPATIENT = RunLimits(
    redis_wait_s=0.0, flush_s=0.1, rest_pause_first_s=0.001, rest_pause_cap_s=0.002, denied_pause_s=0.001
)
INSTRUMENT = {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live"}


def instruments(state: str = "live", **changes: str) -> bytes:
    """The list of instruments with the one of this worker."""
    return answer(okx_wire.rest([{**INSTRUMENT, "state": state, "tickSz": "0.1", **changes}]))


TIME = answer(okx_wire.rest([{"ts": "4102444800000"}]))
"""The year 2100."""


async def a_ticker(peer: Peer) -> None:
    """A script: one ticker."""
    await acknowledge(peer)
    await peer.send(ticker("1", 1_767_225_600_000))


@asynccontextmanager
async def context(
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
    """What the heartbeat says."""
    return read_heartbeat(server.client.hgetall(PREFIX + "heartbeat"))


def last_words(server: RedisServer) -> tuple[Any, ...]:
    """State, error and exit code at the end."""
    beat = heartbeat(server)
    assert beat is not None
    return beat.state, beat.last_error, beat.exit_code


def published(server: RedisServer) -> list[str]:
    """The types of the entries of the ticker stream."""
    return [fields["type"] for _, fields in server.client.xrange(PREFIX + "ticker")]


def ledger(server: RedisServer) -> list[str]:
    """The kinds of the entries of the ledger."""
    return [fields["kind"] for _, fields in server.client.xrange(PREFIX + "coverage")]
