"""One writer: what a transaction does once a newer run has taken the next number."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from common.errors import RedisUnreachableError, SupersededError
from common.redis_client import RedisPipe, Reply, pack_command
from tests.support.redis_server import RedisServer

FENCE = "md:v1:{okx:BTC-USDT}:writer"
STREAM = "md:v1:{okx:BTC-USDT}:trade"
_EXEC = pack_command(("EXEC",))


class Fenced(RedisPipe):
    """Counts its round trips; ``between`` is called where another client comes in behind EXEC."""

    trips = 0
    between: Callable[[], object] | None = None

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        self.trips += 1
        if self.between is None or _EXEC not in commands or commands[-1] == _EXEC:
            return await super().execute(commands)
        cut = commands.index(_EXEC) + 1
        head = await super().execute(commands[:cut])
        between, self.between = self.between, None
        between()
        return head + await super().execute(commands[cut:])

    async def add(self, *ids: int) -> list[Reply]:
        """A transaction that adds entries."""
        return await self.transaction([pack_command(("XADD", STREAM, f"{each}-0", "n", each)) for each in ids])


@pytest.fixture
async def run(redis_server: RedisServer) -> AsyncIterator[Fenced]:
    """A run that has taken the number 1."""
    pipe = await another(redis_server)
    yield pipe
    await pipe.close()


async def another(server: RedisServer) -> Fenced:
    """A run that takes the next number."""
    pipe = Fenced(server.config)
    await pipe.connect()
    (number,) = await pipe.execute([pack_command(("INCR", FENCE))])
    assert isinstance(number, int)
    pipe.fence(FENCE, number)
    pipe.trips = 0
    return pipe


def held(server: RedisServer) -> list[str]:
    return [entry_id.removesuffix("-0") for entry_id, _ in server.client.xrange(STREAM)]


async def test_it_costs_one_look_at_the_beginning_and_then_nothing(run: Fenced, redis_server: RedisServer) -> None:
    for number in range(1, 6):
        assert await run.add(number) == [f"{number}-0".encode()]
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
    newer = await another(redis_server)
    for _ in range(2):
        with pytest.raises(SupersededError, match=r"^a newer run of this collector has begun$"):
            await run.add(2)
    await newer.add(3)
    await newer.close()
    assert (held(redis_server), redis_server.client.get(FENCE)) == (["1", "3"], "2")


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
    forget(redis_server)
    await run.add(2)
    assert held(redis_server)[-1] == "2"
    assert redis_server.client.get(FENCE) == "1"
    newer = await another(redis_server)
    await newer.close()
    with pytest.raises(SupersededError):
        await run.add(3)
    assert held(redis_server)[-1] == "2"


async def test_the_number_written_again_changes_nothing(run: Fenced, redis_server: RedisServer) -> None:
    await run.add(1)
    redis_server.client.set(FENCE, "1")
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
    own_redis.client.delete(FENCE)
    own_redis.client.config_set("maxmemory", "1mb")
    with pytest.raises(RedisUnreachableError) as caught:
        await pipe.add(2)
    assert str(caught.value) == f"Redis at 127.0.0.1:{own_redis.port} is out of memory"
    own_redis.client.config_set("maxmemory", "0")
    await pipe.add(2)
    await pipe.close()
    assert (held(own_redis), own_redis.client.get(FENCE)) == (["1", "2"], "1")


async def test_of_two_that_write_at_once_the_older_one_stops(run: Fenced, redis_server: RedisServer) -> None:
    """Whatever the moment: behind the first entry of the newer run stands none of the older one."""
    begun = asyncio.Event()

    async def write(pipe: Fenced, ids: range) -> None:
        for number in ids:
            await pipe.add(number)
            if number == 20:
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
