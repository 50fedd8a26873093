"""Readers of streams that somebody else writes to as well: between good entries there may stand anything."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis.exceptions import ResponseError

from deploy.examples.archiver import Archive
from deploy.examples.candle_builder import BarMaker
from manager.cli.data.export.csv_file import CsvFile
from manager.cli.data.export.span import Sieve, Span
from manager.cli.data.viewing.documents import entry_json
from manager.cli.data.viewing.lines import entry_line
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES, delta, levels, snapshot, trade
from tickfleet.contract.codec import encode
from tickfleet.contract.events import BookSnapshot, Candle, Event, FeedState, FeedStatus, Gap, Ticker
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry
from tickfleet.reading.groups import GroupReader
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber
from tickfleet.reading.tables.columns import columns
from tickfleet.reading.tables.segment_files import IdFiles

pytestmark = pytest.mark.asyncio
SEEDS = range(6)
GOOD = 60
NAMES = [
    BTC_TRADES,
    StreamName(BTC, DataType.ORDERBOOK),
    StreamName(BTC, DataType.TICKER),
    StreamName(BTC, DataType.CANDLES, "1m"),
]


def good(name: StreamName, number: int) -> Event:
    at = trade(number).ts_event
    match name.data_type:
        case DataType.TRADE:
            return trade(number)
        case DataType.ORDERBOOK:
            return snapshot(number) if number % 7 == 0 else delta(number, number - 1)
        case DataType.TICKER:
            return Ticker(ts_event=at, ts_recv=at, last=f"{number}.5", bid="1", volume_24h="7")
        case DataType.CANDLES:
            return Candle(
                ts_event=at, ts_recv=at, interval="1m", open_time=at, close_time=at + 60, open="1", high="2", low="0.5",
                close="1.5", volume="7",
            )  # fmt: skip


EVENTS: list[Event] = [
    *(good(name, 8) for name in NAMES),
    Gap(ts_event=1, ts_recv=2, reason="lost", from_id="1", to_id="9", from_ts=1, to_ts=9),
    FeedStatus(ts_event=1, ts_recv=2, state=FeedState.STALE, reason="x"),
    BookSnapshot(ts_event=1, ts_recv=1, bids=levels("9 1"), asks=levels("10 1"), reason="subscribe"),
]
VALUES: list[bytes] = [
    b"", b"abc", b"NaN", b"-NaN", b"Infinity", b"1E+999999", b"\xff", b"4\xff2", b"-1", b"0", b"1_0", b" 1", b"1.",
    b"9" * 30, b"9" * 5_000, str(2**63).encode(), str(2**63 - 1).encode(), str(-(2**63)).encode(), b"\x00", b"null",
    b'[["1"]]', b'[["abc","1"]]', b'[["1","1E+999999"]]', b'[["1","2"]]', b"[" * 5_000, b'[["\xff","1"]]', b"trade",
    b"book_delta", b"gap", b"auction", "\uff11".encode(), b"=cmd|'x'!A1", b"\x1b[2J", b"1\r\n2",
]  # fmt: skip


def poison(random: Random) -> list[bytes]:
    """Names and values of an entry that is none, or might pass for one."""
    if random.random() < 0.2:
        return [random.randbytes(random.randint(0, 9)) for _ in range(2 * random.randint(1, 6))]
    fields = [part if isinstance(part, bytes) else str(part).encode() for part in encode(random.choice(EVENTS))]
    for _ in range(random.randint(1, 2)):
        fields[random.randrange(len(fields))] = random.choice(VALUES)
    return fields


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
    files = IdFiles(tmp_path / "archive", ".parquet")
    archive, sieve = Archive(files, 60.0, ManualClock()), Sieve(Span(0, 2**63 - 1))
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
    files = IdFiles(tmp_path, ".parquet")
    archive = Archive(files, 60.0, ManualClock())
    async with Subscriber(str(BTC), "trade", start="oldest", redis=redis_server.url) as subscriber:
        async for batch in subscriber.batches():
            for chunk in batch.chunks:
                archive.write(chunk)
            break
    archive.close()
    assert files.position().marks[BTC_TRADES].id == highest
    files.close()
