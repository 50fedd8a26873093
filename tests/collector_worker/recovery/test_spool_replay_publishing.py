"""What a run leaves in its file, and what the next one makes of it."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.publish.spool import Spool
from collector_worker.recovery.spool_replay import SpoolReplay
from tests.support.fakes import Fault
from tests.support.publisher_desk import NOW, NOW_MS, Desk, ticker, trade
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.events import Event, Gap
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.protocol import Reply, pack_command

LEDGER = "c"
LIMIT = 1_000_000
BRIEF = Pacing(batch_bytes=500, retry_first_s=0.0)
"""One trade at a time."""


def new_desk(folder: Path, run: str, *faults: Fault, memory: int = LIMIT) -> Desk:
    return Desk(*faults, pacing=BRIEF, buffer_bytes=memory, spool=Spool(folder, "c", run, LIMIT))


def nothing() -> None:
    """Done meanwhile."""


def ids(*numbers: int) -> list[str]:
    return [f"{NOW_MS}-{number}" for number in numbers]


def fields_of(event: Event) -> dict[str, str]:
    flat = [str(part) for part in encode(event)]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def left_by_a_run(folder: Path, confirmed: int, *numbers: int, memory: int = LIMIT) -> Desk:
    """A run that has published the trades up to a number, and ends with others waiting."""
    desk = new_desk(folder, "1", memory=memory)
    desk.publisher.follow({b"t": b"0-0", b"k": b"0-0", b"c": b"0-0"})
    desk.publish_trades(*range(1, confirmed + 1))
    await desk.send_all()
    desk.publish_trades(*numbers)
    assert desk.publisher.save() == 0
    desk.buffer.close()
    return desk


async def successor(folder: Path, earlier: Desk, *faults: Fault, run: str = "2") -> Desk:
    """The next run, connected to the same Redis."""
    desk = new_desk(folder, run, *faults)
    desk.pipe.streams = earlier.pipe.streams
    await desk.pipe.connect()
    return desk


async def taken_over(desk: Desk) -> list[tuple[int, int]]:
    """Publish what is left over; of each file, how many entries were published and how many left out."""
    with capture_logs() as logs:
        await desk.publish_spool_files(LEDGER, nothing)
    return [(line["published"], line["left_out"]) for line in logs if line["event"] == "left_over_published"]


async def test_it_is_published_first(tmp_path: Path) -> None:
    desk = await successor(tmp_path, await left_by_a_run(tmp_path, 2, *range(3, 10)))
    assert await taken_over(desk) == [(7, 0)]
    assert desk.pipe.events("t") == [trade(number) for number in range(1, 10)]
    assert files(tmp_path) == []
    desk.publish_trades(10)
    desk.publisher.set_hash("h", {"stream_id": "10"})
    await desk.send_all()
    assert (desk.trade_ids[-1], desk.pipe.hashes) == (ids(10)[0], {"h": {"stream_id": "10"}})
    assert (desk.telemetry.beat.entries_published, desk.telemetry.beat.entries_dropped) == (8, 0)


async def test_a_run_that_is_killed_leaves_no_hole_behind_its_memory(tmp_path: Path) -> None:
    """Memory holds the oldest entries: without them the next run would go on behind a hole that nobody sees."""
    killed = new_desk(tmp_path, "1", memory=1_000)
    killed.publisher.follow({b"t": b"0-0"})
    killed.publish_trades(*range(1, 21))
    assert (killed.buffer.in_memory, killed.buffer.spooled) == (3, 17)
    desk = await successor(tmp_path, killed)
    assert await taken_over(desk) == [(20, 0)]
    assert desk.trade_ids == ids(*range(1, 21))


async def test_what_it_had_published_itself_is_not_published_twice(tmp_path: Path) -> None:
    earlier = await left_by_a_run(tmp_path, 2, *range(3, 10))
    earlier.pipe.streams["t"] += [(ids(number)[0], fields_of(trade(number))) for number in (3, 4, 5)]
    desk = await successor(tmp_path, earlier)
    assert await taken_over(desk) == [(4, 0)]
    assert desk.trade_ids == ids(*range(1, 10))


async def test_a_lost_answer_at_the_end_is_no_hole(tmp_path: Path) -> None:
    """What counts as confirmed must be right also where only the second attempt was answered."""
    desk = new_desk(tmp_path, "1", Fault.AFTER)
    desk.publisher.follow({b"t": b"0-0"})
    desk.publish_trades(1, 2)
    await desk.send_all()
    desk.publish_trades(3)
    assert desk.publisher.save() == 0
    following = await successor(tmp_path, desk)
    assert await taken_over(following) == [(1, 0)]
    assert following.trade_ids == ids(1, 2, 3)


@pytest.mark.parametrize("kept", [0, 1, 4])
async def test_behind_an_older_state_of_redis_it_is_left_out(tmp_path: Path, kept: int) -> None:
    """5 would be missing, and with 6 at the end of the stream nobody would fetch it."""
    earlier = await left_by_a_run(tmp_path, 5, 6, 7)
    if kept:
        del earlier.pipe.streams["t"][kept:]
    else:
        earlier.pipe.streams["t"] = [("1-0", {})]
    desk = await successor(tmp_path, earlier)
    assert await taken_over(desk) == [(0, 2)]
    assert desk.trade_ids == (ids(*range(1, kept + 1)) or ["1-0"])
    assert (desk.telemetry.beat.entries_dropped, files(tmp_path)) == (2, [])


async def test_a_stream_that_was_deleted_begins_with_it(tmp_path: Path) -> None:
    earlier = await left_by_a_run(tmp_path, 5, 6, 7)
    del earlier.pipe.streams["t"]
    desk = await successor(tmp_path, earlier)
    assert await taken_over(desk) == [(2, 0)]
    assert desk.trade_ids == ids(6, 7)


async def test_behind_another_run_it_is_left_out(tmp_path: Path) -> None:
    """A file that was written after a newer run had taken over: its trades are there already, under other ids."""
    earlier = await left_by_a_run(tmp_path, 5, 6, 7)
    earlier.pipe.streams["t"] += [(f"{NOW_MS + 1}-{number}", {}) for number in (6, 7, 8)]
    desk = await successor(tmp_path, earlier)
    before = desk.trade_ids
    assert await taken_over(desk) == [(0, 2)]
    assert (desk.trade_ids, files(tmp_path)) == (before, [])


async def test_files_of_several_runs_are_published_oldest_first(tmp_path: Path) -> None:
    await left_by_a_run(tmp_path, 0, 1, 2)
    second = new_desk(tmp_path, "2")
    second.publisher.follow({b"t": ids(2)[0].encode()})
    second.publish_trades(3, 4)
    assert second.publisher.save() == 0
    desk = await successor(tmp_path, second, run="3")
    assert await taken_over(desk) == [(2, 0), (2, 0)]
    assert (desk.trade_ids, files(tmp_path)) == (ids(1, 2, 3, 4), [])


async def test_each_stream_joins_for_itself_but_the_ledger_confirms_all(tmp_path: Path) -> None:
    earlier = new_desk(tmp_path, "1")
    earlier.publisher.follow({b"t": b"0-0", b"k": b"5-0", LEDGER.encode(): b"0-0"})
    earlier.publish_trades(1)
    earlier.tickers.ids.last_ms = NOW_MS
    earlier.publisher.publish(earlier.tickers, ticker(1))
    earlier.publisher.append(pack_command(("XADD", LEDGER, "MAXLEN", "~", 100, "5-0", "kind", "complete")), NOW)
    earlier.publish_trades(2)
    assert earlier.publisher.save() == 0
    earlier.pipe.streams["k"] = [("4-0", {})]
    desk = await successor(tmp_path, earlier)
    assert await taken_over(desk) == [(2, 2)]
    assert (desk.trade_ids, desk.pipe.ids("k"), desk.pipe.ids(LEDGER)) == (ids(1, 2), ["4-0"], [])


@pytest.mark.parametrize("partly", [False, True])
async def test_a_heart_beats_meanwhile(tmp_path: Path, *, partly: bool) -> None:
    """Also while records are passed over that are in the stream already."""
    earlier = await left_by_a_run(tmp_path, 0, *range(1, 9))
    if partly:
        earlier.pipe.streams["t"] = [(ids(number)[0], fields_of(trade(number))) for number in range(1, 9)]
    desk = await successor(tmp_path, earlier)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        desk.publisher.set_expiring_hash("beat", {"n": beats}, 10, fresh=beats == 1)

    await desk.publish_spool_files(LEDGER, beat)
    assert beats == (16 if partly else 8)
    assert desk.names[0][:3] == ["DEL", "HSET", "EXPIRE"]
    assert [names.count("DEL") for names in desk.names] == [1] + [0] * (beats - 1)
    assert (desk.pipe.hashes, desk.trade_ids) == ({"beat": {"n": str(beats)}}, ids(*range(1, 9)))


async def test_a_first_beat_whose_answer_is_lost_is_sent_again(tmp_path: Path) -> None:
    """It removes what an earlier run left; without it an old exit code would be read as this run's."""
    desk = await successor(tmp_path, await left_by_a_run(tmp_path, 0, 1), Fault.MIDDLE)
    desk.pipe.hashes["beat"] = {"exit_code": "78"}
    desk.publisher.set_expiring_hash("beat", {"n": 1}, 10, fresh=True)
    with pytest.raises(RedisUnreachableError):
        await desk.publish_spool_files(LEDGER, nothing)
    await desk.publish_spool_files(LEDGER, nothing)
    assert desk.pipe.hashes == {"beat": {"n": "1"}}


