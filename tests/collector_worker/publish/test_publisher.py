import asyncio
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.publisher import Pacing
from collector_worker.publish.spool import Spool, SpoolLostError
from collector_worker.publish.stream_tips import StreamTakenError
from tests.support.fakes import Fault
from tests.support.publisher_desk import NOW, NOW_MS, QUICK, Desk, ticker, trade
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract.events import Gap
from tickfleet.contract.health import WorkerState


async def test_batches_are_bounded_and_in_order() -> None:
    desk = Desk()
    ids = desk.publish_trades(*range(1, 8))
    await desk.send_all()
    assert [len(attempt) for attempt in desk.pipe.attempts] == [3, 3, 1]
    assert desk.trade_ids == ids == [f"{NOW_MS}-{number}" for number in range(1, 8)]
    assert desk.pipe.events("t") == [trade(number) for number in range(1, 8)]
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, desk.publisher.buffered) == (7, 0, 0)


async def test_batches_are_bounded_in_bytes() -> None:
    desk = Desk(pacing=Pacing(batch_bytes=400))
    desk.publish_trades(*range(1, 6))
    await desk.send_all()
    sizes = [len(attempt) for attempt in desk.pipe.attempts]
    assert sum(sizes) == 5
    assert max(sizes) == 2


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.MIDDLE, Fault.LATE, Fault.REFUSED])
async def test_a_failed_attempt_is_repeated_as_it_was(fault: Fault) -> None:
    desk = Desk(fault, fault)
    ids = desk.publish_trades(1, 2, 3, 4)
    with capture_logs() as logs:
        async with desk.sending():
            pass
    assert desk.trade_ids == ids
    attempts = desk.pipe.attempts
    repeated = attempts[:-1]  # the last is the rest, after all is well again
    assert all(attempt == repeated[0] for attempt in repeated)
    assert len(repeated) == (1 if fault is Fault.BEFORE else 3)
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, beat.redis_reconnects) == (4, 0, 1)
    assert [line["event"] for line in logs] == ["redis_lost", "redis_regained"]


async def test_a_transaction_done_before_its_answer_was_lost_is_not_sent_again() -> None:
    desk = Desk(Fault.AFTER, Fault.AFTER)
    ids = desk.publish_trades(1, 2, 3, 4)
    desk.publisher.set_hash("h", {"stream_id": "4"})
    await desk.send_all()
    assert (desk.trade_ids, desk.names) == (ids, [["XADD"] * 3, ["XADD", "HSET"]])
    assert desk.pipe.hashes == {"h": {"stream_id": "4"}}
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped, beat.redis_reconnects) == (4, 0, 2)


async def test_an_entry_deleted_before_its_lost_answer_does_not_return() -> None:
    """Whether it was in the stream cannot be told, so that stream is left to the next run. The other one continues."""
    desk = Desk(Fault.AFTER, *[Fault.BEFORE] * 100_000)
    desk.publish_trades(1)
    desk.publisher.publish(desk.tickers, ticker(1))
    with capture_logs():
        async with desk.sending():
            await until(lambda: desk.telemetry.beat.last_error)
            del desk.pipe.streams["t"]
            desk.pipe.faults.clear()
            desk.publish_trades(2)
            desk.publisher.publish(desk.tickers, ticker(2))
    assert (desk.trade_ids, desk.pipe.events("k")) == ([], [ticker(1), ticker(2)])


async def test_trouble_degrades_the_state_until_redis_is_back() -> None:
    desk = Desk(Fault.REFUSED)
    desk.telemetry.feed_is("public", WorkerState.RUNNING, NOW)
    desk.telemetry.heard("public")
    desk.pipe.working.clear()
    desk.publish_trades(1)
    with capture_logs():
        async with desk.sending():
            desk.pipe.working.set()
    assert desk.telemetry.beat.last_error == "Redis at nowhere takes no writes: OOM"
    assert desk.telemetry.snapshot(NOW, 0.0).state is WorkerState.RUNNING


