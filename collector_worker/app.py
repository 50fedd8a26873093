"""Builds the parts of a worker, runs them, and takes them down in order: the only place that knows them all."""

import asyncio
from random import Random

from msgspec import Struct

from collector_worker import rest
from collector_worker.backoff import full_jitter
from collector_worker.book_sync import BookSync
from collector_worker.connection import Surroundings, Timing
from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.contract import ExchangeCollector, Instrument
from collector_worker.heartbeat import HeartbeatWriter
from collector_worker.integrity import CandleGate, TickerGate, TradeGate
from collector_worker.pipeline import Gates, Pipeline
from collector_worker.publisher import Publisher
from collector_worker.session import Session
from collector_worker.settings import WorkerSettings
from collector_worker.streams import Streams
from collector_worker.tail import read_tails
from collector_worker.telemetry import Telemetry
from common import keys
from common.clock import Clock, SystemClock
from common.errors import ExchangeUnavailableError, FleetError, RedisUnreachableError
from common.health import WorkerState
from common.lifecycle import run_together
from common.log import get_logger
from common.redis_client import RedisPipe


class Limits(Struct, frozen=True, kw_only=True):
    """How long a worker waits for what, seconds.

    Attributes:
        redis_wait_s: At the start supervisord brings up Redis and the collectors together; after this long it will
            not come by itself.
        flush_s: At the end. With the second that closing a socket may take, an exit stays below five.
    """

    redis_wait_s: float = 10.0
    flush_s: float = 3.5
    rest_pause_first_s: float = 0.5
    rest_pause_cap_s: float = 30.0
    clock_every_s: float = 600.0


class Worker:
    """One collector from start to exit."""

    def __init__(self, settings: WorkerSettings, clock: Clock | None = None, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._config = settings.collector
        self._clock = clock or SystemClock()
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._pipe = RedisPipe(settings.redis)
        self._telemetry = Telemetry(self._config, self._clock.now_ns())
        self._streams = Streams(self._config, settings.redis.maxlen)
        self._gates = Gates(TradeGate(), CandleGate(), TickerGate())
        self._publisher = Publisher(self._pipe, self._telemetry, self._clock)
        self._heartbeat = HeartbeatWriter(self._config.id, self._publisher, self._telemetry, self._clock)
        self._exchange: ExchangeCollector = ExchangeFactory.create_collector(self._config)

    async def run(self) -> None:
        """Collect until cancelled; flush what is buffered in any case.

        Raises:
            InvalidConfigurationError: The exchange does not know the symbol or refuses a subscription.
            RedisUnreachableError: There is no Redis at the start.
        """
        await self._reach_redis()
        sending = asyncio.create_task(self._publisher.run(), name="publisher")
        try:
            await run_together(_mirror(sending), self._heartbeat.run(), self._collect())
        except asyncio.CancelledError:
            await self._end(sending, WorkerState.STOPPED)
            raise
        except FleetError as error:
            await self._end(sending, WorkerState.ERROR, str(error), error.exit_code)
            raise
        except Exception:
            await self._end(sending, WorkerState.ERROR, "internal error, see the log", 1)
            raise
        finally:
            sending.cancel()
            await self._pipe.close()

    async def _end(self, sending: asyncio.Task[None], state: WorkerState, error: str = "", code: int = 0) -> None:
        """Publish what is buffered and the last words, within ``flush_s``."""
        self._heartbeat.last_words(state, error, code)
        if sending.done():
            return
        try:
            async with asyncio.timeout(self._limits.flush_s):
                await self._publisher.drained()
        except TimeoutError:
            if self._publisher.buffered:
                get_logger().error("entries_lost", count=self._publisher.buffered, why="Redis is away at the exit")

    # --- start ---------------------------------------------------------------------------------------------------

    async def _reach_redis(self) -> None:
        pauses_s = full_jitter(self._random, 0.1, 1.0)
        deadline_s = self._clock.monotonic_s() + self._limits.redis_wait_s
        while True:
            try:
                await self._pipe.connect()
                await read_tails(self._pipe, self._streams, self._gates.trades, self._gates.candles)
            except RedisUnreachableError as error:
                await self._pipe.close()
                if self._clock.monotonic_s() > deadline_s:
                    raise
                get_logger().warning("redis_awaited", why=str(error))
                await asyncio.sleep(next(pauses_s))
            else:
                return

    async def _collect(self) -> None:
        self._set_silence_limits()
        instrument = await self._find_instrument()
        fields = {
            name: getattr(instrument, name) for name in instrument.__struct_fields__ if name != "crossed_is_legal"
        }
        self._publisher.set_hash(keys.instrument(self._config.id), fields)
        book = BookSync(
            self._exchange.book_checksum, self._exchange.checksum_depth, crossed_is_legal=instrument.crossed_is_legal
        )
        pipeline = Pipeline(
            self._config, self._streams, self._gates, book, self._publisher, self._telemetry, self._clock
        )
        around = Surroundings(
            exchange=self._exchange,
            instrument=instrument,
            rest_root=self._config.address.rest,
            pipeline=pipeline,
            pace=self._publisher,
            telemetry=self._telemetry,
            clock=self._clock,
            timing=Timing(),
        )
        sessions = [Session(feed, around, self._random).run() for feed in self._exchange.feeds()]
        await run_together(*sessions, self._watch_clock())

    async def _find_instrument(self) -> Instrument:
        """Ask the exchange for its spelling of the symbol, until it answers."""
        pauses_s = full_jitter(self._random, self._limits.rest_pause_first_s, self._limits.rest_pause_cap_s)
        path = self._exchange.instruments_path()
        for feed in self._exchange.feeds():
            self._telemetry.feed_is(feed.name, WorkerState.CONNECTING, self._clock.now_ns())
        while True:
            try:
                answer = await rest.get(self._config.address.rest, path)
                instrument = self._exchange.read_instruments(answer.body)
            except ExchangeUnavailableError as error:
                self._telemetry.trouble("instruments", str(error))
                pause_s = next(pauses_s)
                get_logger().warning("instruments_unavailable", why=str(error), pause_s=round(pause_s, 2))
                await asyncio.sleep(pause_s)
            else:
                self._telemetry.settled("instruments")
                return instrument

    def _set_silence_limits(self) -> None:
        """The configured floor, or what the protocol promises where that is longer."""
        for feed in self._exchange.feeds():
            for channel in feed.channels:
                limit_s = max(self._config.health_check_interval, channel.silence_limit_s)
                progress = self._telemetry.beat.progress[channel.data_type]
                progress.silence_limit = max(progress.silence_limit, round(limit_s * 1e9))

    async def _watch_clock(self) -> None:
        """Measure the exchange's clock against ours, now and every few minutes."""
        while True:
            try:
                before_ns = self._clock.now_ns()
                answer = await rest.get(self._config.address.rest, self._exchange.time_path())
                middle_ns = (before_ns + self._clock.now_ns()) // 2
                offset_ms = self._exchange.read_time_ms(answer.body) - middle_ns // 1_000_000
                self._telemetry.beat.clock_offset_ms = offset_ms
            except ExchangeUnavailableError as error:
                get_logger().warning("clock_unmeasured", why=str(error))
            await asyncio.sleep(self._limits.clock_every_s)


async def _mirror(task: asyncio.Task[None]) -> None:
    """End as the task ends, but do not cancel it: it must outlive the others to flush."""
    await asyncio.shield(task)
