from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES, trade_id, write_trades
from tickfleet.contract import keys
from tickfleet.contract.coverage import Interval, LedgerEntry, LedgerKind, State, encode
from tickfleet.contract.identity import DataType
from tickfleet.reading.coverage_reader import CoverageReader, CoverageView
from tickfleet.reading.selection import StreamName

pytestmark = pytest.mark.system

BARS = StreamName(BTC, DataType.CANDLES, "1m")


def note(server: RedisServer, kind: LedgerKind, *, of: StreamName = BTC_TRADES, **facts: Any) -> None:
    entry = LedgerEntry(kind=kind, at=10**18, run_id="r", data_type=of.data_type, interval=of.interval, **facts)
    server.client.execute_command("XADD", keys.coverage(BTC), "*", *encode(entry))


@pytest.fixture
async def reader(redis_server: RedisServer) -> AsyncIterator[CoverageReader]:
    async with CoverageReader(redis_server.url) as reader:
        yield reader


async def test_it_follows_the_ledger_of_each_stream(redis_server: RedisServer, reader: CoverageReader) -> None:
    assert await reader.look(BTC_TRADES) == CoverageView([], "0-0")
    note(redis_server, LedgerKind.OPENED, from_ts=10)
    note(redis_server, LedgerKind.OPENED, from_ts=5, of=BARS)
    note(redis_server, LedgerKind.COMPLETE, to_ts=20)
    write_trades(redis_server.client, 1, 3)
    assert await reader.look(BTC_TRADES) == CoverageView([Interval(10, 20, State.COMPLETE)], trade_id(3))
    note(redis_server, LedgerKind.COMPLETE, to_ts=30)
    assert await reader.look(BTC_TRADES) == CoverageView([Interval(10, 30, State.COMPLETE)], trade_id(3))
    note(redis_server, LedgerKind.COMPLETE, to_ts=8, of=BARS)
    assert await reader.look(BARS) == CoverageView([Interval(5, 8, State.COMPLETE)], "0-0")


async def test_a_ledger_that_was_trimmed_further_than_it_was_read_is_read_anew(
    redis_server: RedisServer, reader: CoverageReader
) -> None:
    note(redis_server, LedgerKind.OPENED, from_ts=10)
    note(redis_server, LedgerKind.COMPLETE, to_ts=20)
    await reader.look(BTC_TRADES)
    note(redis_server, LedgerKind.GAP_LOST, from_ts=20, to_ts=30, reason="too_old")
    note(redis_server, LedgerKind.COMPLETE, to_ts=40)
    note(redis_server, LedgerKind.COMPLETE, to_ts=50)
    redis_server.client.xtrim(keys.coverage(BTC), maxlen=2, approximate=False)
    view = await reader.look(BTC_TRADES)
    assert view.known == [Interval(40, 50, State.COMPLETE)]  # nothing is claimed of what nobody can tell any more
    redis_server.client.delete(keys.coverage(BTC))
    assert (await reader.look(BTC_TRADES)).known == []


async def test_what_cannot_be_read_is_counted(redis_server: RedisServer, reader: CoverageReader) -> None:
    redis_server.client.xadd(keys.coverage(BTC), {"kind": "of_next_year"})
    assert (await reader.look(BTC_TRADES)).unreadable == 1
    redis_server.client.delete(keys.coverage(BTC))
    redis_server.client.set(keys.coverage(BTC), "no stream")
    assert await reader.look(BTC_TRADES) == CoverageView([], "0-0")


async def test_no_entry_of_the_future_makes_another_time_complete(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    note(redis_server, LedgerKind.OPENED, from_ts=10)
    note(redis_server, LedgerKind.COMPLETE, to_ts=20)
    foreign = LedgerEntry(
        kind=LedgerKind.OPENED, at=2**63 - 1, run_id="x", data_type=DataType.TRADE, from_ts=2**63 - 1, continues=True
    )
    redis_server.client.execute_command("XADD", keys.coverage(BTC), "*", *encode(foreign))
    async with CoverageReader(redis_server.url, clock=clock) as reader:
        view = await reader.look(BTC_TRADES)
    assert view == CoverageView([Interval(10, 20, State.COMPLETE)], "0-0", unreadable=1)
    assert view.lacks(clock.now_ns() + 10**12, clock.now_ns() + 10**13) == "ledger_unreadable"


async def test_a_clock_that_was_behind_for_a_moment_hides_no_entry_for_good(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    def note_at(at: int, **facts: Any) -> None:
        entry = LedgerEntry(at=at, run_id="r", data_type=DataType.TRADE, **facts)
        redis_server.client.execute_command("XADD", keys.coverage(BTC), "*", *encode(entry))

    now_ns = clock.now_ns()
    note_at(now_ns, kind=LedgerKind.OPENED, from_ts=10)
    note_at(now_ns + 100 * 10**9, kind=LedgerKind.COMPLETE, to_ts=20)
    async with CoverageReader(redis_server.url, clock=clock) as reader:
        assert await reader.look(BTC_TRADES) == CoverageView([], "0-0", unreadable=1)
        clock.advance(40)
        assert await reader.look(BTC_TRADES) == CoverageView([Interval(10, 20, State.COMPLETE)], "0-0")
        note_at(2**63 - 1, kind=LedgerKind.COMPLETE, to_ts=2**63 - 1)
        note_at(now_ns, kind=LedgerKind.COMPLETE, to_ts=30)
        found = await reader.look(BTC_TRADES)
        assert found == CoverageView([Interval(10, 30, State.COMPLETE)], "0-0", unreadable=1)


async def test_an_answer_may_be_a_little_old(redis_server: RedisServer, clock: ManualClock) -> None:
    async with CoverageReader(redis_server.url, every_s=1.0, clock=clock) as reader:
        before = await reader.look(BTC_TRADES)
        write_trades(redis_server.client, 1, 1)
        clock.advance(0.9)
        assert await reader.look(BTC_TRADES) is before
        clock.advance(0.1)
        assert (await reader.look(BTC_TRADES)).read_to == trade_id(1)


def test_why_a_span_is_not_complete() -> None:
    lost = Interval(20, 30, State.LOST, reason="too_old")
    known = [Interval(10, 20, State.COMPLETE), lost, Interval(30, 40, State.FILLED), Interval(40, 50, State.OPEN)]
    view = CoverageView(known, "0-0")
    spans = [(10, 20), (30, 40), (15, 25), (29, 45), (35, 45), (0, 20), (45, 60), (60, 70)]
    expected = ["", "", "too_old", "too_old", "open", "unknown", "open", "unknown"]
    assert [view.lacks(*span) for span in spans] == expected
    assert view.up_to == 40
    assert CoverageView(known, "0-0", unreadable=1).lacks(10, 20) == "ledger_unreadable"
