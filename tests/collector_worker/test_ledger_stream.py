import pytest

from collector_worker.ledger_stream import LedgerStream
from collector_worker.publisher import Publisher
from collector_worker.telemetry import Telemetry
from common import keys
from common.config import ExchangeCollectorConfig
from common.coverage import Kind, LedgerEntry, decode
from common.identity import DataType
from common.redis_client import RedisPipe
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer

CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,))
KEY = "md:v1:{okx:BTC-USDT}:coverage"


def entry(number: int, at: int) -> LedgerEntry:
    return LedgerEntry(kind=Kind.COMPLETE, at=at, run_id="run", data_type=DataType.TRADE, to_ts=number)


async def write(server: RedisServer, clock: ManualClock, *entries: LedgerEntry) -> None:
    """One run: restore, append, publish."""
    pipe = RedisPipe(server.config)
    publisher = Publisher(pipe, Telemetry(CONFIG, clock.now_ns()), clock)
    stream = LedgerStream(KEY, publisher)
    await pipe.connect()
    try:
        await stream.restore(pipe)
        for each in entries:
            stream.append(each)
        await publisher.publish_left_over()
    finally:
        await pipe.close()


def held(server: RedisServer) -> list[LedgerEntry]:
    return [decode(fields) for _, fields in server.client.xrange(KEY)]


def ids(server: RedisServer) -> list[str]:
    return [entry_id for entry_id, _ in server.client.xrange(KEY)]


async def test_entries_stand_in_their_stream_with_rising_ids(redis_server: RedisServer, clock: ManualClock) -> None:
    now = clock.now_ns()
    entries = [entry(1, now), entry(2, now), entry(3, now - 5_000_000), entry(4, now + 7_000_000)]
    await write(redis_server, clock, *entries)
    ms = now // 1_000_000
    assert held(redis_server) == entries
    assert ids(redis_server) == [f"{ms}-0", f"{ms}-1", f"{ms}-2", f"{ms + 7}-0"]
    assert keys.coverage(CONFIG.id) == KEY


@pytest.mark.parametrize("earlier", ["5-7", "99999999999999-3"], ids=["long ago", "by a clock that was ahead"])
async def test_a_new_run_goes_on_behind_the_last_entry(
    redis_server: RedisServer, clock: ManualClock, earlier: str
) -> None:
    redis_server.client.xadd(KEY, {"kind": "complete"}, id=earlier)
    await write(redis_server, clock, entry(1, clock.now_ns()))
    expected = f"{clock.now_ns() // 1_000_000}-0" if earlier == "5-7" else "99999999999999-4"
    assert ids(redis_server) == [earlier, expected]


async def test_a_key_of_another_type_stops_nothing(redis_server: RedisServer, clock: ManualClock) -> None:
    redis_server.client.set(KEY, "somebody's")
    await write(redis_server, clock, entry(1, clock.now_ns()))
    assert redis_server.client.get(KEY) == "somebody's"


async def test_it_is_bounded(redis_server: RedisServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "COVERAGE_MAXLEN", 100)
    await write(redis_server, clock, *(entry(number, clock.now_ns()) for number in range(1_000)))
    kept = held(redis_server)
    assert 100 <= len(kept) < 400
    assert kept[-1] == entry(999, clock.now_ns())
