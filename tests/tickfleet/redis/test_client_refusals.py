"""What Redis says no with, in our own words."""

import socket
from pathlib import Path

import pytest

from common.redis.redis_py import sync_client, translated_errors
from tests.support.canned_redis import CannedRedis
from tests.support.redis_server import RedisServer
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command

SECRET = "hunter2"  # noqa: S105 - made up
XADD = pack_command(("XADD", "s", "1-1", "field", "1"))

REFUSALS = {
    "-OOM command not allowed when used memory > 'maxmemory'.": "takes no writes: OOM",
    "-READONLY You can't write against a read only replica.": "takes no writes: READONLY",
    "-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.": (
        "takes no writes: MISCONF"
    ),
    "-NOREPLICAS Not enough good replicas to write.": "takes no writes: NOREPLICAS",
    "-LOADING Redis is loading the dataset in memory": "is still loading its data",
    "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": (
        "is a replica without its master"
    ),
    "-NOPERM User me has no permissions to run the 'xadd' command": (
        "does not give us a right that we need: NOPERM xadd s"
    ),
    "-NOPERM No permissions to access a key": "does not give us a right that we need: NOPERM xadd s",
    "-NOAUTH Authentication required.": "asks for a password",
    "-WRONGPASS invalid username-password pair or user is disabled.": "does not accept our user and password",
    "-DENIED Redis is running in protected mode": (
        "is in protected mode: it lets in nobody from another machine without a password"
    ),
    "-BUSY Redis is busy running a script.": "is busy with somebody's script",
    "-ERR unknown command 'XADD'": (
        "does not know a command that we need: it is older than Redis 6.2, or was told to hide it"
    ),
    f"-ERR {SECRET}": "refuses what we ask: ERR xadd s",
    f"-{SECRET} whatever": "refuses what we ask: ERR xadd s",
}


@pytest.mark.parametrize(("refusal", "message"), REFUSALS.items(), ids=[text[1:15] for text in REFUSALS])
async def test_a_refusal_in_our_own_words(refusal: str, message: str) -> None:
    answers = {"XADD": f"{refusal}\r\n".encode(), "EXEC": b"-EXECABORT Transaction discarded.\r\n"}
    async with CannedRedis(answers) as server:
        pipe = RedisPipe(RedisConfig(url=server.url))
        await pipe.connect()
        with pytest.raises(RedisUnreachableError) as caught:
            await pipe.transaction([XADD])
        await pipe.close()
    address = server.url.removeprefix("redis://").removesuffix("/0")
    assert str(caught.value) == f"Redis at {address} {message}"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*1\r\n!\r\n"])
async def test_somebody_else_who_answers_there(garbage: bytes) -> None:
    async with CannedRedis({"MULTI": garbage}) as server:
        pipe = RedisPipe(RedisConfig(url=server.url))
        await pipe.connect()
        with pytest.raises(RedisUnreachableError, match=r"does not work for us as it is$"):
            await pipe.transaction([XADD])
        await pipe.close()


LOGIN_REFUSALS = {
    "-ERR max number of clients reached": "has as many connections as it allows (maxclients)",
    "-ERR AUTH <password> called without any password configured for the default user. Are you sure your"
    " configuration is correct?": "asks for no password, and we have one for it",
    "-ERR Client sent AUTH, but no password is set": "asks for no password, and we have one for it",
    "-ERR invalid password": "does not accept our user and password",
    "-ERR wrong number of arguments for 'auth' command": (
        "knows no users, only a password: it is older than Redis 6.2"
    ),
    "-ERR whatever": "refuses what we ask: ERR auth",
    "-WRONGPASS invalid username-password pair or user is disabled.": "does not accept our user and password",
    "-NOPERM User me has no permissions to run the 'auth' command": (
        "does not give us a right that we need: NOPERM auth"
    ),
    "-LOADING Redis is loading the dataset in memory": "is still loading its data",
}


@pytest.mark.parametrize(("refusal", "message"), LOGIN_REFUSALS.items())
async def test_a_refused_login_is_told_by_its_cause(refusal: str, message: str) -> None:
    async with CannedRedis({"AUTH": f"{refusal}\r\n".encode()}) as server:
        pipe = RedisPipe(RedisConfig(url=server.url.replace("//", "//me@"), password=SECRET))
        with pytest.raises(RedisUnreachableError) as caught:
            await pipe.connect()
    assert str(caught.value) == f"Redis at 127.0.0.1:{server.port} {message}"


@pytest.mark.parametrize("password", [None, SECRET], ids=["no password", "a password"])
async def test_a_server_at_maxclients_is_distinct_from_a_refused_password(tmp_path: Path, password: str | None) -> None:
    server = RedisServer(tmp_path, password=password or "")
    server.start()
    taken = list[socket.socket]()
    try:
        taken += [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        server.client.config_set("maxclients", "1")
        config = RedisConfig(url=server.url, password=password)
        pipe, message = RedisPipe(config), "has as many connections as it allows (maxclients)"
        with pytest.raises(RedisUnreachableError) as caught:
            await pipe.execute([XADD, XADD])
        assert str(caught.value) == f"Redis at 127.0.0.1:{server.port} {message}"
        with pytest.raises(RedisUnreachableError) as caught, translated_errors(config):
            sync_client(config).get("x")
        assert str(caught.value) == f"Redis at 127.0.0.1:{server.port} {message}"
    finally:
        for each in taken:
            each.close()
        server.kill()
