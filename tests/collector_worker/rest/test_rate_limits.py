import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from collector_worker.rest import rate_limits as module
from collector_worker.rest.rate_limits import BLIND_PAUSE_S, RateLimiter
from common.config.exchanges import Rate
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.redis.config import RedisConfig

SLOW = Rate(per_s=0.1)  # moments 10 s apart, so that a busy machine does not blur them
BLUR_S = 3.0
TIME_LINE = "md:v1:permits:{okx@h}:connect"


def rate_limiter(config: RedisConfig, exchange: str = "okx", host: str = "h") -> RateLimiter:
    return RateLimiter(config, exchange, Random(1), host)


async def reserve(
    config: RedisConfig, count: int, rate: Rate, units: float = 1.0, kind: str = "connect"
) -> list[float]:
    mine = rate_limiter(config)
    return [(await mine._reserve(kind, rate, units)).pause_s for _ in range(count)]


@asynccontextmanager
async def waiting(mine: RateLimiter, rate: Rate, server: RedisServer) -> AsyncIterator[asyncio.Task[float]]:
    """Somebody who has his place on the time line, and waits for it."""
    before = server.client.get(TIME_LINE)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        work = tasks.create_task(mine.acquire("connect", rate))
        await until(lambda: server.client.get(TIME_LINE) != before)
        yield work


async def test_permits_are_spaced_by_the_rate(redis_config: RedisConfig) -> None:
    waits = await reserve(redis_config, 4, SLOW)
    assert waits == pytest.approx([0, 10, 20, 30], abs=BLUR_S)


async def test_a_burst_is_free_after_a_quiet_time(redis_config: RedisConfig) -> None:
    waits = await reserve(redis_config, 5, Rate(per_s=0.1, burst=3))
    assert waits == pytest.approx([0, 0, 0, 10, 20], abs=BLUR_S)


async def test_units_are_weighed(redis_config: RedisConfig) -> None:
    waits = await reserve(redis_config, 3, Rate(per_s=5.0, burst=100), units=50)
    assert waits == pytest.approx([0, 0, 10], abs=BLUR_S)


async def test_kinds_exchanges_and_hosts_do_not_hinder_each_other(redis_config: RedisConfig) -> None:
    await reserve(redis_config, 10, SLOW)
    assert await reserve(redis_config, 1, SLOW, kind="rest") == pytest.approx([0], abs=BLUR_S)
    for other in (rate_limiter(redis_config, "binance"), rate_limiter(redis_config, host="h2")):
        assert (await other._reserve("connect", SLOW, 1)).pause_s == pytest.approx(0, abs=BLUR_S)


async def test_each_permit_takes_as_long_as_the_rate_of_who_asks(redis_config: RedisConfig) -> None:
    mine, faster = rate_limiter(redis_config), Rate(per_s=0.2)
    waits = [(await mine._reserve("connect", rate, 1)).pause_s for rate in (SLOW, faster, SLOW, faster)]
    assert waits == pytest.approx([0, 10, 15, 25], abs=BLUR_S)


async def test_two_hundred_at_once_get_each_their_own_moment(redis_config: RedisConfig) -> None:
    turns = await asyncio.gather(*(rate_limiter(redis_config)._reserve("connect", SLOW, 1) for _ in range(200)))
    waits = [turn.pause_s for turn in turns]
    assert sorted(waits) == pytest.approx([10 * place for place in range(200)], abs=9)  # less than one place


async def test_acquire_waits_as_long_as_it_says(redis_config: RedisConfig) -> None:
    mine = rate_limiter(redis_config)
    began_s = time.monotonic()
    waited_s = sum([await mine.acquire("connect", Rate(per_s=20.0)) for _ in range(3)])
    assert time.monotonic() - began_s >= waited_s > 0


# --- without Redis ----------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "BLIND_PAUSE_S", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP], ids=["is gone", "hangs"])
async def test_a_redis_lost_during_a_rate_limit_wait_adds_a_bounded_delay(
    own_redis: RedisServer, sig: signal.Signals
) -> None:
    mine, rate = rate_limiter(own_redis.config), Rate(per_s=2.0)
    await mine.acquire("connect", rate)
    async with waiting(mine, rate, own_redis) as work:
        os.kill(own_redis.pid, sig)
        try:
            began_s = time.monotonic()
            assert 0 <= await work <= 0.5
            assert await mine.acquire("connect", rate) <= 0.2
            assert time.monotonic() - began_s < BLUR_S
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)


async def test_without_redis_it_delays_and_never_blocks() -> None:
    nobody = RedisConfig(url=f"redis://127.0.0.1:{free_port()}/0")
    waits = await reserve(nobody, 3, SLOW)
    assert all(0 <= wait <= BLIND_PAUSE_S for wait in waits)


async def test_time_lines_expire(redis_server: RedisServer) -> None:
    await reserve(redis_server.config, 1, SLOW)
    assert 0 < redis_server.client.ttl(TIME_LINE) <= 75


# --- a Redis that does not run our scripts ----------------------------------------------------------------------------


async def test_unshared_rate_limits_are_reported_with_the_reason_and_cleared(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLIND_PAUSE_S", 0.01)
    told = list[str]()
    mine = RateLimiter(own_redis.config, "okx", Random(1), "h", told.append)
    await mine.acquire("connect", Rate(per_s=20.0))
    own_redis.client.execute_command("ACL", "SETUSER", "default", "-eval")
    await mine.acquire("connect", Rate(per_s=20.0))
    await mine.acquire("connect", Rate(per_s=20.0))
    own_redis.client.execute_command("ACL", "SETUSER", "default", "+eval")
    await mine.acquire("connect", Rate(per_s=20.0))
    assert told == [f"Redis does not give us a right that we need: NOPERM eval {TIME_LINE}", ""]


async def test_a_redis_that_takes_no_writes_is_no_matter_of_the_limits(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLIND_PAUSE_S", 0.01)
    told = list[str]()
    own_redis.client.config_set("maxmemory", "1")
    await RateLimiter(own_redis.config, "okx", Random(1), "h", told.append).acquire("connect", Rate(per_s=20.0))
    assert told == []
