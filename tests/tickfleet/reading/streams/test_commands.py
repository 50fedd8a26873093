import pytest

from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.selection import select
from tickfleet.reading.streams.commands import accepted, find, xinfo
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command

SECRET = "hunter2"  # noqa: S105 - made up
IDS = ("okx:BTC-USDT", "okx:BTC-USD_UM-PERP", "binance:币-USDT", "binance:币安-USDT", "binance:AB-USDT")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("binance:?-USDT", {"binance:币-USDT"}),
        ("binance:??-USDT", {"binance:币安-USDT", "binance:AB-USDT"}),
        ("binance:[币A]?-USDT", {"binance:币安-USDT", "binance:AB-USDT"}),
        ("*:[^A币]*", {"okx:BTC-USDT", "okx:BTC-USD_UM-PERP"}),
        ("*:币*", {"binance:币-USDT", "binance:币安-USDT"}),
        ("okx:*_UM-*", {"okx:BTC-USD_UM-PERP"}),
    ],
)
async def test_a_sign_of_a_pattern_is_one_letter_of_any_script(
    redis_server: RedisServer, redis_config: RedisConfig, pattern: str, found: set[str]
) -> None:
    for name in IDS:
        redis_server.client.xadd(keys.stream(CollectorId.parse(name), DataType.TRADE), {"type": "trade"})
    pipe = RedisPipe(redis_config, text=True)
    await pipe.connect()
    try:
        assert {str(name.collector) for name in await find(pipe, select(pattern, "trade").patterns)} == found
    finally:
        await pipe.close()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (xinfo("s"), "xinfo stream s"),
        (pack_command(("XREAD", "STREAMS", "s", "0")), "xread s"),
        (pack_command(("HGETALL", "h")), "hgetall h"),
    ],
)
@pytest.mark.parametrize("rights", ["-@all ~*", "+@all"])
async def test_a_right_that_a_reader_misses_is_told_with_its_key(
    redis_server: RedisServer, command: bytes, named: str, rights: str
) -> None:
    redis_server.client.execute_command("ACL", "SETUSER", "few", "reset", "on", f">{SECRET}", *rights.split())
    pipe = RedisPipe(RedisConfig(url=redis_server.url.replace("//", "//few@"), password=SECRET), text=True)
    await pipe.connect()
    try:
        (reply,) = await pipe.execute([command])
    finally:
        await pipe.close()
        redis_server.client.execute_command("ACL", "DELUSER", "few")
    with pytest.raises(RedisUnreachableError) as caught:
        accepted(reply)
    assert str(caught.value) == f"Redis does not give us a right that we need: NOPERM {named}"
