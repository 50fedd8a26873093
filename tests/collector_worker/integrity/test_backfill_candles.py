"""Every interval that an exchange offers is repaired from its simulator, which refuses what the exchange refuses."""

import asyncio

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.adapter import Instrument
from collector_worker.integrity.backfill import Backfiller
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import PROFILES
from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.candles import CandleSeries
from tests.simulator.clock import ManualClock as SimulatorClock
from tests.simulator.events import Side, Trade
from tests.simulator.faults import Rest500
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.clock import ManualClock
from tests.support.flow_rig import FlowRig
from tests.support.waiting import PATIENCE_S, until
from tests.support.ways import free_rest
from tickfleet.contract.events import Candle
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import number_at, opens_at

NS_PER_MS = 1_000_000
NATIVE = {"binance": "BTCUSDT", "okx": "BTC-USDT"}


def source_of(exchange: str, start_ms: int) -> BinanceSource | OkxSource:
    """A market that does nothing by itself."""
    if exchange == "binance":
        options = BinanceOptions(instruments=("BTCUSDT",), trades_per_s=0.0, books_per_s=0.0, warmup_ms=1_000)
        return BinanceSource(options, start_ms)
    return OkxSource(
        OkxOptions(instruments=("BTC-USDT",), trades_per_s=0.0, books_per_s=0.0, warmup_ms=1_000), start_ms
    )


def trade_in_each_bar(series: CandleSeries, bars: int) -> None:
    """Let the market have had one trade in each of so many bars before the present one."""
    period, ends_ms = series.period, series.running.open_ms
    series.closed.clear()
    opens_ms = ends_ms - bars * period.length_ms
    past = CandleSeries(period, opens_ms, series.running.open, keep=bars)
    for number in range(bars):
        price = 400_000 + number
        past.add(Trade(1 + number, opens_ms + number * period.length_ms, Side.BID, price, 5 + number), 7, 9)
        past.roll(opens_ms + (number + 1) * period.length_ms)
    series.closed += past.closed


def spelt(exchange: str, interval: str) -> str:
    """What the exchange calls bars that begin at UTC boundaries (sheets, sections 4.4)."""
    if exchange == "binance":
        return interval
    name = interval if interval.endswith(("s", "m")) else interval.upper()
    return f"{name}utc" if interval in ("6h", "12h", "1d", "1w") else name


@pytest.mark.parametrize("missing", [3, 1_700], ids=["a moment", "more than the recent bars of OKX"])
@pytest.mark.parametrize(
    ("exchange", "interval"), [(name, each) for name, profile in PROFILES.items() for each in profile.candle_intervals]
)
async def test_bars_that_were_missed_are_fetched(
    exchange: str, interval: str, missing: int, clock: ManualClock
) -> None:
    clock.advance(0.5)
    now_ms = clock.now_ns() // NS_PER_MS
    source, simulator_clock = source_of(exchange, now_ms), SimulatorClock(now_ms)
    series = source.market.desks[NATIVE[exchange]].candles[spelt(exchange, interval)]
    trade_in_each_bar(series, missing + 2)
    running = number_at(interval, clock.now_ns())
    rig = FlowRig(clock)
    candle_flow = rig.candles(opens_at(interval, running - missing), interval)
    config = ExchangeCollectorConfig(exchange, "BTC-USDT", (DataType.CANDLES,), candle_intervals=(interval,))
    adapter = ExchangeFactory.create_collector(config)
    instrument = Instrument(
        symbol="BTC-USDT", native=NATIVE[exchange], state="", tick_size="", lot_size="", min_size=""
    )

    with capture_logs() as logs:
        async with asyncio.timeout(PATIENCE_S), Simulator(source, clock=simulator_clock) as simulator:
            simulator.faults.start(Rest500(for_ms=100))
            backfiller = Backfiller(free_rest(simulator.rest), adapter, instrument, rig.publisher, clock)
            backfiller.candles[interval] = candle_flow
            rig.on_look = backfiller.wake
            fetching = asyncio.create_task(backfiller.run())
            opened = opens_at(interval, running)
            candle_flow.on_live(
                Candle(ts_event=opened, ts_recv=opened, interval=interval, open_time=opened, close_time=opened + 1,
                       open="1", high="1", low="1", close="1", volume="1")
            )  # fmt: skip
            clock.advance(3.0)
            backfiller.wake()
            await until(lambda: logs, "the first question, which fails")
            simulator_clock.move(100)
            clock.advance(1.0)
            backfiller.wake()
            await until(lambda: len(rig.events) > missing, "all bars")
            fetching.cancel()
            await asyncio.wait([fetching])
    fetched = [event for event in rig.events if isinstance(event, Candle) and event.closed]
    assert len(rig.events) == missing + 1
    assert [(bar.open_time, bar.close_time) for bar in fetched] == [
        (opens_at(interval, number), opens_at(interval, number + 1)) for number in range(running - missing, running)
    ]
    text = source.market.desks[NATIVE[exchange]].instrument
    assert [(bar.open, bar.close) for bar in fetched] == [
        (text.price_text(bar.open), text.price_text(bar.close)) for bar in series.closed[2 : missing + 2]
    ]
