"""Outcomes that nobody waits for: they are there when somebody asks, or come by themselves."""

import asyncio
import os
import signal

from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import pack_command


async def test_the_outcome_of_a_deferred_one_is_there_when_somebody_asks_for_it(redis_server: RedisServer) -> None:
    pipe = RedisPipe(redis_server.config)
    await pipe.connect()
    outcomes: list[object] = []
    assert pipe.try_send([pack_command(("INCR", "n"))], outcomes.append, deferred=True)
    await until(lambda: redis_server.client.get("n") == "1", "it is carried out")
    assert outcomes == [], "nobody has looked"
    pipe.read_now()
    assert outcomes == [[1]]
    pipe.read_now()
    assert outcomes == [[1]], "there is nothing more to read at once for"
    await pipe.close()


async def test_the_outcome_of_a_deferred_one_comes_by_itself(redis_server: RedisServer) -> None:
    pipe = RedisPipe(redis_server.config)
    await pipe.connect()
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    assert pipe.try_send([pack_command(("INCR", "n"))], outcome.set_result, deferred=True)
    assert await asyncio.wait_for(outcome, PATIENCE_S) == [1]
    assert await pipe.execute([pack_command(("GET", "n"))]) == [b"1"]
    await pipe.close()


async def test_who_reads_now_before_the_answer_is_there_gets_it_later(own_redis: RedisServer) -> None:
    pipe = RedisPipe(own_redis.config)
    await pipe.connect()
    os.kill(own_redis.pid, signal.SIGSTOP)
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    assert pipe.try_send([pack_command(("INCR", "n"))], outcome.set_result, deferred=True)
    pipe.read_now()
    assert not outcome.done()
    os.kill(own_redis.pid, signal.SIGCONT)
    assert await asyncio.wait_for(outcome, PATIENCE_S) == [1]
    await pipe.close()


async def test_a_connection_that_breaks_under_a_deferred_one_is_told(own_redis: RedisServer) -> None:
    pipe = RedisPipe(own_redis.config)
    await pipe.connect()
    os.kill(own_redis.pid, signal.SIGSTOP)
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    assert pipe.try_send([pack_command(("INCR", "n"))], outcome.set_result, deferred=True)
    own_redis.kill()
    gone = await asyncio.wait_for(outcome, PATIENCE_S)
    message = f"Redis at 127.0.0.1:{own_redis.port} cannot be reached: it broke off the connection ("
    assert str(gone).startswith(message)
    await pipe.close()
