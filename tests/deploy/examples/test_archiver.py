"""The archiver: what its files hold, when they end, and that a kill at any moment costs and doubles nothing."""

import json
import os
import signal
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from msgspec.structs import replace

from common.process.lifecycle import run_until_signal
from deploy.examples import archiver
from deploy.examples.archiver import Archive
from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.ports import wait_until
from tests.support.reading_children import example_archiver
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_BOOK, BTC_TRADES, ETH_TRADES, delta, snapshot, trade
from tickfleet.contract.codec import encode
from tickfleet.contract.events import Candle, Event, FeedState, FeedStatus, Gap, Ticker
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Chunk, Entry, missed, rewound
from tickfleet.reading.position import BEGINNING, Mark, id_order
from tickfleet.reading.selection import StreamName
from tickfleet.reading.tables.segment_files import SegmentFiles

DAY_MS = 86_400_000
MINUTE_NS = 60 * 10**9
KILLS = 20
EVERY_S = 0.05
WAIT_S = 40.0

# --- reading the archive: every row as the fields of a stream entry --------------------------------------------------

Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    """The rows of a file, without what is empty, spelt as in the stream."""
    table = parquet.read_table(path)
    for index, field in enumerate(table.schema):
        if arrow.types.is_timestamp(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(arrow.int64()))
    return [{key: spelt(value) for key, value in row.items() if value is not None} for row in table.to_pylist()]


