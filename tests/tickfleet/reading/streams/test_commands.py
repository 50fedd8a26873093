import pytest

from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.reading.selection import select
from tickfleet.reading.streams.commands import find
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig

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
