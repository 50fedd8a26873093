"""Readers of streams that somebody else writes to as well: between good entries there may stand anything."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from deploy.examples.archiver import Archive
from deploy.examples.candle_builder import BarMaker
from manager.cli.data.export.csv_file import CsvFile
from manager.cli.data.export.span import ExportSpan, Sieve
from manager.cli.data.viewing.documents import entry_json
from manager.cli.data.viewing.lines import entry_line
from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.poison import NAMES, good, poison
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES, trade
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, intervals, read_entry
from tickfleet.contract.coverage import encode as encode_statement
from tickfleet.contract.events import Event
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.coverage_reader import CoverageReader
from tickfleet.reading.entries import Entry
from tickfleet.reading.groups import GroupReader
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber
from tickfleet.reading.tables.columns import columns
from tickfleet.reading.tables.segment_files import SegmentFiles

pytestmark = pytest.mark.asyncio
GOOD = 20
drawn = settings(max_examples=30, suppress_health_check=list(HealthCheck))
"""An example takes a Redis some time, and all of them use the same one."""


def fill(client: Any, name: StreamName, random: Random) -> tuple[dict[str, Event], int]:
    """The good entries by their ids, and how many others there are."""
    client.flushall()
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
    assert len(got) + skipped == len(written) + others  # what was not delivered is reported


chances = st.randoms(use_true_random=False)
"""What lies between the good entries; a failure shows the least of it."""


@pytest.mark.parametrize("name", NAMES, ids=str)
@drawn
@given(random=chances)
async def test_good_entries_come_once_in_order_whatever_stands_between_them(
    redis_server: RedisServer, name: StreamName, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    tmp_path = tmp_path_factory.mktemp("files")
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
                    csv.write([*sieve.select(chunk.whole())])
                    if name is BTC_TRADES:
                        maker.add(chunk)
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


@pytest.mark.parametrize("name", NAMES, ids=str)
@drawn
@given(random=chances)
async def test_a_group_passes_over_what_is_no_entry(
    redis_server: RedisServer, name: StreamName, random: Random
) -> None:
    written, others = fill(redis_server.client, name, random)
    kind = ":".join(filter(None, (name.data_type.value, name.interval)))
    got, last = list[Entry](), [*written][-1]
    async with GroupReader(str(BTC), kind, group="g", start="oldest", redis=redis_server.url, at_once=13) as reader:
        async for work in reader.work():
            got += work.entries
            await reader.done(work)
            if work.ids[name][-1] == last:
                break
        check(got, written, others, reader.skipped.unknown + reader.skipped.malformed)


# --- the ledger -------------------------------------------------------------------------------------------------------

FAR_NS = 9 * 10**18
bounds = st.none() | st.sampled_from([0, 1, START_NS, START_NS + 10, FAR_NS, 2**63 - 1, 2**63, -1])
ids = st.none() | st.sampled_from(["0", "7", "12", "x", "9" * 30])
false_statements = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([*(kind.value for kind in LedgerKind), "of_next_year", ""]),
        "at": st.sampled_from([0, START_NS, FAR_NS, 2**63, "abc"]),
        "run_id": st.sampled_from(["run", "foreign"]),
        "data_type": st.sampled_from(["trade", "ticker", "auction"]),
        "interval": st.sampled_from(["", "1m", "9z"]),
    },
    optional={
        "from_ts": bounds,
        "to_ts": bounds,
        "from_id": ids,
        "to_id": ids,
        "continues": st.sampled_from(["1", "?"]),
    },
)


@drawn
@given(between=st.lists(st.lists(false_statements, max_size=2), min_size=6, max_size=6))
async def test_what_is_no_statement_in_a_ledger_changes_nothing_of_it(
    redis_server: RedisServer, between: list[list[dict[str, Any]]]
) -> None:
    client, key = redis_server.client, keys.coverage(BTC)
    client.flushall()
    statements: list[dict[str, Any]] = [
        {"kind": LedgerKind.OPENED, "from_ts": START_NS, "from_id": "1"},
        {"kind": LedgerKind.COMPLETE, "to_ts": START_NS + 10, "to_id": "4"},
        {"kind": LedgerKind.GAP_OPENED, "from_ts": START_NS + 10, "to_ts": START_NS + 20, "from_id": "4", "to_id": "8"},
        {"kind": LedgerKind.GAP_FILLED, "from_ts": START_NS + 10, "to_ts": START_NS + 15, "from_id": "4", "to_id": "6"},
        {"kind": LedgerKind.GAP_LOST, "from_ts": START_NS + 15, "to_ts": START_NS + 20, "from_id": "5", "to_id": "8"},
        {"kind": LedgerKind.COMPLETE, "to_ts": START_NS + 30, "to_id": "9"},
    ]
    clock, ours, refused, others = ManualClock(START_NS + 100), list[LedgerEntry](), 0, 0
    async with CoverageReader(redis_server.url, clock=clock) as reader:
        for facts, foreign in zip(statements, between, strict=True):
            for false in foreign:
                fields = {field: "" if value is None else str(value) for field, value in false.items()}
                client.xadd(key, fields)
                others += 1
                refused += not is_statement(fields, clock.now_ns())
            ours.append(LedgerEntry(at=START_NS + 50, run_id="run", data_type=DataType.TRADE, **facts))
            client.execute_command("XADD", key, "*", *encode_statement(ours[-1]))
            view = await reader.look(BTC_TRADES)
            assert view.unreadable == refused
            assert not view.known or view.known[-1].to_ts <= clock.now_ns() + 1
            if refused == others:  # else a statement might be the collector's
                assert view.known == intervals(ours, DataType.TRADE)


def is_statement(fields: dict[str, str], now_ns: int) -> bool:
    """Whether a ledger may have this entry."""
    try:
        read_entry(fields, now_ns)
    except UndecodableFrameError:
        return False
    return True


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
