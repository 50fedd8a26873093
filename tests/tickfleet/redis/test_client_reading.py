import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import Reply, is_group_there, is_no_group, is_no_stream, is_wrong_type, pack_command


@pytest.fixture
async def pipe(redis_config: RedisConfig) -> AsyncIterator[RedisPipe]:
    """A connection to an empty Redis, for a reader."""
    connection = RedisPipe(redis_config, text=True)
    await connection.connect()
    yield connection
    await connection.close()


async def ask(pipe: RedisPipe, *parts: str | int | bytes) -> Reply:
    (reply,) = await pipe.execute([pack_command(parts)])
    return reply


async def test_replies_are_text_also_where_a_value_is_none(pipe: RedisPipe) -> None:
    assert await ask(pipe, "XADD", "s", "1-1", "a", b"\xffb", "c", "\u00e9") == "1-1"
    assert await ask(pipe, "XRANGE", "s", "-", "+") == [["1-1", ["a", "\ufffdb", "c", "\u00e9"]]]
    assert await pipe.transaction([pack_command(("XLEN", "s")), pack_command(("GET", "none"))]) == [1, None]


async def test_the_refusals_of_groups_are_told_apart(pipe: RedisPipe) -> None:
    no_key = await ask(pipe, "XGROUP", "CREATE", "s", "g", "0")
    no_group_without_key = await ask(pipe, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    await ask(pipe, "XADD", "s", "1-1", "a", "b")
    no_group = await ask(pipe, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    no_group_pending = await ask(pipe, "XPENDING", "s", "g")
    made = await ask(pipe, "XGROUP", "CREATE", "s", "g", "0")
    again = await ask(pipe, "XGROUP", "CREATE", "s", "g", "0")
    await ask(pipe, "SET", "other", "1")
    wrong_type = await ask(pipe, "XGROUP", "CREATE", "other", "g", "0")
    replies = [no_key, no_group_without_key, no_group, no_group_pending, made, again, wrong_type]
    assert [is_no_stream(reply) for reply in replies] == [True, False, False, False, False, False, True]
    assert [is_no_group(reply) for reply in replies] == [False, True, True, True, False, False, False]
    assert [is_group_there(reply) for reply in replies] == [False, False, False, False, False, True, False]
    assert is_wrong_type(wrong_type)


@pytest.mark.parametrize("destroy", [("XGROUP", "DESTROY", "s", "g"), ("DEL", "s")])
async def test_a_group_that_goes_while_somebody_waits_is_noticed(
    pipe: RedisPipe, redis_server: RedisServer, destroy: tuple[str, ...]
) -> None:
    client = redis_server.client
    client.xgroup_create("s", "g", mkstream=True)
    waiting = asyncio.ensure_future(ask(pipe, *["XREADGROUP", "GROUP", "g", "c", "BLOCK", "5000", "STREAMS", "s", ">"]))
    await until(lambda: client.info("clients")["blocked_clients"], "somebody waits")
    client.execute_command(*destroy)
    assert is_no_group(await waiting)