async def test_ids_that_nobody_of_us_wrote_mean_another_writer() -> None:
    desk = Desk()
    desk.pipe.streams["t"] = [(f"{NOW_MS}-9", {})]
    desk.publish_trades(1)
    with pytest.raises(StreamTakenError):
        await desk.publisher.run()
    assert desk.trade_ids == [f"{NOW_MS}-9"]


async def test_another_writer_is_noticed_behind_a_lost_connection_too() -> None:
    """Ours are either all there or none: a transaction is not carried out in parts."""
    desk = Desk(Fault.MIDDLE)
    desk.pipe.streams["t"] = [(f"{NOW_MS}-9", {})]
    desk.publish_trades(1)
    desk.publisher.publish(desk.tickers, ticker(1))
    with capture_logs(), pytest.raises(StreamTakenError):
        await desk.publisher.run()


async def test_a_key_of_another_type_loses_its_entries_alone() -> None:
    desk = Desk()
    desk.pipe.wrong_types = {"t"}
    desk.publish_trades(1, 2)
    desk.publisher.publish(desk.tickers, ticker(1))
    await desk.send_all()
    assert desk.pipe.events("k") == [ticker(1)]
    beat = desk.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped) == (1, 2)
    assert beat.last_error == "Redis refuses entries: something else is in the place of t"


async def test_what_finds_no_room_is_counted_and_marked_in_its_place() -> None:
    desk = Desk(buffer_bytes=1_000)
    desk.pipe.working.clear()
    fitted = [number for number in range(1, 9) if desk.publish_trades(number) != [None]]
    dropped = [desk.publisher.publish(desk.tickers, ticker(n, NOW + n)) for n in range(3)]
    assert fitted == [1, 2, 3]
    assert dropped == [None] * 3
    async with desk.sending():
        desk.pipe.working.set()
        await desk.publisher.drained()
        desk.publish_trades(9, 10)
        await desk.publisher.drained()
        desk.publisher.publish(desk.tickers, ticker(3))
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_id="3", to_id="9")
    assert desk.pipe.events("t") == [*(trade(n) for n in (1, 2, 3)), gap, trade(9), trade(10)]
    by_time = Gap(ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_ts=NOW, to_ts=NOW + 2)
    assert desk.pipe.events("k") == [by_time, ticker(3)]
    beat = desk.telemetry.beat
    assert (beat.entries_dropped, beat.gaps, beat.entries_published) == (8, 2, 8)


async def test_reading_pauses_while_redis_is_behind() -> None:
    desk = Desk()
    desk.pipe.working.clear()
    async with desk.sending():
        desk.publish_trades(*range(1, 7))
        assert not desk.publisher.paused
        desk.publish_trades(7)
        assert desk.publisher.paused
        resumed = asyncio.create_task(desk.publisher.resumed())
        await asyncio.wait([resumed], timeout=0.02)
        assert not resumed.done()
        desk.pipe.working.set()
        await resumed
        assert desk.publisher.buffered <= QUICK.resume_entries


async def test_reading_goes_on_while_redis_is_away() -> None:
    """Then the whole buffer is used: what is not read would be lost at the exchange."""
    desk = Desk(*[Fault.MIDDLE] * 50)
    desk.pipe.working.clear()
    with capture_logs():
        async with desk.sending():
            desk.publish_trades(*range(1, 30))
            resumed = asyncio.create_task(desk.publisher.resumed())
            desk.pipe.working.set()
            await resumed
            assert desk.publisher.buffered == 29
            assert not desk.publisher.paused


