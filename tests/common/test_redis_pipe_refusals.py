"""What Redis says no with, in our own words."""

import pytest

from common.config import RedisConfig
from common.errors import RedisUnreachableError
from common.redis_pipe import RedisPipe
from common.resp import pack_command
from tests.support.canned_redis import CannedRedis

SECRET = "hunter2"  # noqa: S105 - made up
XADD = pack_command(("XADD", "s", "1-1", "field", "1"))

REFUSALS = {
    "-OOM command not allowed when used memory > 'maxmemory'.": "is out of memory",
    "-LOADING Redis is loading the dataset in memory": "is still loading its data",
    "-READONLY You can't write against a read only replica.": "is a read-only replica",
    "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": (
        "is a replica without its master"
    ),
    "-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.": (
        "cannot save to its disk and takes no writes"
    ),
    "-NOPERM User me has no permissions to run the 'xadd' command": "does not give us the rights we need",
    "-NOAUTH Authentication required.": "refuses our password or rights",
    "-BUSY Redis is busy running a script.": "refuses our writes",
    "-ERR whatever": "refuses our writes",
}


@pytest.mark.parametrize(("refusal", "words"), REFUSALS.items(), ids=[text.split()[0][1:] for text in REFUSALS])
async def test_a_refusal_in_our_own_words(refusal: str, words: str) -> None:
    answers = {"XADD": f"{refusal}\r\n".encode(), "EXEC": b"-EXECABORT Transaction discarded.\r\n"}
    async with CannedRedis(answers) as server:
        pipe = RedisPipe(RedisConfig(url=server.url))
        await pipe.connect()
        with pytest.raises(RedisUnreachableError) as caught:
            await pipe.transaction([XADD])
        await pipe.close()
    address = server.url.removeprefix("redis://").removesuffix("/0")
    assert str(caught.value) == f"Redis at {address} {words}"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*1\r\n!\r\n"])
async def test_somebody_else_who_answers_there(garbage: bytes) -> None:
    async with CannedRedis({"MULTI": garbage}) as server:
        pipe = RedisPipe(RedisConfig(url=server.url))
        await pipe.connect()
        with pytest.raises(RedisUnreachableError, match=r"does not work for us as it stands$"):
            await pipe.transaction([XADD])
        await pipe.close()