@pytest.mark.parametrize("fault", [Fault.MIDDLE, Fault.AFTER, Fault.REFUSED])
async def test_a_redis_that_goes_away_again_costs_nothing(tmp_path: Path, fault: Fault) -> None:
    earlier = await left_by_a_run(tmp_path, 0, *range(1, 9), memory=500)
    desk = await successor(tmp_path, earlier, Fault.NONE, fault)
    with pytest.raises(RedisUnreachableError):
        await desk.publish_spool_files(LEDGER, nothing)
    desk.buffer.close()
    assert files(tmp_path) == ["c.1.spool"]
    following = await successor(tmp_path, desk, run="3")
    await taken_over(following)
    assert (following.trade_ids, files(tmp_path)) == (ids(*range(1, 9)), [])


async def test_a_key_of_another_type_is_no_reason_to_keep_it(tmp_path: Path) -> None:
    desk = await successor(tmp_path, await left_by_a_run(tmp_path, 0, 1, 2))
    desk.pipe.wrong_types = {"t"}
    assert await taken_over(desk) == [(0, 2)]
    assert (desk.telemetry.beat.entries_dropped, files(tmp_path)) == (2, [])


async def test_a_key_that_becomes_one_meanwhile_has_nothing_behind_its_hole(tmp_path: Path) -> None:
    """And the ledger, which has been looked at before, does not confirm it."""
    earlier = new_desk(tmp_path, "1")
    earlier.publisher.follow({b"t": b"0-0", LEDGER.encode(): b"0-0"})
    earlier.publish_trades(1, 2, 3)
    earlier.publisher.append(pack_command(("XADD", LEDGER, "MAXLEN", "~", 100, "5-0", "kind", "complete")), NOW)
    assert earlier.publisher.save() == 0
    desk = await successor(tmp_path, earlier)
    changes = iter([{"t"}, set(), set()])

    def change() -> None:
        desk.pipe.wrong_types = next(changes, set())

    with capture_logs():
        await desk.publish_spool_files(LEDGER, change)
    assert (desk.trade_ids, desk.pipe.ids(LEDGER), desk.telemetry.beat.entries_dropped) == ([], [], 4)