async def test_a_hash_follows_the_entries_before_it_with_its_latest_state_only() -> None:
    desk = Desk()
    desk.publisher.set_hash("h", {"stream_id": "never seen"})
    desk.publish_trades(*range(1, 6))
    desk.publisher.set_hash("h", {"stream_id": "5", "n": 1, "x": 0.5, "b": b"[]"})
    await desk.send_all()
    assert desk.names == [["XADD"] * 3, ["XADD", "XADD", "HSET"]]
    assert desk.pipe.hashes == {"h": {"stream_id": "5", "n": "1", "x": "0.5", "b": "[]"}}


async def test_a_hash_that_changes_while_it_is_sent_is_sent_again() -> None:
    desk = Desk()
    desk.pipe.working.clear()
    desk.publisher.set_hash("h", {"n": 1})
    async with desk.sending():
        await desk.pipe.entered.wait()
        desk.publisher.set_hash("h", {"n": 2})
        desk.pipe.working.set()
    assert desk.pipe.hashes == {"h": {"n": "2"}}
    assert len(desk.pipe.attempts) == 2


async def test_the_heartbeat_comes_ahead_of_a_backlog() -> None:
    desk = Desk()
    desk.publish_trades(*range(1, 10))
    desk.publisher.set_expiring_hash("beat", {"n": 1}, 10, fresh=True)
    await desk.send_all()
    assert desk.names[0] == ["DEL", "HSET", "EXPIRE", "XADD", "XADD", "XADD"]
    assert (desk.pipe.hashes, desk.pipe.ttls) == ({"beat": {"n": "1"}}, {"beat": 10})


async def test_a_replaced_first_heartbeat_still_deletes_that_of_an_earlier_run() -> None:
    desk = Desk()
    desk.pipe.hashes["beat"] = {"exit_code": "78"}
    desk.publisher.set_expiring_hash("beat", {"n": 1}, 10, fresh=True)
    desk.publisher.set_expiring_hash("beat", {"n": 2}, 10)
    desk.publisher.set_expiring_hash("beat", {"n": 3}, 10)
    await desk.send_all()
    assert desk.names == [["DEL", "HSET", "EXPIRE"]]
    assert desk.pipe.hashes == {"beat": {"n": "3"}}


async def test_latency_is_from_receipt_to_confirmation() -> None:
    desk = Desk()
    desk.publish_trades(1)
    desk.clock.advance(0.004)
    await desk.send_all()
    assert 4_000 <= desk.telemetry.latency.percentile(0.5) < 4_600


async def test_drained_at_once_where_nothing_waits() -> None:
    async with asyncio.timeout(PATIENCE_S):
        await Desk().publisher.drained()


def _empty_all(folder: Path) -> None:
    for file in folder.iterdir():
        os.truncate(file, 0)


async def test_a_file_that_is_lost_ends_the_run_wherever_that_is_found(tmp_path: Path) -> None:
    """The next entries are read from the file when an answer has come, which is not in ``run``."""
    desk = Desk(buffer_bytes=700, spool=Spool(tmp_path, "c", "run", 1_000_000))
    desk.publish_trades(*range(1, 30))
    assert desk.buffer.spooled
    _empty_all(tmp_path)
    with pytest.raises(SpoolLostError):
        await asyncio.wait_for(desk.publisher.run(), PATIENCE_S)


async def test_who_waits_until_resumed_learns_when_the_file_takes_over(tmp_path: Path) -> None:
    desk = Desk(buffer_bytes=4_000, spool=Spool(tmp_path, "c", "run", 1_000_000))
    await desk.pipe.connect()
    desk.pipe.working.clear()
    sending = asyncio.create_task(desk.publisher.run())
    await asyncio.sleep(0)
    desk.publish_trades(*range(1, 9))
    assert desk.publisher.paused
    waiting = asyncio.create_task(desk.publisher.resumed())
    await asyncio.sleep(0)
    desk.publish_trades(*range(9, 60))  # by somebody who does not wait, such as a hole that is given up
    assert desk.buffer.spooled
    await asyncio.wait_for(waiting, PATIENCE_S)
    sending.cancel()
    await asyncio.wait([sending])
