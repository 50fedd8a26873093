"""What the publisher keeps, gives up and says while Redis is away, and what it finds when Redis is back."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Publisher
from collector_worker.publish.spool import Spool
from collector_worker.publish.stream_tips import StreamRolledBackError, StreamTakenError
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import Fault
from tests.support.publisher_desk import NOW, NOW_MS, QUICK, Desk, ticker, trade
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.events import Gap
from tickfleet.contract.identity import DataType
from tickfleet.redis.client import RedisPipe

ROOM = 1_000
"""Bytes of memory for three trades."""


def spool(folder: Path, limit: int = 1_000_000, run: str = "1") -> Spool:
    return Spool(folder, "c", run, limit)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def ids(*numbers: int) -> list[str]:
    return [f"{NOW_MS}-{number}" for number in numbers]


# --- the file ---------------------------------------------------------------------------------------------------------


async def test_what_finds_no_room_in_memory_waits_in_the_file_and_comes_in_order(tmp_path: Path) -> None:
    desk = Desk(buffer_bytes=ROOM, spool=spool(tmp_path))
    desk.pipe.working.clear()
    async with desk.sending():
        assert desk.publish_trades(*range(1, 101)) == ids(*range(1, 101))
        assert (desk.buffer.in_memory, desk.buffer.spooled, desk.publisher.buffered) == (3, 97, 100)
        assert not desk.publisher.full
        desk.pipe.working.set()
        await desk.publisher.drained()
        desk.publish_trades(101)
    assert desk.pipe.events("t") == [trade(number) for number in range(1, 102)]
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, beat.gaps) == (101, 0, 0)
    desk.buffer.close()
    assert files(tmp_path) == []


async def test_reading_does_not_pause_while_the_file_is_in_use(tmp_path: Path) -> None:
    """What is not read would be lost at the exchange."""
    desk = Desk(buffer_bytes=100_000, spool=spool(tmp_path))
    desk.pipe.working.clear()
    desk.publish_trades(*range(1, 10))
    assert desk.publisher.paused
    while not desk.buffer.spooled:
        desk.publish_trades(desk.publisher.buffered + 1)
    assert not desk.publisher.paused
    desk.pipe.working.set()
    await desk.send_all()
    desk.buffer.close()


async def test_a_hash_waits_for_the_entries_before_it_also_for_those_in_the_file(tmp_path: Path) -> None:
    desk = Desk(buffer_bytes=ROOM, spool=spool(tmp_path))
    desk.publish_trades(*range(1, 8))
    desk.publisher.set_hash("h", {"stream_id": "7"})
    desk.publish_trades(8, 9)
    await desk.send_all()
    assert [name for attempt in desk.names for name in attempt].index("HSET") in (7, 8, 9)
    assert (desk.pipe.hashes, desk.trade_ids) == ({"h": {"stream_id": "7"}}, ids(*range(1, 10)))
    desk.buffer.close()


async def test_the_first_that_finds_no_room_in_the_file_is_counted_and_marked(tmp_path: Path) -> None:
    desk = Desk(buffer_bytes=ROOM, spool=spool(tmp_path, 1_500))
    desk.pipe.working.clear()
    published = desk.publish_trades(*range(1, 21))
    kept = published.index(None)
    assert published == [*ids(*range(1, kept + 1)), *[None] * (20 - kept)]
    assert (desk.publisher.full, desk.telemetry.beat.entries_dropped, kept > 3) == (True, 20 - kept, True)
    async with desk.sending():
        desk.pipe.working.set()
        await desk.publisher.drained()
        desk.publish_trades(21)
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_id=str(kept), to_id="21")
    assert desk.pipe.events("t") == [*(trade(number) for number in range(1, kept + 1)), gap, trade(21)]
    desk.buffer.close()


# --- a Redis that has lost what it had --------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_a_redis_that_comes_back_without_what_it_had_confirmed(kept: int) -> None:
    desk = Desk()
    desk.publish_trades(1, 2, 3)
    await desk.send_all()
    del desk.pipe.streams["t"][kept:]
    desk.pipe.faults = [Fault.MIDDLE]
    desk.publish_trades(4)
    with capture_logs(), pytest.raises(StreamRolledBackError, match=r"^Redis came back without "):
        await desk.publisher.run()
    assert desk.trade_ids == ids(1, 2, 3)[:kept]
    assert desk.publisher.buffered == 1


async def test_a_redis_that_has_lost_what_an_earlier_run_had_written() -> None:
    """Also of a stream that this run has not written to."""
    desk = Desk(Fault.MIDDLE)
    desk.pipe.streams["t"] = [(entry_id, {}) for entry_id in ids(1, 2)]
    desk.publisher.follow({b"t": ids(3)[0].encode(), b"k": b"0-0"})
    desk.publisher.publish(desk.tickers, ticker(1))
    with capture_logs(), pytest.raises(StreamRolledBackError):
        await desk.publisher.run()
    assert desk.pipe.ids("k") == []


async def test_a_redis_that_comes_back_with_entries_of_somebody_else() -> None:
    """A failover to a server that another run has written to: its ids must not pass for ours."""
    desk = Desk()
    desk.publish_trades(1, 2, 3)
    await desk.send_all()
    desk.pipe.streams["t"].append((ids(9)[0], {}))
    desk.pipe.faults = [Fault.MIDDLE]
    desk.publish_trades(4)
    with capture_logs(), pytest.raises(StreamTakenError, match=r"^Redis came back with entries"):
        await desk.publisher.run()
    assert desk.trade_ids == ids(1, 2, 3, 9)


async def test_ids_that_somebody_else_wrote_meanwhile_do_not_pass_for_ours() -> None:
    """Not even behind a lost answer, where all ids that are refused could be those of the first attempt."""
    desk = Desk()
    desk.publish_trades(1)
    await desk.send_all()
    desk.pipe.faults = [Fault.MIDDLE]
    desk.publish_trades(2)
    desk.pipe.working.clear()
    desk.pipe.entered.clear()
    with capture_logs():
        sending = asyncio.create_task(desk.publisher.run())
        await desk.pipe.entered.wait()
        desk.pipe.working.set()
        desk.pipe.working.clear()  # the first attempt continues, and fails; the second one waits here again
        desk.pipe.entered.clear()
        await desk.pipe.entered.wait()
        desk.pipe.streams["t"].append((ids(9)[0], {}))
        desk.pipe.working.set()
        await asyncio.wait([sending], timeout=PATIENCE_S)
    with pytest.raises(StreamTakenError, match=r"^another process writes"):
        sending.result()


async def test_a_redis_that_comes_back_with_everything() -> None:
    desk = Desk()
    desk.publish_trades(1, 2, 3)
    desk.publisher.publish(desk.tickers, ticker(1))
    await desk.send_all()
    desk.pipe.faults = [Fault.MIDDLE, Fault.AFTER]
    desk.publish_trades(4)
    await desk.send_all()
    assert desk.trade_ids == ids(1, 2, 3, 4)


async def test_a_stream_that_somebody_deleted_while_redis_was_away_begins_anew() -> None:
    desk = Desk()
    desk.publish_trades(1, 2)
    desk.publisher.publish(desk.tickers, ticker(1))
    await desk.send_all()
    del desk.pipe.streams["t"]
    desk.pipe.faults = [Fault.MIDDLE]
    desk.publish_trades(3)
    desk.publisher.publish(desk.tickers, ticker(2))
    await desk.send_all()
    assert (desk.trade_ids, desk.pipe.events("k")) == (ids(3), [ticker(1), ticker(2)])


async def test_a_real_server_that_was_emptied(redis_server: RedisServer) -> None:
    telemetry = Telemetry(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)), NOW)
    pipe = RedisPipe(redis_server.config)
    publisher = Publisher(pipe, telemetry, ManualClock(), pacing=QUICK)
    stream = Stream("{x}:t", DataType.TRADE, 1_000)
    desk = Desk()
    desk.publisher, desk.trades = publisher, stream
    desk.publish_trades(1, 2, 3)
    await desk.send_all()
    redis_server.client.flushall()
    redis_server.client.client_kill_filter(_type="normal", skipme=True)
    desk.publish_trades(4)
    with capture_logs(), pytest.raises(StreamRolledBackError):
        await publisher.run()
    await pipe.close()
    assert redis_server.client.xlen("{x}:t") == 0
