"""Runs of one collector, one after the other, over a Redis in memory: each is killed, and the next one takes over."""

import asyncio
from typing import Any, TypeVar, cast

from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.flows import CandleFlow, TradeFlow
from collector_worker.integrity.router import Destinations, Router
from collector_worker.integrity.tickers import TickerGate
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.recovery.takeover import NewRun, take_over
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import FakePipe
from tickfleet.contract import keys
from tickfleet.contract.coverage import Interval, LedgerEntry, State, decode, intervals
from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS, Event
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import MaxLen

E = TypeVar("E", bound=Event)


class Runs:
    """The run that lives now, and what Redis holds of it and of those before it.

    Args:
        clock: Shows the time.
        data_types: What is collected.
        interval: That of the candles.
    """

    def __init__(self, clock: ManualClock, *data_types: DataType, interval: str = "1m") -> None:
        intervals = (interval,) if DataType.CANDLES in data_types else ()
        self._config = ExchangeCollectorConfig("okx", "BTC-USDT", data_types, candle_intervals=intervals or ("1m",))
        self._clock = clock
        self._pipe = FakePipe()
        asyncio.run(self._pipe.connect())
        self._count = 0
        self.ledger: list[LedgerEntry] = []
        """What the ledger holds."""
        self._checked = 0
        """How many entries of it have been looked at."""
        self._start_run()

    def _start_run(self) -> None:
        """As ``Worker`` does it."""
        config, clock = self._config, self._clock
        self._count += 1
        self._buffer = Buffer()
        self._telemetry = Telemetry(config, clock.now_ns())
        publisher = Publisher(self._pipe, self._telemetry, clock, self._buffer)
        streams, ledger_stream = Streams(config, MaxLen()), CoverageStream(keys.coverage(config.id), publisher)
        self._ledger = CoverageWriter(f"run{self._count}", clock, ledger_stream.append)
        new_run = NewRun(
            config=config,
            pipe=cast(RedisPipe, self._pipe),
            streams=streams,
            ledger=self._ledger,
            ledger_stream=ledger_stream,
            publisher=publisher,
            buffer=self._buffer,
            telemetry=self._telemetry,
            beat_if_due=_nobody,
        )
        restored = asyncio.run(take_over(new_run, clock.now_ns()))
        context: Any = (publisher, self._telemetry, clock, _nobody)
        self.trades, self.candles = None, {}
        track = self._ledger.track
        if DataType.TRADE in config.data_types:
            stream = streams.of_type(DataType.TRADE)
            self.trades = TradeFlow(restored.trades, stream, track(DataType.TRADE), *context)
        for interval, stream in streams.candles.items():
            candle_flow = CandleFlow(restored.candles[interval], stream, track(DataType.CANDLES, interval), *context)
            self.candles[interval] = candle_flow
        tickers = TickerGate(config.max_backfill_wait)
        ways = Destinations(self.trades, self.candles, tickers, track(DataType.ORDERBOOK), track(DataType.TICKER))
        self.book = BookSync(lambda bids, asks: 0, 25)
        self.router = Router(config, streams, ways, self.book, publisher, self._telemetry, clock)
        for stream in restored.begun_anew:
            self.router.begun_anew(stream)
        self._telemetry.feed_is("public", WorkerState.RUNNING, clock.now_ns())
        self._telemetry.heard("public")
        for each in (self.trades, *self.candles.values()):  # a connection was made
            if each is not None:
                each.probe()

    def send(self, unsent: int = 0) -> None:
        """Redis takes what waits, but for the newest entries, which a kill loses; the ledger is written where due."""
        self._ledger.tick()
        batch = self._buffer.head(1_000_000, 1_000_000_000)
        batch = batch[: max(0, len(batch) - unsent)]
        for packed in batch:
            reply = self._pipe.carry_out(packed.command)
            assert isinstance(reply, bytes), reply
            key = packed.key.decode()
            if key == keys.coverage(self._config.id):
                self.ledger.append(decode(self._pipe.streams[key][-1][1]))
        self._buffer.drop_head(len(batch))

    def settle(self) -> None:
        """Redis takes all, and how far it is is written to the ledger."""
        self._ledger.tick(now=True)
        self.send()

    def kill(self, unsent: int = 0) -> None:
        """The run ends by SIGKILL before the newest entries have gone out; the next one begins."""
        self.send(unsent)
        self._start_run()

    def events(self) -> list[Event]:
        """The data that Redis holds, in the order of the ids of each stream."""
        data = [key for key in self._pipe.streams if key != keys.coverage(self._config.id)]
        return [event for key in data for event in self._pipe.events(key)]

    def published(self, event_type: type[E]) -> list[E]:
        """The events of a type that Redis holds, in the order of their ids."""
        return [event for event in self.events() if isinstance(event, event_type)]

    @property
    def state(self) -> WorkerState:
        """The state that the heartbeat would show."""
        return self._telemetry.snapshot(self._clock.now_ns(), 0.0).state

    def check_ledger(self) -> None:
        """It says of no time that has not come yet that all is there; what is or was missing ends where it was said."""
        now_ns = self._clock.now_ns()
        if self._checked == (entries := len(self.ledger)):
            return
        self._checked = entries
        for subject in {(entry.data_type, entry.interval) for entry in self.ledger}:
            for part in intervals(self.ledger, *subject):
                assert part.to_ts <= now_ns + (part.state is not State.COMPLETE) * MAX_CLOCK_DIFFERENCE_NS

    def intervals(self, data_type: DataType, interval: str = "") -> list[Interval]:
        """What the ledger says."""
        return intervals(self.ledger, data_type, interval)


def _nobody() -> None:
    """Nobody fetches here."""
