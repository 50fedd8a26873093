import asyncio
import time

from tests.simulator.clock import ManualClock, SystemClock
from tests.support.waiting import PATIENCE_S


async def test_system_clock_is_the_time_and_waits() -> None:
    clock, never = SystemClock(), asyncio.Event()
    assert abs(clock.now_ms() - time.time() * 1_000) < 1_000

    until_ms = clock.now_ms() + 5
    await asyncio.wait_for(clock.wait(until_ms, never), 5)
    assert clock.now_ms() >= until_ms


async def test_system_clock_is_woken() -> None:
    clock, wake = SystemClock(), asyncio.Event()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(clock.wait(None, wake))
        tasks.create_task(clock.wait(clock.now_ms() + 3_600_000, wake))
        wake.set()


async def test_manual_clock_moves_only_by_hand() -> None:
    clock, wake = ManualClock(1_000), asyncio.Event()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.wait(1_500, wake))
        woken = tasks.create_task(clock.wait(None, wake))
        earlier = tasks.create_task(clock.wait(1_499, wake))
        clock.move(499)
        await earlier
        assert not waiting.done()
        clock.move(1)
        await waiting
        assert not woken.done()
        wake.set()
    assert clock.now_ms() == 1_500
