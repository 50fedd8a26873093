"""Quiet or stalled: what the worker finds out by itself, second by second."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import Instrument
from collector_worker.exchanges.binance import BinanceSpot
from collector_worker.health.silence import SilenceWatch
from collector_worker.health.silence_limits import Floor, SilenceLimits
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support import okx_wire
from tests.support.clock import ManualClock, WatchedClock
from tests.support.feed_rig import Rig as FeedRig
from tests.support.okx_wire import acknowledge
from tests.support.shelf import Shelf, shelf
from tests.support.waiting import PATIENCE_S, until
from tests.support.ws_server import Peer, ScriptedServer
from tickfleet.contract.events import FeedStatus
from tickfleet.contract.health import RestLook, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError

TRADE, BOOK, TICKER, CANDLES = DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES
Floors = dict[DataType, Floor]
S = 1_000_000_000
FREE = Floor(30.0, promised=False)
PROMISED = Floor(60.0, promised=True)
AWAY = ExchangeUnavailableError("no answer")
TRADES_PAGE = ("/api/v3/historicalTrades?symbol=BTCUSDT&limit=10", 25.0)


class Ease:
    paused = False

    async def resumed(self) -> None:
        raise AssertionError("nobody waits here")


class Rig:
    """A watch over a collector of a quiet or busy market, with a REST of prepared answers.

    Attributes:
        flowing: The data types that the socket brings something of each second.
        last_trade_ts: The exchange's time of the last trade that is in the stream.
    """

    def __init__(self, clock: ManualClock, *answers: bytes | Exception, floors: Floors | None = None) -> None:
        self.floors = floors or dict.fromkeys(DataType, FREE)
        config = ExchangeCollectorConfig("binance", "BTC-USDT", tuple(self.floors))
        self.clock = clock
        self.telemetry = Telemetry(config, clock.now_ns())
        self.beat = self.telemetry.beat
        self.rest: Shelf = shelf(*answers)
        self.back_pressure = Ease()
        self.flowing: set[DataType] = set(self.floors)
        self.last_trade_ts = clock.now_ns()
        self.fetches = 0
        self.watch = SilenceWatch(
            {each: SilenceLimits(floor, clock.monotonic_s()) for each, floor in self.floors.items()},
            exchange=BinanceSpot(config),
            instrument=Instrument(symbol="", native="BTCUSDT", state="", tick_size="", lot_size="", min_size=""),
            rest=self.rest,
            back_pressure=self.back_pressure,
            telemetry=self.telemetry,
            clock=clock,
            last_trade_ts=lambda: self.last_trade_ts,
            fetch_missed=self._fetch,
            settle_s=0.0,
        )
        self.connect()

    def _fetch(self) -> None:
        self.fetches += 1

    def connect(self) -> None:
        """A connection is."""
        self.telemetry.feed_is("public", WorkerState.RUNNING, self.clock.now_ns())
        self.telemetry.heard("public")
        self._beat()

    def disconnect(self) -> None:
        """It does not any more."""
        self.telemetry.feed_is("public", WorkerState.CONNECTING, self.clock.now_ns())
        self._beat()

    def _beat(self) -> None:
        self.telemetry.snapshot(self.clock.now_ns(), self.clock.monotonic_s())

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """The watch looks where that is due, until the end of the block."""
        task = asyncio.create_task(self.watch.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    async def live(self, seconds: int) -> None:
        """Time passes."""
        for _ in range(seconds):
            self.clock.advance(1)
            for each in self.flowing:
                self.telemetry.event(each, self.clock.now_ns())
            self._beat()
            self.watch.tick()
            for _ in range(8):  # what can go on without waiting does
                await asyncio.sleep(0)

    def said(self) -> tuple[str, str, int]:
        """What the heartbeat says of it."""
        return self.beat.rest_look.value, self.beat.mute, self.beat.mute_reconnects

    def stalled_ago_s(self) -> dict[DataType, float]:
        """How long ago data types were found stalled."""
        return {each: self.clock.monotonic_s() - at_s for each, at_s in self.telemetry.stalled_s.items()}


START_MS = ManualClock().now_ns() // 1_000_000


def ms(clock: ManualClock) -> int:
    """The clock in the exchange's unit."""
    return clock.now_ns() // 1_000_000


