"""The publisher with a real Redis: restarts, memory, other writers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.publish.stream_tips import StreamTakenError
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import Done, RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import Reply

KEY = "md:v1:{okx:BTC-USDT}:trade"
NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000


class LossyPipe(RedisPipe):
    """Loses the answers of the first transactions."""

    lost = 0

    def try_send(self, commands: Sequence[bytes], done: Done, *, deferred: bool = False) -> bool:
        return super().try_send(commands, lambda outcome: done(self._lose() or outcome), deferred=deferred)

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        replies = await super().transaction(commands)
        if error := self._lose():
            raise error
        return replies

    def _lose(self) -> RedisUnreachableError | None:
        self.lost += 1
        return RedisUnreachableError("the answer was lost") if self.lost <= 3 else None


class Desk:
    """A publisher of trades."""

    def __init__(self, config: RedisConfig, pipe: type[RedisPipe] = RedisPipe, maxlen: int = 1_000_000) -> None:
        self.pipe = pipe(config)
        self.telemetry = Telemetry(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)), NOW)
        pacing = Pacing(batch_entries=100, retry_first_s=0.005, retry_cap_s=0.02)
        self.publisher = Publisher(self.pipe, self.telemetry, ManualClock(), pacing=pacing)
        self.stream = Stream(KEY, DataType.TRADE, maxlen)
        self.published = 0

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.published += 1
            number = self.published
            self.publisher.publish(self.stream, Trade(NOW, NOW, str(number), f"{number}.5", "0.1", "buy"))

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[asyncio.Task[None]]:
        """Send in the background; at the end all is confirmed, or sending has failed."""
        task = asyncio.create_task(self.publisher.run())
        drained: asyncio.Future[None] | None = None
        try:
            with capture_logs():
                async with asyncio.timeout(PATIENCE_S):
                    yield task
                    drained = asyncio.ensure_future(self.publisher.drained())
                    await asyncio.wait({task, drained}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in filter(None, (task, drained)):
                work.cancel()
                await asyncio.wait([work])
            await self.pipe.close()


def expected(count: int) -> list[tuple[str, dict[str, str]]]:
    return [
        (
            f"{NOW_MS}-{number}",
            {
                "type": "trade",
                "ts_event": str(NOW),
                "ts_recv": str(NOW),
                "trade_id": str(number),
                "price": f"{number}.5",
                "size": "0.1",
                "side": "buy",
                "origin": "live",
            },
        )
        for number in range(1, count + 1)
    ]


def held(server: RedisServer) -> list[tuple[str, dict[str, str]]]:
    return cast("list[tuple[str, dict[str, str]]]", server.client.xrange(KEY))


async def test_a_backlog_arrives_whole_and_in_order(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    desk.publish(5_000)
    async with desk.sending():
        pass
    assert held(redis_server) == expected(5_000)
    assert desk.telemetry.beat.entries_published == 5_000


async def test_lost_answers_make_no_duplicates(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config, LossyPipe)
    desk.publish(250)
    async with desk.sending():
        pass
    assert held(redis_server) == expected(250)
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, beat.redis_reconnects) == (250, 0, 3)


async def test_a_crash_of_the_server_loses_and_repeats_nothing(own_redis: RedisServer) -> None:
    own_redis.client.config_set("appendfsync", "always")  # else it may lose what waits for the disk just then
    desk = Desk(own_redis.config)
    async with desk.sending():
        desk.publish(1_000)
        await until(lambda: desk.telemetry.beat.entries_published >= 300)
        await asyncio.to_thread(own_redis.kill)
        desk.publish(1_000)
        await until(lambda: desk.telemetry._troubles, "the server is missed")
        assert not desk.publisher.paused
        gone = f"Redis at 127.0.0.1:{own_redis.port} cannot be reached: it "  # broke it off, then refuses another
        assert desk.telemetry.beat.last_error.startswith(gone)
        await asyncio.to_thread(own_redis.start)
    assert held(own_redis) == expected(2_000)
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.redis_reconnects, desk.telemetry._troubles) == (2_000, 1, {})


async def test_nothing_overtakes_while_the_server_is_out_of_memory(own_redis: RedisServer) -> None:
    desk = Desk(own_redis.config)
    desk.publish(100)
    async with desk.sending():
        await desk.publisher.drained()
        own_redis.client.config_set("maxmemory", "1mb")
        desk.publish(150)
        desk.publisher.set_hash("md:v1:{okx:BTC-USDT}:book", {"stream_id": "x"})
        await until(lambda: desk.telemetry._troubles, "the refusal is taken note of")
        assert held(own_redis) == expected(100)
        desk.publish(50)
        own_redis.client.config_set("maxmemory", "0")
    assert held(own_redis) == expected(300)
    assert desk.telemetry.beat.last_error == f"Redis at 127.0.0.1:{own_redis.port} takes no writes: OOM"


async def test_a_server_that_hangs_and_goes_on_later_repeats_nothing(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was sent before it hung it carries out when it wakes up, and then once more what was sent again."""
    monkeypatch.setattr("common.redis.redis_py.ANSWER_TIMEOUT_S", 0.1)
    desk = Desk(own_redis.config)
    async with desk.sending():
        desk.publish(10)
        await desk.publisher.drained()
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            desk.publish(250)
            await until(lambda: desk.telemetry._troubles, "the server is missed")
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
    assert held(own_redis) == expected(260)
    assert desk.telemetry.beat.entries_published == 260


