"""One run of a collector behind another, or beside it: what the one leaves, and what the other makes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from collector_worker.app import Worker
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.stream_tips import StreamRolledBackError, StreamTakenError
from tests.support.okx_wire import acknowledge, ticker
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import PREFIX, TIME, context, instruments, running
from tests.support.ws_server import Peer
from tickfleet.errors import SupersededError
from tickfleet.redis.config import RedisConfig

MS = 1_767_225_600_000


class Exchange:
    """Sends tickers to one connection or another, when it is ordered to."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.last = 0

    async def serve(self, peer: Peer) -> None:
        """The script of every connection."""
        await acknowledge(peer)
        self.peers.append(peer)
        await peer.gone()

    async def send(self, peer: int, count: int) -> None:
        """Send the next tickers to the connection of a number, and wait until it has handled them."""
        numbers = range(self.last + 1, self.last + 1 + count)
        self.last += count
        await self.peers[peer].send(*(ticker(str(number), MS + number) for number in numbers))
        await self.peers[peer].settle()


def tickers(server: RedisServer) -> list[int]:
    """The numbers of the tickers in the stream."""
    return [int(fields["last"]) for _, fields in server.client.xrange(PREFIX + "ticker") if "last" in fields]


def files(make: Callable[[], Worker]) -> list[Path]:
    """The files of the runs of a worker."""
    assert isinstance(make, partial)
    return sorted((make.args[0].var / "spool").glob("*"))


@asynccontextmanager
async def away(proxy: RedisProxy) -> AsyncIterator[None]:
    """Redis is away for one of them."""
    await asyncio.to_thread(proxy.refuse, on=True)
    await asyncio.to_thread(proxy.cut)
    yield
    await asyncio.to_thread(proxy.refuse, on=False)


def kept(logs: Sequence[MutableMapping[str, Any]]) -> list[tuple[int, int, str]]:
    """What the runs said of the entries that they left."""
    return [(line["count"], line["lost"], line["why"]) for line in logs if line["event"] == "entries_kept"]


NOT_AS_LEFT = "the streams are not as this run left them"


async def test_behind_somebody_else_s_entry_the_next_run_goes_on(redis_server: RedisServer) -> None:
    exchange = Exchange()
    async with context(redis_server.config, exchange.serve, *[instruments(), TIME] * 2) as make:
        with capture_logs() as logs:
            async with running(make()) as work:
                await until(lambda: exchange.peers)
                await exchange.send(0, 1)
                await until(lambda: tickers(redis_server) == [1])
                redis_server.client.xadd(PREFIX + "ticker", {"by": "hand"}, id="99999999999999-0")
                await exchange.send(0, 1)
                await asyncio.wait([work])
        assert isinstance(work.exception(), StreamTakenError)
        [(count, lost, why)] = kept(logs)
        assert (count >= 1, lost, why) == (True, 0, NOT_AS_LEFT)
        async with running(make()) as work:
            await until(lambda: len(exchange.peers) == 2)
            assert files(make) == []
            await exchange.send(1, 2)
            await until(lambda: tickers(redis_server) == [1, 3, 4])
            assert not work.done()


async def test_a_redis_that_lost_everything_gets_what_was_waiting(redis_server: RedisServer) -> None:
    exchange = Exchange()
    async with context(redis_server.config, exchange.serve, *[instruments(), TIME] * 2) as make:
        with capture_logs() as logs:
            async with running(make()) as work:
                await until(lambda: exchange.peers)
                await exchange.send(0, 2)
                await until(lambda: tickers(redis_server) == [1, 2])
                redis_server.client.flushall()
                redis_server.client.client_kill_filter(_type="normal", skipme=True)
                await exchange.send(0, 3)
                await asyncio.wait([work])
        assert isinstance(work.exception(), StreamRolledBackError)
        assert [why for _, _, why in kept(logs)] == [NOT_AS_LEFT]
        assert tickers(redis_server) == []
        async with running(make()):
            await until(lambda: len(exchange.peers) == 2)
            assert (tickers(redis_server), files(make)) == ([3, 4, 5], [])
            await exchange.send(1, 1)
            await until(lambda: tickers(redis_server) == [3, 4, 5, 6])
            await until(lambda: redis_server.client.exists(PREFIX + "instrument"))


async def test_a_run_that_hung_ends_without_touching_its_successor_s_file(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector_worker.app.Buffer", partial(Buffer, 1_000))
    proxies = [RedisProxy(redis_server.port).start() for _ in range(2)]
    configs = [RedisConfig(url=f"redis://127.0.0.1:{proxy.port}/0") for proxy in proxies]
    exchange = Exchange()
    try:
        async with context(configs[0], exchange.serve, *[instruments(), TIME] * 2) as make:
            assert isinstance(make, partial)
            successor: Callable[[], Worker] = partial(
                make.func, replace(make.args[0], redis=configs[1]), **make.keywords
            )
            async with running(make()) as old:
                await until(lambda: exchange.peers)
                await exchange.send(0, 2)
                await until(lambda: tickers(redis_server) == [1, 2])
                async with away(proxies[0]):
                    await exchange.send(0, 30)
                    [theirs] = files(make)
                    async with running(successor()) as new:
                        await until(lambda: len(exchange.peers) == 2)
                        assert tickers(redis_server) == [*range(1, 33)]
                        assert files(make) == []
                        await exchange.send(0, 10)  # it does not know yet
                        async with away(proxies[1]):
                            await exchange.send(1, 30)
                            [ours] = files(make)
                            content = ours.read_bytes()
                            with capture_logs() as logs:
                                await asyncio.to_thread(proxies[0].refuse, on=False)
                                await asyncio.wait([old])
                            assert isinstance(old.exception(), SupersededError)
                            assert kept(logs) == []
                            assert files(make) == [ours]
                            assert ours.read_bytes().startswith(content)
                        await until(lambda: tickers(redis_server)[-1] == 72)
                        assert not new.done()
            assert ours != theirs
            assert tickers(redis_server) == [*range(1, 33), *range(43, 73)]
            assert files(make) == []
    finally:
        for proxy in proxies:
            await asyncio.to_thread(proxy.stop)
