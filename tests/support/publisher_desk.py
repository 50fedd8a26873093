"""A publisher over a Redis in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from collector_worker.publish.buffer import Buffer
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.publish.spool import Spool
from collector_worker.recovery.spool_replay import SpoolReplay
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import FakePipe, Fault
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.events import Ticker, Trade
from tickfleet.contract.identity import DataType

NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000
QUICK = Pacing(batch_entries=3, paused_entries=6, resume_entries=2, retry_first_s=0.0)


def trade(number: int) -> Trade:
    """The trade of a number, now."""
    return Trade(NOW, NOW, str(number), "1.5", "0.1", "buy")


def ticker(last: int, ts_event: int = NOW) -> Ticker:
    """A ticker with a last price."""
    return Ticker(ts_event=ts_event, ts_recv=NOW, last=str(last))


class Desk:
    """A publisher over a Redis in memory, with two streams: ``t`` of trades, ``k`` of tickers."""

    def __init__(
        self, *faults: Fault, pacing: Pacing = QUICK, buffer_bytes: int = 1_000_000, spool: Spool | None = None
    ) -> None:
        config = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE, DataType.TICKER))
        self.pipe = FakePipe(faults)
        self.clock = ManualClock()
        self.telemetry = Telemetry(config, NOW)
        self.buffer = Buffer(buffer_bytes, spool)
        self.publisher = Publisher(self.pipe, self.telemetry, self.clock, self.buffer, pacing)
        self.trades = Stream("t", DataType.TRADE, 1_000)
        self.tickers = Stream("k", DataType.TICKER, 1_000)

    def publish_trades(self, *numbers: int) -> list[str | None]:
        """Publish trades; their entry ids."""
        return [self.publisher.publish(self.trades, trade(number)) for number in numbers]

    async def publish_spool_files(self, ledger: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Publish what earlier runs left in their files."""
        publisher = SpoolReplay(self.pipe, self.telemetry, self.publisher.carry_out, self.publisher.batch_bytes)
        await publisher.publish(self.buffer.spool_files, ledger.encode(), meanwhile)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send in the background; at the end everything is confirmed."""
        task = asyncio.create_task(self.publisher.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
                await self.publisher.drained()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def send_all(self) -> None:
        """Send until everything is confirmed."""
        with capture_logs():
            async with self.sending():
                pass

    @property
    def trade_ids(self) -> list[str]:
        """The entry ids that Redis holds."""
        return self.pipe.ids("t")

    @property
    def names(self) -> list[list[str]]:
        """The commands of each attempt, by name."""
        return [[command[0] for command in attempt] for attempt in self.pipe.attempts]
