"""An exchange has turned this machine away: who knows of it, who asks whether it still holds, and what ends it."""

import asyncio
import time
from collections.abc import Iterator
from random import Random

import pytest
from structlog.testing import capture_logs

from collector_worker.rest import rate_limits as module
from collector_worker.rest.rate_limits import RateLimiter, Turn
from common.config.exchanges import Rate
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract import keys
from tickfleet.redis.config import RedisConfig

RATE = Rate(per_s=0.1, burst=3.0)
BLUR_S = 3.0
WHY = "REST of h turned us away for 30 s (HTTP 429)"
BAN = "md:v1:permits:{okx@h}:banned"


class Told:
    """One process, and what it says of a ban."""

    def __init__(self, config: RedisConfig) -> None:
        self.heard: list[tuple[int, str]] = []
        self.rate_limiter = RateLimiter(
            config, "okx", Random(1), "h", on_ban=lambda until_ns, why: self.heard.append((until_ns, why))
        )

    async def turn(self, kind: str = "rest") -> Turn:
        return await self.rate_limiter._reserve(kind, RATE, 1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BAN_LOOK_S", 0.05)


def nowhere() -> RedisConfig:
    return RedisConfig(url=f"redis://127.0.0.1:{free_port()}/0")


def lost(server: RedisServer) -> None:
    """As FLUSHALL, or a Redis that came back empty."""
    server.client.delete(BAN)


def lifted(server: RedisServer) -> None:
    server.client.hset(BAN, "until", 0)
    server.client.hincrby(BAN, "lifts", 1)


async def test_a_ban_holds_for_everybody_and_a_shorter_one_does_not_end_it(redis_config: RedisConfig) -> None:
    await Told(redis_config).rate_limiter.ban(30, WHY)
    await Told(redis_config).rate_limiter.ban(5, "another")
    other = Told(redis_config)
    turns = [await other.turn(kind) for kind in ("rest", "rest", "connect")]
    assert [turn.banned for turn in turns] == [True] * 3
    assert [turn.pause_s for turn in turns] == pytest.approx([30, 30, 30], abs=BLUR_S)
    until_ns, why = other.heard[-1]
    assert until_ns / 1e9 == pytest.approx(time.time() + 30, abs=BLUR_S)
    assert why == WHY


@pytest.mark.usefixtures("brisk")
async def test_the_end_of_a_ban_lets_no_more_through_than_a_quiet_time_does(redis_config: RedisConfig) -> None:
    await Told(redis_config).rate_limiter.ban(0.3, WHY)
    mine = Told(redis_config)
    async with asyncio.timeout(PATIENCE_S):
        assert 0 < await mine.rate_limiter.acquire("rest", RATE) < BLUR_S
    assert [(await mine.turn()).pause_s for _ in range(4)] == pytest.approx([0, 0, 10, 20], abs=BLUR_S)
    assert mine.heard[-1] == (0, "")


async def test_a_ban_that_redis_cannot_be_told_of_holds_for_who_met_it() -> None:
    mine = Told(nowhere())
    await mine.rate_limiter.ban(3_000, WHY)
    await mine.rate_limiter.ban(1, "another")
    turn = await mine.turn()
    assert turn.banned
    assert turn.pause_s == pytest.approx(3_000, abs=BLUR_S)
    assert mine.heard[-1][1] == WHY


async def test_a_redis_that_has_lost_a_ban_is_told_again_by_who_met_it(redis_server: RedisServer) -> None:
    mine, other = Told(redis_server.config), Told(redis_server.config)
    await mine.rate_limiter.ban(30, WHY)
    lost(redis_server)
    assert (await mine.turn()).banned
    assert (await other.turn()).banned


async def test_a_ban_that_was_lifted_is_over_also_for_who_met_it(redis_server: RedisServer) -> None:
    mine, other = Told(redis_server.config), Told(redis_server.config)
    await mine.rate_limiter.ban(3_000, WHY)
    assert (await other.turn()).banned
    lifted(redis_server)
    assert [await each.turn() for each in (mine, other)] == [Turn(0.0), Turn(0.0)]
    assert [each.heard[-1] for each in (mine, other)] == [(0, ""), (0, "")]


@pytest.mark.usefixtures("brisk")
async def test_who_waits_goes_on_when_a_ban_is_lifted(redis_server: RedisServer) -> None:
    mine = Told(redis_server.config)
    await mine.rate_limiter.ban(3_000, WHY)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        work = tasks.create_task(mine.rate_limiter.acquire("connect", RATE))
        await asyncio.sleep(0)
        lifted(redis_server)
    assert 0 <= work.result() < BLUR_S


@pytest.mark.usefixtures("brisk")
async def test_who_asks_for_nothing_sees_that_a_ban_is_over(redis_server: RedisServer) -> None:
    mine = Told(redis_server.config)
    await mine.rate_limiter.ban(3_000, WHY)
    watch = asyncio.create_task(mine.rate_limiter.watch())
    try:
        lifted(redis_server)
        await until(lambda: mine.heard[-1] == (0, ""))
    finally:
        watch.cancel()


def probe_is_due(server: RedisServer) -> None:
    server.client.hset(BAN, "probe", 0)


async def test_one_call_at_a_time_probes_a_long_ban_and_an_answer_ends_it(redis_server: RedisServer) -> None:
    mine, other = Told(redis_server.config), Told(redis_server.config)
    await mine.rate_limiter.ban(3_000, WHY)
    await other.rate_limiter.answered()  # to what it had asked before
    probe_is_due(redis_server)
    assert await other.turn() == Turn(0.0)
    assert [(await each.turn()).banned for each in (mine, other)] == [True, True]
    await other.rate_limiter.answered()
    assert [(await each.turn("connect")).banned for each in (other, mine)] == [False, False]


async def test_the_probes_of_a_ban_come_ever_more_rarely(redis_server: RedisServer) -> None:
    mine, pauses_s = Told(redis_server.config), list[float]()
    await mine.rate_limiter.ban(80_000, WHY)
    for _ in range(6):
        pauses_s.append(float(redis_server.client.hget(BAN, "probe") or 0) / 1e6 - time.time())
        probe_is_due(redis_server)
        assert not (await mine.turn()).banned
        await mine.rate_limiter.ban(80_000, WHY)
    assert pauses_s == pytest.approx([300, 600, 1_200, 2_400, 3_600, 3_600], abs=BLUR_S)


def test_the_key_of_a_ban() -> None:
    assert keys.ban("okx@h") == BAN
