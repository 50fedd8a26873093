"""Redis away until neither memory nor the file has room: what is lost is marked in the streams and in the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.router import Router
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.publish.spool import Spool
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import FakePipe
from tests.support.market_items import START_NS, trade
from tests.support.publisher_desk import QUICK, Desk
from tests.support.ways import make_ways
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, State, decode, intervals, is_complete
from tickfleet.contract.events import BookDelta, BookSnapshot, Event, Gap, Level, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen

S = 1_000_000_000
KINDS = (DataType.TRADE, DataType.TICKER, DataType.ORDERBOOK)
CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", KINDS)
PATIENCE_S = 60


class Collector(Desk):
    """From what the adapter read to a Redis in memory, with the ledger beside it."""

    def __init__(self, folder: Path) -> None:
        self.pipe = FakePipe()
        self.clock = ManualClock(START_NS + 86_400 * S)
        self.telemetry = Telemetry(CONFIG, START_NS)
        self.buffer = Buffer(2_000, Spool(folder, "c", "1", 4_000))
        self.publisher = Publisher(self.pipe, self.telemetry, self.clock, self.buffer, QUICK)
        streams = Streams(CONFIG, MaxLen())
        self.ledger_stream = CoverageStream(keys.coverage(CONFIG.id), self.publisher)
        self.ledger = CoverageWriter("run", self.clock, self.ledger_stream.append)
        self.ways = make_ways(CONFIG, streams, self.publisher, self.telemetry, self.clock, self.ledger)
        book = BookSync(lambda bids, asks: 0, 25)
        self.pipeline = Router(CONFIG, streams, self.ways, book, self.publisher, self.telemetry, self.clock)

    async def receive(self, seconds: range) -> None:
        """A trade, a ticker and a change of the book each second; with Redis at work each is sent before the next."""
        for second in seconds:
            ts = now = START_NS + second * S
            self.pipeline.on_event(trade(second))
            self.pipeline.on_event(Ticker(ts_event=ts, ts_recv=now, last=str(second)))
            if second == 1:
                whole = BookSnapshot(ts_event=ts, ts_recv=now, bids=[], asks=[], seq=1, prev_seq=-1, reason="")
                self.pipeline.on_event(BookFrame(whole))
            else:
                bids = [Level(str(second), "1")]
                delta = BookDelta(ts_event=ts, ts_recv=now, bids=bids, asks=[], seq=second, prev_seq=second - 1)
                self.pipeline.on_event(BookFrame(delta))
            self.pass_time(1)
            if self.pipe.working.is_set():
                await self.publisher.drained()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, as the worker's housekeeping sees it."""
        self.clock.advance(seconds)
        if self.ways.trades is not None:
            self.ways.trades.pass_time()
        self.ledger.tick()
        self.ledger_stream.settle()

    def published(self, kind: DataType) -> list[Event]:
        """The events of a stream, without the marks of its feed."""
        return self.pipe.events(keys.stream(CONFIG.id, kind))

    def prefixes(self) -> Iterator[list[LedgerEntry]]:
        """The ledger as a reader saw it, after each of its entries."""
        entries = [decode(fields) for _, fields in self.pipe.streams[keys.coverage(CONFIG.id)]]
        return (entries[:count] for count in range(1, len(entries) + 1))


@pytest.fixture
async def collector(tmp_path: Path) -> Collector:
    """Five seconds with Redis, forty without, then Redis is back for forty."""
    collector = Collector(tmp_path)
    with capture_logs():
        async with collector.sending():
            await collector.receive(range(1, 6))
            collector.pipe.working.clear()
            await collector.receive(range(6, 46))
            assert collector.publisher.full
            collector.pipe.working.set()
            await collector.publisher.drained()
            await collector.receive(range(46, 51))
            collector.pass_time(PATIENCE_S)  # nobody fetches the trades: they are given up
            await collector.publisher.drained()
            await collector.receive(range(51, 86))
            collector.ledger.tick(now=True)
    return collector


def gap_of(events: list[Event]) -> tuple[int, Gap]:
    """The one gap of a stream, and where it is."""
    [found] = [(index, event) for index, event in enumerate(events) if isinstance(event, Gap)]
    return found


async def test_trades_that_found_no_room_are_missing_in_stream_and_ledger(collector: Collector) -> None:
    events = collector.published(DataType.TRADE)
    at, gap = gap_of(events)
    last = events[at - 1]
    assert isinstance(last, Trade)
    kept = int(last.trade_id)
    assert 5 < kept < 45
    assert events == [*(trade(n) for n in range(1, kept + 1)), gap, *(trade(n) for n in range(46, 86))]
    assert (gap.from_id, gap.to_id, gap.reason) == (str(kept), "46", "not_available")
    *_, ledger = collector.prefixes()
    assert [(part.state, part.from_id, part.to_id) for part in intervals(ledger, DataType.TRADE)] == [
        (State.COMPLETE, "1", str(kept)),
        (State.LOST, str(kept), "46"),
        (State.COMPLETE, "46", "85"),
    ]


@pytest.mark.parametrize("kind", [DataType.TICKER, DataType.ORDERBOOK])
async def test_tickers_and_books_dropped_for_a_full_buffer_are_gap_and_lost(
    collector: Collector, kind: DataType
) -> None:
    events = collector.published(kind)
    at, gap = gap_of(events)
    kept, following = events[at - 1].ts_event, events[at + 1].ts_event
    assert (gap.from_ts, gap.to_ts, gap.reason) == (kept + S, following - S, "buffer_full")
    *_, ledger = collector.prefixes()
    assert [(part.state, part.from_ts, part.to_ts) for part in intervals(ledger, kind)] == [
        (State.COMPLETE, START_NS + S, kept),
        (State.LOST, kept, following),
        (State.COMPLETE, following, START_NS + 85 * S),
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_reader_was_ever_told_that_they_are_there(collector: Collector, kind: DataType) -> None:
    """Whenever he looked: the ledger never ran ahead of what it had to say of the loss."""
    at, _ = gap_of(events := collector.published(kind))
    lost = (events[at - 1].ts_event + 1, events[at + 1].ts_event)
    assert not any(is_complete(intervals(seen, kind), *lost) for seen in collector.prefixes())
    assert len([*collector.prefixes()]) > 10


async def test_a_page_that_fills_the_buffer_is_marked_from_where_it_was_full(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    trades = collector.ways.trades
    assert trades is not None
    async with collector.sending():
        await collector.receive(range(1, 3))
        trades.on_live(trade(60))
        trades.on_page([trade(number, fetched=True) for number in range(3, 60)], more=False)
        assert collector.publisher.full
        await collector.publisher.drained()
        await collector.receive(range(61, 64))
        collector.ledger.tick(now=True)
    events = collector.published(DataType.TRADE)
    at, gap = gap_of(events)
    kept = int(events[at - 1].trade_id)  # type: ignore[union-attr]
    assert (gap.from_id, gap.to_id, gap.reason) == (str(kept), "61", "buffer_full")
    *_, ledger = collector.prefixes()
    known = [(part.state, part.from_id, part.to_id) for part in intervals(ledger, DataType.TRADE)]
    assert known[-2:] == [(State.LOST, str(kept), "61"), (State.COMPLETE, "61", "63")]