def page(*times_ns: int) -> bytes:
    """A page of trades with these times of the exchange."""
    rows = [
        {"id": number, "price": "1", "qty": "1", "time": at_ns // 1_000_000, "isBuyerMaker": True}
        for number, at_ns in enumerate(times_ns)
    ]
    return json.dumps(rows).encode()


@pytest.fixture(autouse=True)
def _logs() -> object:
    with capture_logs() as logs:
        yield logs


async def test_while_data_flows_nobody_asks(clock: ManualClock) -> None:
    rig = Rig(clock)
    async with rig.looking():
        await rig.live(300)
    assert (rig.rest.requests, rig.said()) == ([], ("none", "", 0))
    assert {progress.silence_limit for progress in rig.beat.progress.values()} == {30 * S}


async def test_a_market_that_rests_is_asked_about_ever_more_rarely(clock: ManualClock) -> None:
    rig = Rig(clock, *[page(clock.now_ns())] * 9)
    rig.flowing = set()
    looked_s = list[int]()
    async with rig.looking():
        for second in range(1, 2500):
            await rig.live(1)
            if len(rig.rest.requests) > len(looked_s):
                looked_s.append(second)
    pauses_s = [later - sooner for sooner, later in pairwise(looked_s)]
    assert looked_s[0] == 32
    assert pauses_s == [30, 60, 120, 240, 480, 600, 600]
    assert set(rig.rest.requests) == {TRADES_PAGE}
    assert rig.said() == ("nothing_newer", "", 0)
    assert (rig.telemetry.stalled_s, rig.fetches) == ({}, 0)
    assert clock.now_ns() - rig.beat.rest_looked_at < 600 * S


async def test_the_market_moves_again(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns()), page(clock.now_ns()))
    rig.flowing = set()
    async with rig.looking():
        await rig.live(40)
        assert rig.said() == ("nothing_newer", "", 0)
        rig.flowing = set(DataType)
        await rig.live(1)
        assert rig.said() == ("none", "", 0)
        await rig.live(1)
        rig.flowing = set()
        limit_s = rig.beat.progress[TRADE].silence_limit / S
        assert limit_s == pytest.approx(3 * 39, 0.05)  # what was usual until now
        await rig.live(round(limit_s) + 1)
        assert len(rig.rest.requests) == 2


async def test_a_stalled_feed_reconnects_ever_less_often_and_backfills(
    clock: ManualClock,
) -> None:
    newer = page(clock.now_ns() - S, clock.now_ns() + 20 * S)
    rig = Rig(clock, *[newer] * 4, floors=dict.fromkeys((TRADE, BOOK), FREE))
    rig.flowing, found_s = {BOOK}, list[int]()
    async with rig.looking():
        for second in range(1, 200):
            await rig.live(1)
            if rig.stalled_ago_s().get(TRADE) == 0.0:
                found_s.append(second)
                assert rig.said() == ("newer", "trade", len(found_s))
                rig.disconnect()
                rig.connect()
    assert found_s == [32, 64, 124]
    assert rig.fetches == 3
    assert set(rig.telemetry.stalled_s) == {TRADE}, "the book's socket is left alone"


async def test_it_is_over_when_the_feed_brings_something(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns() + S), floors={TRADE: FREE})
    rig.flowing = set()
    async with rig.looking():
        await rig.live(33)
        assert rig.said() == ("newer", "trade", 1)
        rig.flowing = {TRADE}
        await rig.live(1)
        assert rig.said() == ("none", "", 0)
        assert rig.beat.progress[TRADE].silence_limit == 30 * S, "a pause while it was stalled teaches nothing"


async def test_what_was_fetched_may_show_that_the_market_rests_by_now(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns() + S), page(clock.now_ns() + S), floors={TRADE: FREE})
    rig.flowing = set()
    async with rig.looking():
        await rig.live(33)
        assert rig.said() == ("newer", "trade", 1)
        rig.last_trade_ts = clock.now_ns() - 32 * S + S
        await rig.live(31)
        assert rig.said() == ("nothing_newer", "", 0)


async def test_a_trade_that_was_on_its_way_is_no_stalled_feed(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns() + 60 * S), floors={TRADE: FREE})
    rig.flowing = set()
    async with rig.looking():
        await rig.live(31)
        clock.advance(1)
        rig.watch.tick()  # the look is due
        rig.telemetry.event(TRADE, clock.now_ns())
        for _ in range(8):
            await asyncio.sleep(0)
    assert len(rig.rest.requests) == 1
    assert (rig.said(), rig.telemetry.stalled_s) == (("none", "", 0), {})


async def test_a_look_that_fails_is_made_again(clock: ManualClock) -> None:
    rig = Rig(clock, AWAY, AWAY, page(clock.now_ns()), floors={TRADE: FREE})
    rig.flowing, said = set(), list[tuple[str, str, int]]()
    async with rig.looking():
        for _ in range(4):
            await rig.live(31)
            said.append(rig.said())
    assert [found for found, _, _ in said] == ["none", "failed", "failed", "nothing_newer"]
    assert rig.telemetry.stalled_s == {}


async def test_what_a_look_has_found_outlasts_one_that_fails(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns()), AWAY, floors={TRADE: FREE})
    rig.flowing = set()
    async with rig.looking():
        await rig.live(70)
    assert (len(rig.rest.requests), rig.beat.rest_look) == (2, RestLook.NOTHING_NEWER)


@pytest.mark.parametrize("stalled", [BOOK, TICKER, CANDLES])
async def test_what_follows_no_trade_is_stalled_without_a_look(clock: ManualClock, stalled: DataType) -> None:
    rig = Rig(clock)
    await rig.live(5)
    rig.flowing = set(DataType) - {stalled}
    await rig.live(31)
    assert rig.said() == ("none", "", 0)
    await rig.live(1)
    assert (rig.said(), rig.fetches) == (("none", stalled.value, 1), 1)
    assert rig.stalled_ago_s() == {stalled: 0.0}
    rig.flowing = set(DataType)
    await rig.live(1)
    assert rig.said() == ("none", "", 0)


