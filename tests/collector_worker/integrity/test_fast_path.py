"""A collector with the fast path: whatever happens between its trades, its streams are those it would write without."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import Instrument
from collector_worker.exchanges.okx import Okx
from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.fast_path import FastPath
from collector_worker.integrity.flows import TradeFlow
from collector_worker.integrity.sequences import TradeSequence
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.publish.spool import Spool, SpoolLostError
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.process.event_loop import run
from tests.support.fast_path_rig import compiled_or_skip
from tests.support.okx_adapter import pushed
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet._util.clock import SystemClock
from tickfleet.contract import keys
from tickfleet.contract.events import FeedState, FeedStatus, Ticker, Trade
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import SupersededError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import MaxLen, RedisConfig

if TYPE_CHECKING:
    from collector_worker.fastpath.trade_parser import FrameEntry

ID = CollectorId("okx", "BTC-USDT")
TRADES, TICKERS = keys.stream(ID, DataType.TRADE), keys.stream(ID, DataType.TICKER)
CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE, DataType.TICKER))
NATIVE = Instrument(symbol="BTC-USDT", native="BTC-USDT", state="live", tick_size="", lot_size="", min_size="")
CLOCK = SystemClock()


def row(number: int) -> dict[str, str]:
    """A trade as the exchange has it."""
    side = ("buy", "sell")[number % 2]
    ts = str(1_786_540_436_090 + number // 3)
    return {
        "instId": "BTC-USDT", "tradeId": str(number), "px": f"4221{number % 10}.5",
        "sz": "0.12", "side": side, "ts": ts,
    }  # fmt: skip


class Desk:
    """A trade flow, a ticker stream and their publisher; one connection brings frames."""

    def __init__(self, redis: RedisConfig, buffer: Buffer | None = None) -> None:
        self.exchange = Okx(CONFIG)
        self.pipe = RedisPipe(redis)
        self.telemetry = Telemetry(CONFIG, CLOCK.now_ns())
        self.buffer = buffer or Buffer()
        pacing = Pacing(batch_entries=50, paused_entries=200, resume_entries=60, retry_first_s=0.005)
        self.publisher = Publisher(self.pipe, self.telemetry, CLOCK, self.buffer, pacing)
        streams = Streams(CONFIG, MaxLen())
        self.trades, self.tickers = streams.of_type(DataType.TRADE), streams.of_type(DataType.TICKER)
        self.ledger_stream = CoverageStream(keys.coverage(ID), self.publisher)
        self.ledger = CoverageWriter("run", CLOCK, self.ledger_stream.append)
        self.sequence = TradeSequence(60.0)
        track = self.ledger.track(DataType.TRADE)
        self.trade_flow = TradeFlow(
            self.sequence, self.trades, track, self.publisher, self.telemetry, CLOCK, lambda: None
        )
        shape = self.exchange.trade_shape(NATIVE)
        assert shape is not None
        context = (self.trade_flow, self.trades, self.publisher, self.telemetry)
        self.fast_path = FastPath(compiled_or_skip(), shape, *context)
        self.sent_tickers = 0
        self.usual_way = 0
        self.connect()

    def connect(self) -> None:
        """A new connection."""
        feed = next(feed for feed in self.exchange.feeds() if feed.name == "business")
        self._adapter = self.exchange.adapter(feed, NATIVE)
        self.frame_entry: FrameEntry = self.fast_path.frame_entry(self._on_frame)

    def _on_frame(self, frame: bytes) -> None:
        if self.fast_path.takes(self.frame_entry, frame):
            return
        self.usual_way += 1
        for output in self._adapter.on_frame(frame, CLOCK.now_ns()):
            assert isinstance(output, Trade)
            self.trade_flow.on_live(output)

    def trade(self, *numbers: int) -> None:
        """Frames of trades come in."""
        for number in numbers:
            self.frame_entry.on_frame(pushed("trades-all", row(number)))

    def fetched(self, *numbers: int) -> None:
        """A page of trades was fetched."""
        rows = [
            Trade(int(r["ts"]) * 1_000_000, CLOCK.now_ns(), r["tradeId"], r["px"], r["sz"], r["side"], "backfill")  # type: ignore[arg-type]
            for r in map(row, numbers)
        ]
        self.trade_flow.on_page(rows, more=False)

    def ticker(self) -> None:
        """A ticker comes in."""
        self.sent_tickers += 1
        now_ns = CLOCK.now_ns()
        self.publisher.publish(self.tickers, Ticker(ts_event=now_ns, ts_recv=now_ns, last=str(self.sent_tickers)))

    def status(self) -> None:
        """A marker goes into the trades."""
        now_ns = CLOCK.now_ns()
        status = FeedStatus(ts_event=now_ns, ts_recv=now_ns, state=FeedState.CONNECTED, reason="start")
        self.publisher.publish(self.trades, status)

    def beat(self) -> None:
        """The heartbeat is written."""
        self.publisher.withdraw()
        self.telemetry.snapshot(CLOCK.now_ns(), CLOCK.monotonic_s())
        self.publisher.set_expiring_hash(keys.heartbeat(ID), {"beats": self.telemetry.beat.beats}, 60)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[asyncio.Task[None]]:
        """Send in the background; at the end all is confirmed, or sending has failed."""
        await self.pipe.connect()
        await self.pipe.take_fence(keys.writer(ID))
        with capture_logs():
            async with asyncio.timeout(PATIENCE_S):
                task = asyncio.create_task(self.publisher.run())
                self.status()  # with the first transaction the fence is watched
                await until(lambda: self.telemetry.beat.entries_published == 1)
                yield task
                drained = asyncio.create_task(self.publisher.drained())
                await asyncio.wait({task, drained}, return_when=asyncio.FIRST_COMPLETED)
            for work in (task, drained):
                work.cancel()
                await asyncio.wait([work])
        self.telemetry.gather()
        await self.pipe.close()


async def arrived(server: RedisServer, number: int) -> None:
    """Wait until a trade is the last one in the stream."""

    def last() -> bool:
        newest = server.client.xrevrange(TRADES, count=1)
        return bool(newest) and newest[0][1].get("trade_id") == str(number)

    await until(last, f"trade {number} is there")


def numbers_in(server: RedisServer) -> list[int]:
    """The trades of the stream, each compared with what was sent."""
    numbers = []
    for entry_id, fields in server.client.xrange(TRADES):
        if fields["type"] != "trade":
            continue
        number = int(fields["trade_id"])
        sent = row(number)
        assert int(entry_id.partition("-")[2]) == number
        assert (fields["price"], fields["size"], fields["side"]) == (sent["px"], sent["sz"], sent["side"])
        assert int(fields["ts_event"]) == int(sent["ts"]) * 1_000_000
        numbers.append(number)
    return numbers


async def test_steady_trades_take_the_fast_path(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        for number in range(1, 301):
            desk.trade(number)
            await arrived(redis_server, number)
        assert desk.usual_way <= 3
        assert desk.frame_entry.open
    assert numbers_in(redis_server) == [*range(1, 301)]
    beat = desk.telemetry.beat
    assert beat.express_trades == 300 - desk.usual_way
    assert (beat.entries_published, beat.progress[DataType.TRADE].count, desk.sequence.last_id) == (
        302,
        300,
        300,
    )  # with a marker and the ledger's beginning
    assert desk.publisher.buffered == 0
    ends = (desk.trades.ids.last.decode(), desk.trades.last_trade_id)
    assert ends == (redis_server.client.xrevrange(TRADES, count=1)[0][0], "300")


async def test_a_burst_takes_the_fast_path_and_reading_pauses(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        for number in range(1, 5_001):
            desk.trade(number)
            if desk.publisher.paused:
                await desk.publisher.resumed()
        assert desk.usual_way <= 3
    assert numbers_in(redis_server) == [*range(1, 5_001)]
    assert desk.telemetry.beat.entries_published == 5_002


async def test_tickers_go_with_it(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        for number in range(1, 201):
            desk.trade(number)
            desk.ticker()
            if number % 10 == 0:
                await arrived(redis_server, number)
        assert desk.frame_entry.open
    assert numbers_in(redis_server) == [*range(1, 201)]
    assert [fields["last"] for _, fields in redis_server.client.xrange(TICKERS)] == [str(n) for n in range(1, 201)]


async def test_what_is_counted_is_told_to_who_asks(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        for number in range(1, 41):
            desk.trade(number)
            await arrived(redis_server, number)
        desk.telemetry.gather()
        assert desk.frame_entry.open
        progress = desk.telemetry.beat.progress[DataType.TRADE]
        assert (progress.count, desk.sequence.last_id, desk.sequence.last_ts) == (
            40,
            40,
            int(row(40)["ts"]) * 1_000_000,
        )
        assert 0 <= time.time_ns() - progress.last_event_at < 10**10
        assert progress.last_event_at == desk.telemetry.beat.last_frame_at
        assert 0 < time.monotonic_ns() - desk.frame_entry.seen_ns < 10**10
        desk.beat()
        assert not desk.frame_entry.open
        assert desk.telemetry.beat.lag_p99_ms > 0
        desk.trade(41)
        await arrived(redis_server, 41)
        desk.trade(42)
        assert desk.frame_entry.open
    assert numbers_in(redis_server) == [*range(1, 43)]


async def test_it_stops_at_a_newer_run(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending() as task:
        for number in range(1, 21):
            desk.trade(number)
            await arrived(redis_server, number)
        assert desk.frame_entry.open
        redis_server.client.set(keys.writer(ID), 2**60)
        desk.trade(*range(21, 31))
        await asyncio.wait([task])
        assert isinstance(task.exception(), SupersededError)
    assert numbers_in(redis_server) == [*range(1, 21)]


async def test_a_retired_connection_brings_nothing_and_the_next_goes_on(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        for number in range(1, 11):
            desk.trade(number)
            await arrived(redis_server, number)
        before = desk.frame_entry
        desk.fast_path.end()
        desk.connect()
        desk.trade(11)
        assert (before.open, desk.frame_entry.open) == (False, True)
    assert numbers_in(redis_server) == [*range(1, 12)]


async def test_ids_with_a_last_number_above_64_bits_bypass_the_fast_path(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        desk.trade(1)
        for name in ("last_ms", "last_n"):
            setattr(desk.trades.ids, name, 2**63)
            desk.trade(desk.usual_way + 1)
            setattr(desk.trades.ids, name, 2**42)
        assert (desk.usual_way, desk.frame_entry.open) == (3, False)


async def test_nothing_is_handed_over_that_may_find_no_room_later(redis_server: RedisServer) -> None:
    desk = Desk(redis_server.config, buffer=Buffer(memory_bytes=20_000))
    assert not desk.publisher.can_hand_over  # it does not run yet
    async with desk.sending():
        assert desk.publisher.can_hand_over
        desk.trade(1)
        while not desk.publisher.full:
            desk.ticker()
        assert not desk.publisher.can_hand_over
        await until(lambda: desk.publisher.can_hand_over)


async def test_what_finds_no_room_when_it_comes_back_ends_the_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(redis_server.config)
    async with desk.sending():
        desk.trade(1, 2)
        assert desk.frame_entry.open
        monkeypatch.setattr(desk.buffer, "append", lambda _: False)
        with pytest.raises(SpoolLostError):
            desk.beat()
        monkeypatch.undo()


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_each_trade_is_there_once_and_in_order(
    own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """On the loop of a collector and on asyncio's own, with little memory and a file, and with much."""
    (run if seed % 2 else asyncio.run)(_whatever_happens(own_redis, tmp_path, seed))


