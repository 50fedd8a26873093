"""Readers of streams that somebody else writes to as well: between good entries there may stand anything."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis.exceptions import ResponseError

from deploy.examples.archiver import Archive
from deploy.examples.candle_builder import BarMaker
from manager.cli.data.export.csv_file import CsvFile
from manager.cli.data.export.span import ExportSpan, Sieve
from manager.cli.data.viewing.documents import entry_json
from manager.cli.data.viewing.lines import entry_line
from tests.support.clock import ManualClock
from tests.support.poison import NAMES, good, poison
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES, trade
from tickfleet.contract.codec import encode
from tickfleet.contract.events import Event
from tickfleet.reading.entries import Entry
from tickfleet.reading.groups import GroupReader
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber
from tickfleet.reading.tables.columns import columns
from tickfleet.reading.tables.segment_files import SegmentFiles

pytestmark = pytest.mark.asyncio
SEEDS = range(6)
GOOD = 60


def fill(client: Any, name: StreamName, random: Random) -> tuple[dict[str, Event], int]:
    """The good entries by their ids, and how many others there are."""
    written, others, at = dict[str, Event](), 0, 1_000
    for number in range(1, GOOD + 1):
        for _ in range(random.choice((0, 0, 1, 3))):
            at += 1
            client.execute_command("XADD", name.key, f"{at}-0", *poison(random))
            others += 1
        at += 1
        written[f"{at}-0"] = good(name, number)
        client.execute_command("XADD", name.key, f"{at}-0", *encode(written[f"{at}-0"]))
    return written, others


def check(got: list[Entry], written: dict[str, Event], others: int, skipped: int) -> None:
    ids = [entry.id for entry in got]
    assert ids == sorted(set(ids), key=lambda one: int(one.partition("-")[0]))
    assert {entry.id: entry.event for entry in got if entry.id in written} == written
    assert len(got) + skipped == len(written) + others  # what was not delivered is told


@pytest.fixture(params=SEEDS)
def random(request: pytest.FixtureRequest) -> Random:
    return Random(request.param)


@pytest.mark.parametrize("name", NAMES, ids=str)
async def test_good_entries_come_once_in_order_whatever_stands_between_them(
    redis_server: RedisServer, random: Random, name: StreamName, tmp_path: Path
) -> None:
    written, others = fill(redis_server.client, name, random)
    kind = ":".join(filter(None, (name.data_type.value, name.interval)))
    last, got, maker = [*written][-1], list[Entry](), BarMaker(BTC_TRADES)
    files = SegmentFiles(tmp_path / "archive", ".parquet")
    archive, sieve = Archive(files, 60.0, ManualClock()), Sieve(ExportSpan(0, 2**63 - 1))
    async with Subscriber(str(BTC), kind, start="oldest", redis=redis_server.url, at_once=37) as subscriber:
        with CsvFile(tmp_path / "all.csv", name.data_type, floats=True) as csv:
            async for batch in subscriber.batches():
                for chunk in batch.chunks:  # what consumers do with it goes through
                    archive.write(chunk)
                    csv.write([*sieve.take(chunk.whole())])
                    if name is BTC_TRADES:
                        maker.take(chunk)
                for entry in batch.entries:
                    kind_of_event: Any = type(entry.event)
                    columns([entry], kind_of_event, decimals="float")
                    entry_json(entry)
                    entry_line(entry, 9)
                got += batch.entries
                if batch.chunks[-1].ids[-1] == last:
                    break
        archive.close()
        files.close()
        check(got, written, others, subscriber.skipped.unknown + subscriber.skipped.malformed)


async def test_a_group_passes_over_what_is_no_entry(redis_server: RedisServer, random: Random) -> None:
    written, others = fill(redis_server.client, BTC_TRADES, random)
    got, last = list[Entry](), [*written][-1]
    async with GroupReader(str(BTC), "trade", group="g", start="oldest", redis=redis_server.url, at_once=13) as reader:
        async for work in reader.work():
            got += work.entries
            await reader.done(work)
            if work.ids[BTC_TRADES][-1] == last:
                break
        check(got, written, others, reader.skipped.unknown + reader.skipped.malformed)


async def test_an_id_of_a_year_that_no_calendar_has_ends_no_archive(redis_server: RedisServer, tmp_path: Path) -> None:
    highest = f"{2**64 - 1}-7"
    for entry_id in ("1000-1", "253402300800000-0", highest):
        redis_server.client.execute_command("XADD", BTC_TRADES.key, entry_id, *encode(trade(1)))
    with pytest.raises(ResponseError):
        redis_server.client.execute_command("XADD", BTC_TRADES.key, "1001-0", *encode(trade(1)))
    files = SegmentFiles(tmp_path, ".parquet")
    archive = Archive(files, 60.0, ManualClock())
    async with Subscriber(str(BTC), "trade", start="oldest", redis=redis_server.url) as subscriber:
        async for batch in subscriber.batches():
            for chunk in batch.chunks:
                archive.write(chunk)
            break
    archive.close()
    assert files.position().marks[BTC_TRADES].id == highest
    files.close()
