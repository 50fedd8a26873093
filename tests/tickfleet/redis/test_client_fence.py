"""One writer: what a transaction does once a newer run has taken the next number."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.errors import RedisUnreachableError, SupersededError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import Reply, pack_command

FENCE = "md:v1:{okx:BTC-USDT}:writer"
STREAM = "md:v1:{okx:BTC-USDT}:trade"
_EXEC = pack_command(("EXEC",))


class Fenced(RedisPipe):
    """Counts its round trips; ``between`` is called where another client comes in behind EXEC."""

    trips = 0
    between: Callable[[], object] | None = None

    async def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        self.trips += 1
        if self.between is None or _EXEC not in commands or commands[-1] == _EXEC:
            return await super().ask(commands)
        cut = commands.index(_EXEC) + 1
        head = await super().ask(commands[:cut])
        between, self.between = self.between, None
        between()
        return head + await super().ask(commands[cut:])

    async def add(self, *ids: int) -> list[Reply]:
        """A transaction that adds entries."""
        return await self.transaction([pack_command(("XADD", STREAM, f"{each}-0", "n", each)) for each in ids])


@pytest.fixture
async def run(redis_server: RedisServer) -> AsyncIterator[Fenced]:
    """A run that has taken a number."""
    pipe = await another(redis_server)
    yield pipe
    await pipe.close()


async def another(server: RedisServer) -> Fenced:
    """A run that takes the next number."""
    pipe = Fenced(server.config)
    await pipe.connect()
    await pipe.take_fence(FENCE)
    pipe.trips = 0
    return pipe


def number(server: RedisServer) -> int:
    return int(server.client.get(FENCE))


def now_ms(server: RedisServer) -> int:
    seconds, us = server.client.time()
    return int(seconds) * 1000 + int(us) // 1000


async def fenced_off(pipe: Fenced) -> None:
    """See that it cannot write any more."""
    for _ in range(2):
        with pytest.raises(SupersededError, match=r"^a newer run of this collector has begun$"):
            await pipe.add(99)


def held(server: RedisServer) -> list[str]:
    return [entry_id.removesuffix("-0") for entry_id, _ in server.client.xrange(STREAM)]


# --- the number -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [None, "", "5", "somebody's", "1" * 5_000, "-7"])
async def test_a_number_is_a_time_of_redis(redis_server: RedisServer, found: str | None) -> None:
    """Also behind the small numbers of a collector that counted from 1 on."""
    if found is not None:
        redis_server.client.set(FENCE, found)
    before = now_ms(redis_server)
    pipe = Fenced(redis_server.config)
    await pipe.connect()
    taken = await pipe.take_fence(FENCE)
    await pipe.close()
    assert before <= taken == number(redis_server) <= now_ms(redis_server)


async def test_a_number_is_above_the_one_before_it_whatever_the_clock_says(redis_server: RedisServer) -> None:
    ahead = now_ms(redis_server) + 3_600_000
    redis_server.client.set(FENCE, ahead)
    pipes = [await another(redis_server) for _ in range(3)]
    assert number(redis_server) == ahead + 3
    for pipe in pipes:
        await pipe.close()


async def test_of_runs_that_begin_at_once_each_gets_a_number_of_its_own(redis_server: RedisServer) -> None:
    pipes = [Fenced(redis_server.config) for _ in range(8)]
    for pipe in pipes:
        await pipe.connect()
    numbers = await asyncio.gather(*(pipe.take_fence(FENCE) for pipe in pipes))
    for pipe in pipes:
        await pipe.close()
    assert (len(set(numbers)), number(redis_server)) == (8, max(numbers))


@pytest.mark.parametrize("again", [False, True])
async def test_a_run_that_takes_another_number_goes_on_with_that(redis_server: RedisServer, *, again: bool) -> None:
    """As after an attempt to take over that failed half way."""
    pipe = await another(redis_server)
    if again:
        await pipe.take_fence(FENCE)
    await pipe.add(1)
    await pipe.close()
    assert held(redis_server) == ["1"]


async def test_a_number_cannot_be_taken_where_nothing_can_be_written(own_redis: RedisServer) -> None:
    own_redis.client.config_set("maxmemory", "1mb")
    pipe = Fenced(own_redis.config)
    await pipe.connect()
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.take_fence(FENCE)
    await pipe.close()
    assert str(caught.value) == f"Redis at 127.0.0.1:{own_redis.port} takes no writes: OOM"


async def test_a_number_that_may_not_be_read_is_not_overwritten(own_redis: RedisServer) -> None:
    own_redis.client.set(FENCE, "7")
    own_redis.client.execute_command("ACL", "SETUSER", "default", "-get")
    pipe = Fenced(own_redis.config)
    await pipe.connect()
    with pytest.raises(RedisUnreachableError, match="does not give us a right that we need: NOPERM"):
        await pipe.take_fence(FENCE)
    await pipe.close()
    own_redis.client.execute_command("ACL", "SETUSER", "default", "+get")
    assert own_redis.client.get(FENCE) == "7"


async def test_a_redis_restored_to_the_number_of_an_old_run(run: Fenced, redis_server: RedisServer) -> None:
    """The old one hung; to it nothing seems to have changed, until the newer one writes."""
    await run.add(1)
    old = number(redis_server)
    newer = await another(redis_server)
    await newer.add(2)
    newest = number(redis_server)

    redis_server.client.set(FENCE, old)
    await run.add(3)  # one transaction at most, and only of ids that are not there
    await newer.add(4)

    assert number(redis_server) == newest
    await fenced_off(run)
    await newer.add(5)
    await newer.close()
    assert held(redis_server) == ["1", "2", "3", "4", "5"]


async def test_a_run_behind_a_restored_number_is_above_all_earlier_ones(run: Fenced, redis_server: RedisServer) -> None:
    first = number(redis_server)
    second = await another(redis_server)
    taken = number(redis_server)
    redis_server.client.set(FENCE, first)
    await until(lambda: now_ms(redis_server) > taken, "Redis' clock is beyond it: a restore takes longer")
    third = await another(redis_server)
    await third.add(1)
    await fenced_off(run)
    await fenced_off(second)
    for pipe in (second, third):
        await pipe.close()
    assert held(redis_server) == ["1"]


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_it_costs_one_look_at_the_beginning_and_then_nothing(run: Fenced, redis_server: RedisServer) -> None:
    for each in range(1, 6):
        assert await run.add(each) == [f"{each}-0".encode()]
    assert (held(redis_server), run.trips) == (["1", "2", "3", "4", "5"], 6)


async def test_without_a_fence_nothing_is_watched(redis_server: RedisServer) -> None:
    pipe = Fenced(redis_server.config)
    await pipe.connect()
    await pipe.add(1)
    redis_server.client.incr(FENCE)
    await pipe.add(2)
    await pipe.close()
    assert (held(redis_server), pipe.trips) == (["1", "2"], 2)


async def test_a_newer_run_ends_the_one_before(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    before = number(redis_server)
    newer = await another(redis_server)
    await fenced_off(run)
    await newer.add(3)
    await newer.close()
    assert held(redis_server) == ["1", "3"]
    assert number(redis_server) > before


async def test_a_run_that_never_wrote_is_ended_as_well(run: Fenced, redis_server: RedisServer) -> None:
    await (await another(redis_server)).close()
    with pytest.raises(SupersededError):
        await run.add(1)
    assert held(redis_server) == []


async def test_a_run_that_comes_back_with_a_new_connection_is_ended(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    await run.close()
    await (await another(redis_server)).close()
    await run.connect()
    with pytest.raises(SupersededError):
        await run.add(2)
    assert held(redis_server) == ["1"]


async def test_a_newer_run_that_comes_between_a_transaction_and_the_watch(
    run: Fenced, redis_server: RedisServer
) -> None:
    """A server reads a long batch in parts, and serves others in between."""
    await run.add(1)
    run.between = lambda: redis_server.client.incr(FENCE)
    await run.add(2)
    with pytest.raises(SupersededError):
        await run.add(3)
    assert held(redis_server) == ["1", "2"]


FORGOTTEN: dict[str, Callable[[RedisServer], object]] = {
    "deleted": lambda server: server.client.delete(FENCE),
    "lowered": lambda server: server.client.set(FENCE, "0"),
    "something else": lambda server: server.client.set(FENCE, "somebody's"),
    "of another type": lambda server: (server.client.delete(FENCE), server.client.lpush(FENCE, "x")),
    "all is gone": lambda server: server.client.flushall(),
}


@pytest.mark.parametrize("forget", FORGOTTEN.values(), ids=FORGOTTEN)
async def test_a_number_that_redis_has_forgotten_is_restored(
    run: Fenced, redis_server: RedisServer, forget: Callable[[RedisServer], object]
) -> None:
    await run.add(1)
    ours = number(redis_server)
    forget(redis_server)
    await run.add(2)
    assert held(redis_server)[-1] == "2"
    assert number(redis_server) == ours
    await (await another(redis_server)).close()
    await fenced_off(run)
    assert held(redis_server)[-1] == "2"


async def test_the_number_written_again_changes_nothing(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    redis_server.client.set(FENCE, number(redis_server))
    await run.add(2)
    assert held(redis_server) == ["1", "2"]


async def test_a_refused_transaction_leaves_the_fence_in_force(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    with pytest.raises(RedisUnreachableError):
        await run.transaction([pack_command(("XADD", STREAM))])
    await run.add(2)
    await (await another(redis_server)).close()
    with pytest.raises(SupersededError):
        await run.add(3)
    assert held(redis_server) == ["1", "2"]


async def test_a_number_that_cannot_be_restored_now(own_redis: RedisServer) -> None:
    pipe = await another(own_redis)
    await pipe.add(1)
    ours = number(own_redis)
    own_redis.client.delete(FENCE)
    own_redis.client.config_set("maxmemory", "1mb")
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.add(2)
    assert str(caught.value) == f"Redis at 127.0.0.1:{own_redis.port} takes no writes: OOM"
    own_redis.client.config_set("maxmemory", "0")
    await pipe.add(2)
    await pipe.close()
    assert (held(own_redis), number(own_redis)) == (["1", "2"], ours)


async def test_of_two_that_write_at_once_the_older_one_stops(run: Fenced, redis_server: RedisServer) -> None:
    """Whatever the moment: behind the first entry of the newer run is none of the older one."""
    begun = asyncio.Event()

    async def write(pipe: Fenced, ids: range) -> None:
        for each in ids:
            await pipe.add(each)
            if each == 20:
                begun.set()

    async def take_over() -> None:
        await begun.wait()
        newer = await another(redis_server)
        await write(newer, range(10_001, 10_021))
        await newer.close()

    older = asyncio.create_task(write(run, range(1, 10_000)))
    await take_over()
    with pytest.raises(SupersededError):
        await older
    ids = [int(each) for each in held(redis_server)]
    assert ids == [*range(1, len(ids) - 19), *range(10_001, 10_021)]


# --- a transaction that is begun --------------------------------------------------------------------------------------


async def begun(pipe: RedisPipe, *ids: int) -> list[Reply] | RedisUnreachableError | None:
    """What became of a transaction that adds entries."""
    outcome: asyncio.Future[list[Reply] | RedisUnreachableError | None] = asyncio.get_running_loop().create_future()
    commands = [pack_command(("XADD", STREAM, f"{each}-0", "n", each)) for each in ids]
    assert pipe.try_send(commands, outcome.set_result)
    assert not pipe.try_send([], outcome.set_result), "the answer to the first one has not come yet"
    return await asyncio.wait_for(outcome, PATIENCE_S)


async def test_a_transaction_that_is_begun_is_carried_out(run: Fenced, redis_server: RedisServer) -> None:
    assert not run.try_send([], print), "nobody has looked yet whether the fence is still ours"
    await run.add(1)
    assert await begun(run, 2, 3) == [b"2-0", b"3-0"]
    assert await begun(run, 4) == [b"4-0"]
    assert held(redis_server) == ["1", "2", "3", "4"]


async def test_a_newer_run_is_noticed_by_one_that_is_begun(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    newer = await another(redis_server)
    assert await begun(run, 2) is None
    assert not run.try_send([], print)
    await fenced_off(run)
    await newer.close()
    assert held(redis_server) == ["1"]


async def test_a_refusal_and_a_connection_that_breaks_are_told(own_redis: RedisServer) -> None:
    pipe = RedisPipe(own_redis.config)
    assert not pipe.try_send([], print), "there is no connection"
    await pipe.connect()
    own_redis.client.replicaof("127.0.0.1", free_port())
    assert str(await begun(pipe, 1)) == f"Redis at 127.0.0.1:{own_redis.port} takes no writes: READONLY"
    own_redis.client.replicaof("NO", "ONE")
    assert await begun(pipe, 1) == [b"1-0"]

    os.kill(own_redis.pid, signal.SIGSTOP)  # so that the question is asked before the end is known
    outcome = asyncio.create_task(begun(pipe, 2))
    await asyncio.sleep(0)
    own_redis.kill()
    gone = f"Redis at 127.0.0.1:{own_redis.port} cannot be reached: it broke off the connection ("
    assert str(await outcome).startswith(gone)
    assert not pipe.try_send([], print)
    await pipe.close()
