"""A flow of trades or bars, with everything around it in memory."""

from collections.abc import Callable

from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.flows import CandleFlow, TradeFlow
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.publish.own_streams import Streams
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.pipeline_rig import RecordingPublisher
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.events import Event, Gap
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.redis.config import MaxLen


class FlowRig:
    """Makes flows, and keeps what they publish, what they write to the ledger, and how often they ask for a look."""

    def __init__(self, clock: ManualClock) -> None:
        config = ExchangeCollectorConfig(
            "okx", "BTC-USDT", (DataType.TRADE, DataType.CANDLES), candle_intervals=tuple(INTERVAL_S)
        )
        self.clock = clock
        clock.advance(86_400.0)  # the items of ``market_items`` lie behind it
        self.telemetry = Telemetry(config, clock.now_ns())
        self.telemetry.feed_is("public", WorkerState.RUNNING, clock.now_ns())
        self.telemetry.heard("public")
        self.beat = self.telemetry.beat
        self.publisher = RecordingPublisher(self.telemetry, clock)
        self.entries: list[LedgerEntry] = []
        self.looks = 0
        self.on_look: Callable[[], None] = _nobody
        self.streams = Streams(config, MaxLen())
        self._ledger = CoverageWriter("run", clock, self.entries.append)

    def trades(self, last_id: int | None = None, last_ts: int = START_NS) -> TradeFlow:
        """The flow of trades behind a stream that ends with ``last_id``."""
        sequence = TradeSequence(60.0)
        if last_id is not None:
            sequence.restore(last_id, last_ts)
        stream, track = self.streams.of_type(DataType.TRADE), self._ledger.track(DataType.TRADE)
        return TradeFlow(sequence, stream, track, self.publisher, self.telemetry, self.clock, self._on_request)

    def candles(self, closed_until: int | None = None, interval: str = "1m") -> CandleFlow:
        """The flow of bars behind a stream with all that open before a time (ns)."""
        sequence = CandleSequence(interval, 60.0)
        if closed_until is not None:
            sequence.restore(closed_until)
        track = self._ledger.track(DataType.CANDLES, interval)
        stream = self.streams.candles[interval]
        return CandleFlow(sequence, stream, track, self.publisher, self.telemetry, self.clock, self._on_request)

    def _on_request(self) -> None:
        self.looks += 1
        self.on_look()

    @property
    def events(self) -> list[Event]:
        """What was published, of all streams."""
        return [event for _, event in self.publisher.published]

    def gap(self, **bounds: str | int) -> Gap:
        """The marker of a gap that nobody could fill, made now."""
        now_ns = self.clock.now_ns()
        return Gap(ts_event=now_ns, ts_recv=now_ns, reason="not_available", **bounds)  # type: ignore[arg-type]

    def tick(self) -> None:
        """Write to the ledger how far everything is there."""
        self._ledger.tick(now=True)

    def kinds(self) -> list[LedgerKind]:
        """The kinds of the ledger's entries."""
        return [entry.kind for entry in self.entries]

    @property
    def state(self) -> WorkerState:
        """The state that the heartbeat would show."""
        return self.telemetry.snapshot(self.clock.now_ns(), 0.0).state


def _nobody() -> None:
    """Nobody fetches here."""