async def test_after_a_long_rest_all_is_given_time_to_follow_the_trade(clock: ManualClock) -> None:
    rig = Rig(clock, *[page(clock.now_ns())] * 9)
    rig.flowing = set()
    async with rig.looking():
        await rig.live(300)
        rig.flowing = {TRADE}
        await rig.live(1)
        rig.flowing = set(DataType)
        await rig.live(1)
    assert rig.telemetry.stalled_s == {}


async def test_where_an_entry_is_promised_the_connection_has_its_chance_first(clock: ManualClock) -> None:
    rig = Rig(clock, *[page(clock.now_ns())] * 9, floors={TRADE: FREE, BOOK: PROMISED})
    rig.flowing = set()
    async with rig.looking():
        await rig.live(150)
        assert rig.said() == ("nothing_newer", "", 0)
        rig.disconnect()
        await rig.live(100)
        rig.connect()
        await rig.live(3)
    assert rig.said() == ("nothing_newer", "orderbook", 1)


async def test_without_trades_the_times_are_compared(clock: ManualClock) -> None:
    start_ns = clock.now_ns()
    rig = Rig(clock, page(start_ns + 15 * S), page(start_ns + 16 * S), floors=dict.fromkeys((BOOK, TICKER), FREE))
    rig.last_trade_ts, rig.beat.clock_offset_ms = 0, 1000
    async with rig.looking():
        rig.flowing = {TICKER}
        await rig.live(9)
        rig.flowing = set()
        await rig.live(31)  # the book has been silent for 40 s, the ticker for 31, the last trade was 26 s ago
        assert rig.said() == ("newer", "orderbook", 1)


async def test_there_are_no_looks_without_a_connection_or_while_we_do_not_read(clock: ManualClock) -> None:
    rig = Rig(clock, floors={TRADE: FREE})
    rig.flowing = set()
    async with rig.looking():
        rig.disconnect()
        await rig.live(100)
        rig.connect()
        await rig.live(25)
        rig.back_pressure.paused = True
        await rig.live(100)
        rig.back_pressure.paused = False
        await rig.live(30)
    assert rig.rest.requests == []


async def test_a_trouble_of_another_kind_hides_nothing(clock: ManualClock) -> None:
    rig = Rig(clock, page(clock.now_ns() + S), floors={TRADE: FREE})
    rig.flowing = set()
    rig.telemetry.trouble("checksum", "it does not match any more")
    async with rig.looking():
        await rig.live(33)
        assert rig.said() == ("newer", "trade", 1)
        rig.flowing = {TRADE}
        await rig.live(1)
    assert (rig.said(), rig.beat.state) == (("none", "", 0), WorkerState.DEGRADED)


async def test_a_new_connection_heals_it() -> None:
    """The whole way: a socket stalls and still answers pings, REST shows it, another one brings the trades."""
    clock = WatchedClock()

    async def stalls(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(okx_wire.trade(1, ms(clock)))
        while True:
            assert await peer.receive() == "ping"
            await peer.send("pong")

    async def brings_trades(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(okx_wire.trade(2, ms(clock)))

    async with ScriptedServer(stalls, brings_trades) as server:
        sockets = FeedRig(clock, server.url, TRADE)
        beat, fetches = sockets.telemetry.beat, list[None]()
        newer = okx_wire.rest(json.loads(okx_wire.trade(2, ms(clock) + 9_000))["data"])
        watch = SilenceWatch(
            {TRADE: SilenceLimits(FREE, clock.monotonic_s())},
            exchange=sockets.exchange,
            instrument=sockets.context.instrument,
            rest=shelf(newer),
            back_pressure=sockets.publisher,
            telemetry=sockets.telemetry,
            clock=clock,
            last_trade_ts=lambda: START_MS * 1_000_000,
            fetch_missed=lambda: fetches.append(None),
            settle_s=0.0,
        )

        async def story() -> None:
            await until(lambda: beat.progress[TRADE].count == 1)
            while not beat.mute:
                sockets.telemetry.snapshot(clock.now_ns(), clock.monotonic_s())
                watch.tick()
                await clock.pass_to_all(1)
            assert beat.mute == "trade"
            assert beat.progress[TRADE].last_event_at == START_MS * 1_000_000
            await until(lambda: beat.progress[TRADE].count == 2)
            clock.advance(1)
            sockets.telemetry.snapshot(clock.now_ns(), clock.monotonic_s())
            watch.tick()

        await sockets.run(story(), sockets.session("business").run(), watch.run())
        assert (server.opened, len(fetches), beat.mute, beat.rest_look) == (2, 1, "", RestLook.NONE)
    statuses = [event for event in sockets.events(TRADE) if isinstance(event, FeedStatus)]
    assert [status.reason for status in statuses] == [
        "start",
        "the exchange has newer data than it sends (trades-all)",
        "reconnect",
    ]