def spelt(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps([[level["price"], level["size"]] for level in value], separators=(",", ":"))
    return str(int(value)) if isinstance(value, bool) else str(value)


def files_of(root: Path, folder: str) -> list[Path]:
    """The files of a stream by their first ids."""
    return sorted(root.glob(f"{folder}/*/*.parquet"), key=lambda path: id_order(path.stem.partition("_")[0]))


def archived(root: Path, folder: str) -> list[Row]:
    return [row for path in files_of(root, folder) for row in rows_of(path)]


# --- what goes into a file, and when it ends -------------------------------------------------------------------------


class Desk:
    """An archive in a folder, with a clock that the test moves."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, ManualClock()
        self.files = SegmentFiles(root, ".parquet")
        self.archive = Archive(self.files, 60.0, self.clock)

    def write(self, *ids: str, of: StreamName = BTC_TRADES, ahead: tuple[Entry, ...] = (), lacks: str = "") -> None:
        entries = [*ahead, *(Entry(of, entry_id, trade(7)) for entry_id in ids if entry_id != lacks)]
        self.archive.write(Chunk(of, ids, entries, Mark(BEGINNING), Mark(BEGINNING), Mark(BEGINNING)))

    def rotate(self) -> None:
        for segment in self.archive.due():
            self.archive.finish(segment)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob("*/*/*/*/*.parquet"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.files.close()


def test_a_file_ends_after_its_time_and_is_named_by_its_ids(desk: Desk) -> None:
    desk.write("1000-1", "1000-2")
    desk.rotate()
    assert desk.names() == []
    desk.clock.advance(60.0)
    desk.write("1000-3")
    desk.rotate()
    desk.write("1000-4")
    desk.archive.close()
    folder = "okx/BTC-USDT/trade/1970-01-01"
    assert desk.names() == [f"{folder}/1000-1_1000-3.parquet", f"{folder}/1000-4_1000-4.parquet"]
    assert desk.files.position().marks == {BTC_TRADES: Mark("1000-4")}


def test_a_file_ends_with_the_day_of_the_ids(desk: Desk) -> None:
    desk.write(f"{DAY_MS - 1}-5", f"{DAY_MS}-0", f"{DAY_MS}-1", f"{3 * DAY_MS}-0")
    desk.archive.close()
    assert desk.names() == [
        f"okx/BTC-USDT/trade/1970-01-01/{DAY_MS - 1}-5_{DAY_MS - 1}-5.parquet",
        f"okx/BTC-USDT/trade/1970-01-02/{DAY_MS}-0_{DAY_MS}-1.parquet",
        f"okx/BTC-USDT/trade/1970-01-04/{3 * DAY_MS}-0_{3 * DAY_MS}-0.parquet",
    ]


def test_a_file_that_is_large_ends_and_so_does_the_largest_of_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiver, "FILE_CELLS", 30)
    monkeypatch.setattr(archiver, "ALL_CELLS", 30)
    desk.write("1-1", "1-2", "1-3")
    desk.write("1-1", of=ETH_TRADES)
    desk.rotate()
    assert desk.names() == ["okx/BTC-USDT/trade/1970-01-01/1-1_1-3.parquet"]
    desk.write("2-1", "2-2")
    desk.rotate()
    assert desk.names() == [f"okx/BTC-USDT/trade/1970-01-01/{ids}.parquet" for ids in ("1-1_1-3", "2-1_2-2")]


def test_what_retention_took_stands_in_its_place(desk: Desk) -> None:
    desk.write("1-1")
    gone = missed(BTC_TRADES, 7, "1-1", "", "trimmed", START_NS)
    desk.write(ahead=(gone,))  # nothing is left behind it: it waits for the entry that follows, on another day
    more = missed(BTC_TRADES, None, "1-1", f"{DAY_MS}-1", "restarted", START_NS)
    desk.write(f"{DAY_MS}-1", ahead=(more,))
    desk.archive.close()
    times = {"ts_event": str(START_NS), "ts_recv": str(START_NS)}
    head = {"collector": "okx:BTC-USDT", "entry_id": "1-1", "type": "missed", **times}
    last = rows_of(files_of(desk.root, "okx/BTC-USDT/trade")[-1])
    assert last[:2] == [{**head, "reason": "trimmed", "missed": "7"}, {**head, "reason": "restarted"}]
    assert [row["entry_id"] for row in last[2:]] == [f"{DAY_MS}-1"]


def test_the_archive_holds_each_entry_once_after_redis_lost_some_of_them(desk: Desk) -> None:
    desk.write("1-1", "1-2", "1-3")
    desk.write(ahead=(rewound(BTC_TRADES, 2, "1-1", "1-3", START_NS),))
    desk.write("1-4")
    desk.archive.close()
    rows = archived(desk.root, "okx/BTC-USDT/trade")
    assert [(row["entry_id"], row["type"]) for row in rows] == [(f"1-{number}", "trade") for number in range(1, 5)]
    assert desk.files.position().marks == {BTC_TRADES: Mark("1-4")}


def test_an_entry_that_cannot_be_read_has_a_row(desk: Desk) -> None:
    desk.write("1-1", "1-2", "1-3", lacks="1-2")
    desk.archive.close()
    rows = archived(desk.root, "okx/BTC-USDT/trade")
    assert [(row["entry_id"], row["type"]) for row in rows] == [
        ("1-1", "trade"),
        ("1-2", "unreadable"),
        ("1-3", "trade"),
    ]
    assert rows[1] == {"collector": "okx:BTC-USDT", "entry_id": "1-2", "type": "unreadable"}


def test_at_the_end_it_takes_no_longer_than_it_may_and_says_what_it_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finish = desk.files.finish

    def on_a_slow_disk(name: StreamName, first: str, last: str) -> Path:
        desk.clock.advance(3.0)
        return finish(name, first, last)

    monkeypatch.setattr(desk.files, "finish", on_a_slow_disk)
    caplog.set_level("INFO", "archiver")
    for name in (BTC_TRADES, ETH_TRADES, BTC_BOOK):
        desk.write("1-1", "1-2", of=name)
    desk.archive.close()
    desk.archive.discard()
    folders = ("BTC-USDT/trade", "ETH-USDT/trade")
    assert desk.names() == [f"okx/{folder}/1970-01-01/1-1_1-2.parquet" for folder in folders]
    assert list((desk.root / ".unfinished").iterdir()) == []
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 open files are finished",
        "not finished, and removed: okx:BTC-USDT orderbook from 1-1 to 1-2; the next run reads that from Redis again",
    ]
    assert desk.files.position().marks == {BTC_TRADES: Mark("1-2"), ETH_TRADES: Mark("1-2")}


@pytest.mark.asyncio
async def test_told_to_end_while_it_finishes_files_it_heeds_that_between_two(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Feed(redis_server).grow(20)
    finish, finished = SegmentFiles.finish, list[StreamName]()

    def on_a_slow_disk(files: SegmentFiles, name: StreamName, first: str, last: str) -> Path:
        if not finished:
            monkeypatch.setattr(archiver, "LAST_S", 0.0)
            os.kill(os.getpid(), signal.SIGTERM)
        finished.append(name)
        return finish(files, name, first, last)

    monkeypatch.setattr(SegmentFiles, "finish", on_a_slow_disk)
    await run_until_signal(lambda: archiver.write_archive(tmp_path, 1e-9, ["*"], redis_server.config))
    assert len(finished) < len(FOLDERS)
    assert list((tmp_path / ".unfinished").iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_counted(tmp_path: Path) -> None:
    unfinished = tmp_path / ".unfinished"
    unfinished.mkdir()
    (unfinished / "okx_BTC-USDT_trade.parquet").touch()
    files = SegmentFiles(tmp_path, ".parquet")
    files.close()
    assert (files.left_behind, list(unfinished.iterdir())) == (1, [])


# --- the process -----------------------------------------------------------------------------------------------------

BTC_TICKER = StreamName(BTC, DataType.TICKER)
BTC_BARS = StreamName(BTC, DataType.CANDLES, "1m")
FOLDERS = {
    BTC_TRADES: "okx/BTC-USDT/trade",
    ETH_TRADES: "okx/ETH-USDT/trade",
    BTC_BOOK: "okx/BTC-USDT/orderbook",
    BTC_TICKER: "okx/BTC-USDT/ticker",
    BTC_BARS: "okx/BTC-USDT/candles-1m",
}


BAR = Candle(
    ts_event=0, ts_recv=0, interval="1m", open_time=START_NS, close_time=START_NS + 1, open="1", high="2.0", low="0.5",
    close="1", volume="7",
)  # fmt: skip


def event(name: StreamName, number: int) -> Event:
    """What is in a stream under a number: data, and now and then a word about it."""
    at = START_NS + number
    if number % 17 == 0:
        return Gap(ts_event=at, ts_recv=at, reason="too old", from_id=str(number - 1), to_id=str(number + 5))
    if number % 23 == 0:
        return FeedStatus(ts_event=at, ts_recv=at, state=FeedState.RESYNCED, reason="reconnect")
    match name.data_type:
        case DataType.TRADE:
            return trade(number)
        case DataType.ORDERBOOK:
            return snapshot(number) if number % 10 == 1 else delta(number, number - 1)
        case DataType.TICKER:
            return Ticker(ts_event=at, ts_recv=at, last=f"{number}.50", bid="1")
        case DataType.CANDLES:
            opened = START_NS + (number - 1) // 2 * MINUTE_NS  # each bar twice: running, then closed
            bar = replace(BAR, open_time=opened, close_time=opened + MINUTE_NS, closed=number % 2 == 0)
            return replace(bar, ts_event=at, close=str(number))


class Feed:
    """Streams that grow; ids go through some days."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        self._last = 0

    def grow(self, by: int) -> None:
        pipe = self._client.pipeline(transaction=False)
        for number in range(self._last + 1, self._last + by + 1):
            for name in FOLDERS:
                fields = encode(event(name, number)) if number % 29 else ["type", "of_next_year", "ts_event", 1]
                pipe.execute_command("XADD", name.key, f"{START_NS // 1_000_000 + number * 300_000}-{number}", *fields)
        pipe.execute()
        self._last += by

    def rows(self, name: StreamName) -> list[Row]:
        """The stream as the archive should have it."""
        unreadable = {"type": "unreadable"}
        return [
            {
                "collector": str(name.collector),
                "entry_id": entry_id,
                **(unreadable if fields["type"] == "of_next_year" else fields),
            }
            for entry_id, fields in self._client.xrange(name.key)
        ]

    def newest(self) -> list[str]:
        return [self._client.xinfo_stream(name.key)["last-generated-id"] for name in FOLDERS]


@pytest.fixture
def running() -> Iterator[deque[BaseProcess]]:
    """Processes that end with the test."""
    processes: deque[BaseProcess] = deque()
    yield processes
    for process in processes:
        process.kill()
        process.join()
        process.close()


@pytest.mark.system
def test_killed_again_and_again_it_has_every_entry_once(
    redis_server: RedisServer, tmp_path: Path, running: deque[BaseProcess]
) -> None:
    seed = Random().randrange(10**6)
    print("seed", seed)  # noqa: T201 - shown when it fails: the moments can be drawn again
    random, feed = Random(seed), Feed(redis_server)

    def count() -> int:
        return sum(1 for _ in tmp_path.glob("*/*/*/*/*.parquet"))

    def newest() -> list[str]:
        return [files[-1].stem.partition("_")[2] if (files := files_of(tmp_path, f)) else "" for f in FOLDERS.values()]

    for _ in range(KILLS):
        feed.grow(random.randint(1, 120))
        process, files = example_archiver(redis_server.url, tmp_path, EVERY_S), count()
        running.append(process)
        if random.random() < 0.6:  # else it is killed while it starts, or writes its first files
            wait_until(lambda files=files: count() > files, WAIT_S, "it writes")  # type: ignore[misc]
            feed.grow(random.randint(1, 60))
        process.join(random.uniform(0.0, 0.1))
        assert process.is_alive()
        process.kill()
        process.join()
    feed.grow(5)  # something to do for the last one: then it is there before it is ordered to end
    process = example_archiver(redis_server.url, tmp_path, EVERY_S)
    running.append(process)
    wait_until(lambda: newest() == feed.newest(), WAIT_S, "all is there")
    process.terminate()
    process.join(WAIT_S)
    assert process.exitcode == 0
    assert {name: archived(tmp_path, folder) for name, folder in FOLDERS.items()} == {
        name: feed.rows(name) for name in FOLDERS
    }
    for folder in FOLDERS.values():
        names = [path.stem.split("_") for path in files_of(tmp_path, folder)]
        assert all(id_order(before[1]) < id_order(after[0]) for before, after in pairwise(names))
    assert list((tmp_path / ".unfinished").iterdir()) == []


@pytest.mark.system
def test_told_to_end_it_finishes_its_files(
    redis_server: RedisServer, tmp_path: Path, running: deque[BaseProcess]
) -> None:
    feed = Feed(redis_server)
    feed.grow(30)  # so many are read of each stream in one go
    process = example_archiver(redis_server.url, tmp_path, 3_600.0)
    running.append(process)
    wait_until(lambda: len(list((tmp_path / ".unfinished").glob("*"))) == len(FOLDERS), WAIT_S, "it writes")
    process.terminate()
    process.join(WAIT_S)
    assert process.exitcode == 0
    assert list((tmp_path / ".unfinished").iterdir()) == []
    assert archived(tmp_path, FOLDERS[BTC_TRADES]) == feed.rows(BTC_TRADES)


@pytest.mark.system
def test_it_outlives_redis_and_tells_of_what_retention_took(
    own_redis: RedisServer, tmp_path: Path, running: deque[BaseProcess]
) -> None:
    feed, folder = Feed(own_redis), FOLDERS[BTC_TRADES]

    def wait_for_all() -> None:
        newest = feed.newest()[0]
        wait_until(lambda: any(newest in path.name for path in files_of(tmp_path, folder)), WAIT_S, "all is there")

    feed.grow(10)
    running.append(example_archiver(own_redis.url, tmp_path, EVERY_S))
    wait_for_all()
    own_redis.stop()
    own_redis.start()
    feed.grow(10)
    wait_for_all()
    running[-1].kill()
    running[-1].join()
    before = feed.rows(BTC_TRADES)
    feed.grow(50)
    own_redis.client.xtrim(BTC_TRADES.key, maxlen=20, approximate=False)
    running.append(example_archiver(own_redis.url, tmp_path, EVERY_S))
    wait_for_all()
    rows = archived(tmp_path, folder)
    told = rows.pop(len(before))
    assert rows == before + feed.rows(BTC_TRADES)
    assert (told["type"], told["entry_id"], told["reason"]) == ("missed", before[-1]["entry_id"], "trimmed")