async def _whatever_happens(own_redis: RedisServer, folder: Path, seed: int) -> None:
    """Bursts, holes that are filled later, repeated trades, markers, hashes, new connections, cut lines, pauses, and a
    server without memory for a while.
    """
    random = Random(seed)
    spool = Spool(folder / "spool", "c", "1", 2**26)
    desk = Desk(own_redis.config, buffer=Buffer(60_000, spool) if seed % 4 < 2 else None)
    number = 0

    def burst() -> None:
        nonlocal number
        count = random.choice([1, 1, 1, 5, 60, 300])
        desk.trade(*range(number + 1, number + count + 1))
        number += count

    def hole() -> None:
        nonlocal number
        if number:
            missing = [*range(number + 1, number + random.randint(2, 30))]
            desk.trade(missing[-1] + 1)
            desk.fetched(*missing)
            number = missing[-1] + 1

    def again() -> None:
        if number:
            desk.trade(random.randint(max(1, number - 50), number))

    def cut() -> None:
        own_redis.client.client_kill_filter(_type="normal", skipme=True)

    def full() -> None:
        own_redis.client.config_set("maxmemory", random.choice([1, 0]))

    doings: list[tuple[Any, int]] = [
        (burst, 60), (desk.ticker, 20), (hole, 8), (again, 5), (desk.status, 4), (desk.beat, 6), (desk.connect, 3),
        (desk.telemetry.gather, 4), (desk.trade_flow.probe, 2), (desk.trade_flow.pass_time, 3), (cut, 1), (full, 2),
        (lambda: desk.ledger.tick(now=True), 2), (lambda: desk.publisher.set_hash(keys.book(ID), {"x": number}), 5),
    ]  # fmt: skip
    async with desk.sending() as task:
        burst()
        for doing in random.choices([each for each, _ in doings], [weight for _, weight in doings], k=300):
            if doing == desk.connect:
                desk.fast_path.end()
            doing()
            if random.random() < 0.3:
                await asyncio.sleep(random.choice([0, 0, 0.001, 0.01]))
            if desk.publisher.paused:
                await desk.publisher.resumed()
        own_redis.client.config_set("maxmemory", 0)
        desk.ledger_stream.settle()
        assert not task.done()
    assert numbers_in(own_redis) == [*range(1, number + 1)], f"seed {seed}"
    assert [fields["last"] for _, fields in own_redis.client.xrange(TICKERS)] == [
        str(each + 1) for each in range(desk.sent_tickers)
    ]
    progress = desk.telemetry.beat.progress[DataType.TRADE]
    assert (progress.count, desk.sequence.last_id, desk.publisher.buffered) == (number, number, 0)
    assert desk.telemetry.beat.entries_dropped == 0
