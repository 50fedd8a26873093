"""The ways of the data through a pipeline, and a REST without limits, for tests."""

from random import Random

from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.flows import CandleFlow, TradeFlow
from collector_worker.integrity.router import Destinations
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.integrity.tickers import TickerGate
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.rest.client import RestClient
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Rate
from tickfleet._util.clock import Clock
from tickfleet.contract.coverage import LedgerEntry
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import RedisConfig

FREE = Rate(per_s=1e6, burst=1e6)


class FreePermits(RateLimiter):
    """Grants everything at once, and keeps the bans it hears of."""

    def __init__(self) -> None:
        super().__init__(RedisConfig(), "okx", Random(1))
        self.bans_s: list[float] = []

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        """No wait."""
        return 0.0

    async def ban(self, seconds: float, why: str) -> None:
        """Keep it."""
        self.bans_s.append(seconds)


def free_rest(root: str) -> RestClient:
    """REST without limits."""
    return RestClient(root, FreePermits(), FREE)


def make_ways(
    config: ExchangeCollectorConfig,
    streams: Streams,
    publisher: Publisher,
    telemetry: Telemetry,
    clock: Clock,
    book: CoverageWriter | None = None,
) -> Destinations:
    """The ways of a collector that begins with empty streams."""
    written: list[LedgerEntry] = []
    book = book or CoverageWriter("run", clock, written.append)

    def fetch_soon() -> None:
        """Nobody fetches here."""

    context = (publisher, telemetry, clock, fetch_soon)
    trades = None
    if DataType.TRADE in config.data_types:
        trade_sequence, stream = TradeSequence(config.max_backfill_wait), streams.of_type(DataType.TRADE)
        trades = TradeFlow(trade_sequence, stream, book.track(DataType.TRADE), *context)
    candles = {}
    for each, stream in streams.candles.items():
        sequence = CandleSequence(each, config.max_backfill_wait)
        candles[each] = CandleFlow(sequence, stream, book.track(DataType.CANDLES, each), *context)
    tickers = TickerGate(config.max_backfill_wait)
    return Destinations(trades, candles, tickers, book.track(DataType.ORDERBOOK), book.track(DataType.TICKER))
