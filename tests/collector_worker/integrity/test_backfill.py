"""What the flows miss is asked for, page by page, through the exchange's own calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import field
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import Instrument
from collector_worker.exchanges.binance import BinanceSpot
from collector_worker.integrity.backfill import Backfiller
from collector_worker.integrity.gap_sequencer import PATIENCE_TRIES
from collector_worker.integrity.sequences import MAX_JUMP
from collector_worker.rest.http import HttpAnswer
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tests.support.market_items import MINUTE_NS, START_NS, bar, trade
from tests.support.shelf import Shelf, shelf
from tests.support.waiting import PATIENCE_S, until
from tests.support.ways import FREE, FreePermits
from tickfleet.contract.events import Candle, Event, Gap, Trade
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError

INSTRUMENT = Instrument(symbol="BTC-USDT", native="BTCUSDT", state="TRADING", tick_size="", lot_size="", min_size="")


async def loop_turns() -> None:
    """Time enough for whatever can go on without waiting."""
    for _ in range(50):
        await asyncio.sleep(0)


class Ease:
    """A back_pressure that the test sets."""

    def __init__(self) -> None:
        self.paused = False
        self.resume = asyncio.Event()

    async def resumed(self) -> None:
        await self.resume.wait()


class Rig(FlowRig):
    """A backfiller of both flows over a shelf; pages hold three trades."""

    def __init__(self, clock: ManualClock, *answers: bytes | Exception, rest: Shelf | None = None) -> None:
        super().__init__(clock)
        self.rest = rest or shelf(*answers)
        exchange = BinanceSpot(ExchangeCollectorConfig("binance", "BTC-USDT", (DataType.TRADE,)))
        exchange.trades_page = 3
        self.back_pressure = Ease()
        self.backfiller = Backfiller(self.rest, exchange, INSTRUMENT, self.back_pressure, clock)
        self.on_look = self.backfiller.wake

    @asynccontextmanager
    async def fetching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.backfiller.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.backfiller.wake()

    @property
    def ids(self) -> list[tuple[str, str]]:
        return [(event.trade_id, event.origin) for event in self.events if isinstance(event, Trade)]

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.rest.requests]


def trades(*numbers: int) -> bytes:
    rows = [
        {"id": n, "price": "1", "qty": "2", "time": START_NS // 10**6 + n, "isBuyerMaker": True} for n in numbers
    ]  # fmt: skip
    return json.dumps(rows).encode()


def klines(*minutes: int) -> bytes:
    rows = [[START_NS // 10**6 + minute * 60_000, "1", "1", "1", "1", "1", 0, "1"] for minute in minutes]
    return json.dumps(rows).encode()


def path_from(number: int) -> str:
    return f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={number}&limit=3"


def passed(event: Event) -> tuple[str, bool] | None:
    return (str((event.open_time - START_NS) // MINUTE_NS), event.closed) if isinstance(event, Candle) else None


async def test_a_hole_is_fetched_page_by_page(clock: ManualClock) -> None:
    rig = Rig(clock, trades(11, 12, 13), trades(14, 15, 16))
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.on_live(trade(16))
        await rig.pass_time(0.3)
        await until(lambda: len(rig.ids) == 6)
    assert rig.ids == [*((str(n), "backfill") for n in range(11, 17))]
    assert rig.rest.requests == [(path_from(11), 25.0), (path_from(14), 25.0), (path_from(17), 25.0)]
    assert rig.beat.backfilled == 6


async def test_a_connection_is_followed_by_looks_behind_what_is_there(clock: ManualClock) -> None:
    rig = Rig(clock, trades(), trades(11), trades())
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.probe()
        await until(lambda: len(rig.paths) == 1)
        await rig.pass_time(3.0)
        await until(lambda: rig.ids)
        await rig.pass_time(12.0)
        await until(lambda: len(rig.paths) == 3)
    assert rig.paths == [path_from(11), path_from(11), path_from(12)]
    assert rig.ids == [("11", "backfill")]


async def test_trades_that_pass_meanwhile_are_not_asked_for(clock: ManualClock) -> None:
    rig = Rig(clock, trades(11, 12))
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.on_live(trade(12))
        trade_flow.on_live(trade(11))
        await rig.pass_time(0.3)
        await loop_turns()
    assert (rig.ids, rig.paths) == ([("11", "live"), ("12", "live")], [])


async def test_a_rest_that_fails_is_asked_again_and_the_rest_waits(clock: ManualClock) -> None:
    rig = Rig(clock, ExchangeUnavailableError("busy"), b"<html>", b'{"code":-1003,"msg":"x"}', trades(11))
    trade_flow = rig.backfiller.trades = rig.trades(10)
    with capture_logs() as logs:
        async with rig.fetching():
            trade_flow.on_live(trade(12))
            for number, pause_s in enumerate((0.3, 0.5, 1.0, 2.0), 1):
                await rig.pass_time(pause_s)
                await until(lambda number=number: len(rig.paths) == number)  # type: ignore[misc]
            await until(lambda: len(rig.ids) == 2)
    assert rig.ids == [("11", "backfill"), ("12", "live")]
    failures = [(line["what"], line["first"], line["why"]) for line in logs if line["event"] == "backfill_failed"]
    assert failures == [
        ("trades", 11, "busy"),
        ("trades", 11, "Binance answered with something that is not its protocol"),
        ("trades", 11, "Binance answered with error code -1003"),
    ]


async def test_a_rest_that_hangs_does_not_hold_live_data_for_longer_than_it_may(clock: ManualClock) -> None:
    rig = Rig(clock)
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.on_live(trade(12))
        await rig.pass_time(0.3)
        await until(lambda: rig.paths)
        clock.advance(60.0)
        rig.backfiller.pass_time()
    assert rig.events == [rig.gap(from_id="10", to_id="12"), trade(12)]


class Archive(Shelf, frozen=True):
    """A REST that has every trade up to the newest; each answer takes a second."""

    clock: ManualClock = field(default_factory=ManualClock)
    newest: int = 0

    async def fetch(self, path: str, units: float = 1.0) -> HttpAnswer:
        """The page that begins where the path says."""
        self.requests.append((path, units))
        self.clock.advance(1.0)
        await asyncio.sleep(0)
        first = int(path.partition("fromId=")[2].partition("&")[0])
        return HttpAnswer(200, trades(*range(first, min(first + 3, self.newest + 1))))


@pytest.mark.parametrize("newest", [1_000_000, MAX_JUMP], ids=["a million", "a thousand million"])
async def test_ids_that_jump_are_fetched_no_longer_than_live_trades_may_wait(clock: ManualClock, newest: int) -> None:
    """Where REST says that all trades between were made, so that it would take days to fetch them."""
    rig = Rig(clock, rest=Archive("http://x", FreePermits(), FREE, clock=clock, newest=newest))
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.on_live(trade(newest))
        await rig.pass_time(0.3)
        await until(lambda: rig.events[-1:] == [trade(newest)])
        await loop_turns()
        trade_flow.on_live(trade(newest + 1))
    assert len(rig.paths) == 60
    last = 10 + 3 * 60
    assert rig.ids == [
        *((str(number), "backfill") for number in range(11, last + 1)), (str(newest), "live"), (str(newest + 1), "live")
    ]  # fmt: skip
    (gap,) = [event for event in rig.events if isinstance(event, Gap)]
    assert (gap.from_id, gap.to_id, rig.events.index(gap)) == (str(last), str(newest), last - 10)
    assert (rig.beat.gaps, rig.beat.backfilled, rig.state) == (1, last - 10, WorkerState.RUNNING)


async def test_ids_that_jump_where_rest_has_nothing_between(clock: ManualClock) -> None:
    """The answer that begins with the one behind the jump is believed after a few."""
    answers = [trades(1_000_000, 1_000_001, 1_000_002)] * (PATIENCE_TRIES + 1)
    rig = Rig(clock, *answers)
    trade_flow = rig.backfiller.trades = rig.trades(10)
    async with rig.fetching():
        trade_flow.on_live(trade(1_000_000))
        for tries in range(1, PATIENCE_TRIES + 1):
            await rig.pass_time(8.0)
            await until(lambda tries=tries: len(rig.paths) >= tries)  # type: ignore[misc]
        await until(lambda: rig.ids)
    assert rig.events[0] == rig.gap(from_id="10", to_id="1000000")
    assert rig.ids[0] == ("1000000", "live")


async def test_it_waits_while_redis_is_behind(clock: ManualClock) -> None:
    rig = Rig(clock, trades(11, 12, 13), trades(14, 15))
    trade_flow = rig.backfiller.trades = rig.trades(10)
    rig.back_pressure.paused = True
    async with rig.fetching():
        trade_flow.on_live(trade(16))
        await rig.pass_time(0.3)
        await until(lambda: len(rig.ids) == 3)
        await loop_turns()
        assert len(rig.paths) == 1
        rig.back_pressure.resume.set()
        await until(lambda: len(rig.ids) == 6)


async def test_bars_are_asked_for_from_the_first_that_is_missing(clock: ManualClock) -> None:
    rig = Rig(clock, klines(3, 4, 5))
    candle_flow = rig.backfiller.candles["1m"] = rig.candles(START_NS + 3 * MINUTE_NS)
    async with rig.fetching():
        candle_flow.on_live(bar(5, closed=False))
        await rig.pass_time(3.0)
        await until(lambda: len(rig.events) == 3)
    start = START_NS // 10**6 + 180_000
    assert rig.rest.requests == [
        (f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={start}&limit=1000", 2.0)
    ]  # fmt: skip
    assert [passed(event) for event in rig.events] == [("3", True), ("4", True), ("5", False)]


async def test_an_empty_stream_costs_nothing_while_no_data_comes(clock: ManualClock) -> None:
    """A look that cannot be taken yet must not keep the loop turning."""
    rig = Rig(clock)
    trade_flow = rig.backfiller.trades = rig.trades()
    turns = 0

    def count() -> bool:
        nonlocal turns
        turns += 1
        return False

    trade_flow.pass_time = count  # type: ignore[assignment,method-assign]
    async with rig.fetching():
        trade_flow.probe()
        await loop_turns()
    assert turns <= 2


async def test_a_probe_is_one_of_every_flow(clock: ManualClock) -> None:
    rig = Rig(clock)
    rig.backfiller.trades = trades = rig.trades(10)
    rig.backfiller.candles["1m"] = candles = rig.candles(START_NS)
    assert (trades.request(), candles.request()) == (None, None)
    rig.backfiller.probe()
    assert (trades.request(), candles.request()) == (11, START_NS // MINUTE_NS)


@pytest.mark.parametrize("kind", ["trades", "candles"])
async def test_a_bug_in_a_page_is_not_hidden(clock: ManualClock, kind: str) -> None:
    rig = Rig(clock, RuntimeError("a bug"))
    if kind == "trades":
        rig.backfiller.trades = rig.trades(10)
        rig.backfiller.trades.probe()
    else:
        rig.backfiller.candles["1m"] = rig.candles(START_NS)
        rig.backfiller.candles["1m"].probe()
    with pytest.raises(RuntimeError, match="a bug"):
        async with asyncio.timeout(PATIENCE_S):
            await rig.backfiller.run()