async def test_another_writer_ends_this_one(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    desk.publish(1)
    async with desk.sending() as sending:
        await desk.publisher.drained()
        redis_server.client.xadd(KEY, {"type": "trade"}, id=f"{NOW_MS + 1}-7")
        desk.publish(1)
    with pytest.raises(StreamTakenError):
        sending.result()
    assert [entry_id for entry_id, _ in held(redis_server)] == [f"{NOW_MS}-1", f"{NOW_MS + 1}-7"]


DAMAGE: dict[str, Callable[[RedisServer], object]] = {
    "deleted": lambda server: server.client.delete(KEY),
    "trimmed": lambda server: server.client.xtrim(KEY, maxlen=0),
    "emptied": lambda server: server.client.xdel(KEY, *(entry_id for entry_id, _ in held(server))),
}


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_behind_a_stream_that_a_user_emptied_it_goes_on(
    redis_server: RedisServer, damage: Callable[[RedisServer], object], *, cut: bool
) -> None:
    """Whether the connection holds or not; what is published is what came since, under higher ids."""
    desk = Desk(redis_server.config)
    ledger = CoverageStream("md:v1:{okx:BTC-USDT}:coverage", desk.publisher)
    complete = LedgerEntry(kind=LedgerKind.COMPLETE, at=NOW, run_id="run", data_type=DataType.TRADE, to_ts=NOW)
    async with desk.sending() as sending:
        desk.publish(10)
        ledger.append(complete)
        await desk.publisher.drained()
        damage(redis_server)
        if cut:
            redis_server.client.client_kill_filter(_type="normal", skipme=True)
        desk.publish(10)
        ledger.append(complete)
        await desk.publisher.drained()
        desk.publish(10)
    assert not sending.done() or sending.cancelled()
    assert held(redis_server) == expected(30)[10:]
    assert redis_server.client.xlen("md:v1:{okx:BTC-USDT}:coverage") == 2
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, beat.redis_reconnects) == (32, 0, int(cut))


async def test_a_key_of_another_type_is_left_as_it_is(redis_server: RedisServer) -> None:
    redis_server.client.set(KEY, "somebody's")
    desk = Desk(redis_server.config)
    desk.publish(3)
    desk.publisher.set_hash("h", {"n": 1})
    async with desk.sending():
        pass
    assert redis_server.client.get(KEY) == "somebody's"
    assert redis_server.client.hgetall("h") == {"n": "1"}
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped) == (0, 3)


async def test_streams_are_trimmed_about_to_their_bound(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config, maxlen=200)
    desk.publish(1_000)
    async with desk.sending():
        pass
    kept = held(redis_server)
    assert 200 <= len(kept) < 400
    assert kept == expected(1_000)[-len(kept) :]


async def test_a_hash_that_expires(redis_server: RedisServer) -> None:
    redis_server.client.hset("beat", mapping={"exit_code": "78"})
    desk = Desk(redis_server.config)
    desk.publisher.set_expiring_hash("beat", {"pid": 7, "cpu": 0.5}, 10, fresh=True)
    async with desk.sending():
        pass
    assert redis_server.client.hgetall("beat") == {"pid": "7", "cpu": "0.5"}
    assert 0 < redis_server.client.pttl("beat") <= 10_000
