"""All that is around one socket of an OKX collector, with Redis in memory."""

import asyncio
from collections.abc import Awaitable
from random import Random
from typing import ClassVar

from msgspec.structs import replace

from collector_worker.connection.connection import Connection, ConnectionContext, Timing
from collector_worker.connection.session import BackoffLimits, Session
from collector_worker.exchanges.adapter import Feed, Instrument
from collector_worker.exchanges.okx import Okx
from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.router import Router
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import DEFAULT_TRANSPORT, ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.support.fakes import FakePipe
from tests.support.waiting import PATIENCE_S
from tests.support.ways import FREE, FreePermits, free_rest, make_ways
from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.events import Event
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen

QUICK = Timing(open_s=2.0, close_s=0.2, tick_s=0.002)
"""Looks often; what it waits for passes by the test's clock."""

PATIENCE = BackoffLimits(first_pause_s=0.001, pause_cap_s=0.001, overlap_s=0.05)


class Rig:
    """Makes connections and sessions, and keeps what they publish.

    Args:
        ws: Address of the WebSocket server, without a path.
        rest: Address of the REST server.
    """

    transport: ClassVar[str] = DEFAULT_TRANSPORT
    """What reads the sockets; the fixture ``each_transport`` sets it."""

    def __init__(
        self,
        clock: Clock,
        ws: str,
        *data_types: DataType,
        rest: str = "http://127.0.0.1:9",
        timing: Timing = QUICK,
        params: dict[str, str] | None = None,
    ) -> None:
        endpoints = Endpoints(ws_public=f"{ws}/ws/v5/public", ws_business=f"{ws}/ws/v5/business", rest=rest)
        config = ExchangeCollectorConfig(
            "okx",
            "BTC-USDT",
            data_types or tuple(DataType),
            endpoints=endpoints,
            custom_params=params,
            transport=self.transport,
        )
        self.config = config
        self.clock = clock
        self.pipe = FakePipe()
        self.telemetry = Telemetry(config, clock.now_ns())
        self.publisher = Publisher(self.pipe, self.telemetry, clock, pacing=Pacing(retry_first_s=0.0))
        self.exchange = Okx(config)
        book = BookSync(self.exchange.book_checksum, self.exchange.checksum_depth)
        streams = Streams(config, MaxLen())
        self.pipeline = Router(
            config,
            streams,
            make_ways(config, streams, self.publisher, self.telemetry, clock),
            book,
            self.publisher,
            self.telemetry,
            clock,
        )
        self.context = ConnectionContext(
            exchange=self.exchange,
            instrument=Instrument(
                symbol="BTC-USDT", native="BTC-USDT", state="live", tick_size="0.1", lot_size="0.1", min_size="0.1"
            ),
            rest=free_rest(rest),
            rate_limiter=FreePermits(),
            connect_rate=FREE,
            transport=config.transport,
            recorder=None,
            pipeline=self.pipeline,
            fast_path=None,
            back_pressure=self.publisher,
            telemetry=self.telemetry,
            clock=clock,
            timing=timing,
        )

    def feed(self, name: str = "public") -> Feed:
        """One of the collector's feeds."""
        return next(feed for feed in self.exchange.feeds() if feed.name == name)

    def connection(self, name: str = "public", *, silence_s: float | None = None) -> Connection:
        """A connection of a feed; ``silence_s`` in place of the limits of its channels."""
        feed = self.feed(name)
        if silence_s is not None:
            feed = replace(feed, channels=tuple(replace(c, silence_limit_s=silence_s) for c in feed.channels))
        return Connection(feed, self.context)

    def session(
        self, name: str = "public", random: Random | None = None, patience: BackoffLimits = PATIENCE
    ) -> Session:
        """A session of a feed."""
        return Session(self.feed(name), self.context, random or Random(1), patience)

    async def run(self, *works: Awaitable[object]) -> None:
        """Run until the first of the works ends, publishing meanwhile and to the end; raises what it raises."""
        sending = asyncio.create_task(self.publisher.run())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            async with asyncio.timeout(PATIENCE_S):
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.publisher.drained()
            sending.cancel()
            await asyncio.wait([sending])

    def events(self, data_type: DataType, interval: str = "") -> list[Event]:
        """What Redis holds of a stream."""
        return self.pipe.events(keys.stream(self.config.id, data_type, interval))

    @property
    def book_hash(self) -> dict[str, str]:
        """What Redis holds of the book."""
        return self.pipe.hashes.get(keys.book(self.config.id), {})
