"""A pipeline whose environment a test sees."""

from collections.abc import Mapping
from typing import Any

from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.router import Router
from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import FakePipe
from tests.support.ways import make_ways
from tickfleet.contract.coverage import LedgerEntry
from tickfleet.contract.events import Event, FeedState, FeedStatus
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen
from tickfleet.redis.protocol import Scalar

_PREFIX = "md:v1:{okx:BTC-USDT}:"


class RecordingPublisher(Publisher):
    """Keeps what it is given; ``without_room`` means a full buffer."""

    def __init__(self, telemetry: Telemetry, clock: ManualClock) -> None:
        super().__init__(FakePipe(), telemetry, clock)
        self.without_room = False
        self.published: list[tuple[str, Event]] = []
        self.hashes: list[tuple[str, Mapping[str, Scalar]]] = []

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return self.without_room

    def publish(self, stream: Stream, event: Event) -> str | None:
        """Keep the event with the end of its key."""
        if self.without_room:
            return None
        self.published.append((stream.key.removeprefix(_PREFIX), event))
        return stream.pack(event)[0]

    def set_hash(self, key: str, fields: Mapping[str, Scalar]) -> None:
        """Keep the fields."""
        self.hashes.append((key, fields))


class PipelineRig:
    """A pipeline of okx:BTC-USDT, its publisher and its telemetry."""

    def __init__(self, clock: ManualClock, data_types: tuple[DataType, ...] = tuple(DataType)) -> None:
        config = ExchangeCollectorConfig("okx", "BTC-USDT", data_types)
        self.clock = clock
        self.telemetry = Telemetry(config, clock.now_ns())
        self.beat = self.telemetry.beat
        self.publisher = RecordingPublisher(self.telemetry, clock)
        streams = Streams(config, MaxLen())
        self.ledger: list[LedgerEntry] = []
        ledger = CoverageWriter("run", clock, self.ledger.append)
        self.pipeline = Router(
            config,
            streams,
            make_ways(config, streams, self.publisher, self.telemetry, clock, ledger),
            BookSync(lambda bids, asks: 0, 25),
            self.publisher,
            self.telemetry,
            clock,
        )
        self.first_hashes = self.hashes()

    def status(self, state: FeedState, reason: str) -> FeedStatus:
        """The status that the pipeline makes now."""
        now_ns = self.clock.now_ns()
        return FeedStatus(ts_event=now_ns, ts_recv=now_ns, state=state, reason=reason)

    def taken(self) -> list[tuple[str, Event]]:
        """What was published since the last look."""
        published, self.publisher.published = self.publisher.published, []
        return published

    def hashes(self) -> list[Any]:
        """The book's hashes since the last look."""
        hashes, self.publisher.hashes = self.publisher.hashes, []
        assert {key for key, _ in hashes} <= {f"{_PREFIX}book"}
        return [fields for _, fields in hashes]