async def test_a_file_of_something_else_is_removed(tmp_path: Path) -> None:
    (tmp_path / "c.0.spool").write_bytes(b"junk" * 100)
    desk = await successor(tmp_path, Desk())
    assert (await taken_over(desk), files(tmp_path)) == ([(0, 0)], [])


# --- another program has written an id between those of the file -----------------------------------------------------

SKIPPED = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_id="2", to_id="5")


def beside(desk: Desk) -> list[Event]:
    """What is in the stream of trades, but for what the other program has written."""
    return [decode(fields) for entry_id, fields in desk.pipe.streams["t"] if entry_id != f"{NOW_MS}-4"]


async def test_what_is_refused_before_taken_entries_is_reported(tmp_path: Path) -> None:
    earlier = await left_by_a_run(tmp_path, 2, *range(3, 10))
    desk = await successor(tmp_path, earlier)
    desk.publisher = Publisher(desk.pipe, desk.telemetry, desk.clock, desk.buffer)  # all in one batch

    async def carry_out(commands: list[bytes]) -> list[Reply]:
        if commands:
            desk.pipe.streams["t"].append((f"{NOW_MS}-4", {"type": "somebody's"}))
            replay._carry_out = desk.publisher.carry_out
        return await desk.publisher.carry_out(commands)

    replay = SpoolReplay(desk.pipe, desk.telemetry, carry_out, LIMIT)
    with capture_logs():
        await replay.publish(desk.buffer.spool_files, LEDGER.encode(), nothing)
    assert beside(desk) == [*map(trade, (1, 2, *range(5, 10))), SKIPPED]
    assert (desk.telemetry.beat.entries_published, desk.telemetry.beat.entries_dropped) == (5, 2)


async def test_what_was_refused_in_a_batch_of_which_nobody_heard_is_reported(tmp_path: Path) -> None:
    """The run was killed before the answer came: its file begins with that batch."""
    earlier = await left_by_a_run(tmp_path, 2, *range(3, 10))
    earlier.pipe.streams["t"].append((f"{NOW_MS}-4", {"type": "somebody's"}))
    earlier.pipe.streams["t"] += [(ids(number)[0], fields_of(trade(number))) for number in (5, 6)]
    desk = await successor(tmp_path, earlier)
    assert await taken_over(desk) == [(3, 0)]
    assert beside(desk) == [*map(trade, (1, 2, *range(5, 10))), SKIPPED]


async def test_nothing_is_published_after_a_foreign_end_with_an_id_of_ours(tmp_path: Path) -> None:
    """The trade of that id is in no stream: the next run fetches it, with all that follows."""
    earlier = await left_by_a_run(tmp_path, 2, *range(3, 10))
    earlier.pipe.streams["t"].append((f"{NOW_MS}-3", {"type": "somebody's"}))
    desk = await successor(tmp_path, earlier)
    before = desk.trade_ids
    assert await taken_over(desk) == [(0, 6)]
    assert desk.trade_ids == before
