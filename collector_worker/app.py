"""Builds the parts of a worker, runs them, and stops them in order; the only place that knows all of them."""

import asyncio
from functools import partial
from random import Random

from msgspec import Struct

from collector_worker.connection.connection import ConnectionContext, Timing
from collector_worker.connection.session import Session
from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.adapter import ExchangeCollector, Instrument
from collector_worker.fastpath.compiled import compiled
from collector_worker.health.clock_offset import ClockOffset
from collector_worker.health.heartbeat import HeartbeatWriter, read_former
from collector_worker.health.instrument import InstrumentWatch
from collector_worker.health.silence import SilenceWatch
from collector_worker.health.silence_limits import SilenceLimits, floors_of, limits_of_former_run
from collector_worker.integrity.backfill import Backfiller
from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.fast_path import FastPath
from collector_worker.integrity.flows import CandleFlow, TradeFlow
from collector_worker.integrity.router import Destinations, Router
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.integrity.tickers import TickerGate
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.kept_keys import Kept, KeptKeys
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.publish.spool import Spool
from collector_worker.recovery.other_run import heed_other
from collector_worker.recovery.takeover import NewRun, take_over
from collector_worker.rest.client import RestClient
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.settings import WorkerSettings
from collector_worker.telemetry.recorder import FrameRecorder
from collector_worker.telemetry.telemetry import Telemetry
from common.process.lifecycle import run_together
from common.process.log import Failures, get_logger
from tickfleet._util.backoff import full_jitter
from tickfleet._util.clock import Clock, SystemClock
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import (
    ExchangeUnavailableError,
    FleetError,
    NotServedHereError,
    PlaceRefusedError,
    RedisUnreachableError,
    SupersededError,
    UnknownSymbolError,
)
from tickfleet.redis.client import RedisPipe

SPOOL_BYTES = 1024 * 1024 * 1024
HOUSEKEEPING_S = 1.0


class RunLimits(Struct, frozen=True, kw_only=True):
    """How long a worker waits for what, seconds.

    Attributes:
        redis_wait_s: For Redis at the start. supervisord starts Redis and the collectors together; after this time
            Redis will not come by itself.
        denied_pause_s: Before the exchange is asked again after it did not list the symbol, or did not serve this
            location.
        flush_s: For the flush at the end. Closing a socket may take one more second, so an exit takes less than five.
    """

    redis_wait_s: float = 10.0
    flush_s: float = 3.5
    rest_pause_first_s: float = 0.5
    rest_pause_cap_s: float = 30.0
    denied_pause_s: float = 2.0
    clock_every_s: float = 600.0


class Worker:
    """One collector from start to exit."""

    def __init__(self, settings: WorkerSettings, clock: Clock | None = None, limits: RunLimits | None = None) -> None:
        self._limits = limits or RunLimits()
        self._config = config = settings.collector
        self._by_hand, self._asks = settings.by_hand, settings.asks
        self._expressly = settings.fast_path and clock is None
        self._clock = clock or SystemClock()
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._pipe = RedisPipe(settings.redis)
        self._telemetry = Telemetry(config, self._clock.now_ns())
        self._streams = Streams(config, settings.redis.maxlen)
        self._trades: TradeSequence
        self._candles: dict[str, CandleSequence]
        beat = self._telemetry.beat
        run = f"{beat.started_at}-{beat.run_id}"
        self._buffer = Buffer(spool=Spool(settings.var / "spool", config.id.program, run, SPOOL_BYTES))
        self._publisher = Publisher(self._pipe, self._telemetry, self._clock, self._buffer)
        self._heartbeat = HeartbeatWriter(config.id, self._publisher, self._telemetry, self._clock)
        self._exchange: ExchangeCollector = ExchangeFactory.create_collector(config)
        self._recorder = FrameRecorder(settings.var / "raw", config.id, self._clock) if config.store_raw_data else None
        self._rate_limiter = RateLimiter(
            settings.redis,
            config.exchange,
            self._random,
            on_unshared=self._telemetry.limits_are_unshared,
            on_ban=self._telemetry.banned,
        )
        self._pipeline: Router | None = None
        self._failures = Failures()
        self._silence_limits: dict[DataType, SilenceLimits] = {}
        self._rest = RestClient(
            config.address.rest, self._rate_limiter, config.rates.rest, self._recorder, self._telemetry
        )
        self._ledger_stream = CoverageStream(keys.coverage(config.id), self._publisher)
        self._ledger = CoverageWriter(self._telemetry.beat.run_id, self._clock, self._ledger_stream.append)

    async def run(self) -> None:
        """Collect until cancelled; flush what is buffered in any case.

        Raises:
            AlreadyCollectedError: Another run collects the same, and must not be ended unasked.
            InvalidConfigurationError: The exchange does not know the symbol or refuses a subscription.
            RedisUnreachableError: There is no Redis at the start.
            SupersededError: A newer run of the same collector has begun.
        """
        try:
            await self._reach_redis()
            await self._run_with_redis()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self._buffer.close()
            await self._pipe.close()

    async def _run_with_redis(self) -> None:
        sending = asyncio.create_task(self._publisher.run(), name="publisher")
        try:
            await run_together(_mirror(sending), self._heartbeat.run(), self._rate_limiter.watch(), self._collect())
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

    async def _end(self, sending: asyncio.Task[None], state: WorkerState, error: str = "", code: int = 0) -> None:
        """Publish buffered entries and the last heartbeat within ``flush_s``; save the rest for the next run."""
        if not sending.done():
            if self._pipeline is not None:
                self._pipeline.stop()
            self._telemetry.gather()
            self._ledger.tick(now=True)
            self._ledger_stream.settle()
            self._heartbeat.last_words(state, error, code)
            draining = asyncio.create_task(self._publisher.drained())
            both = {sending, draining}
            await asyncio.wait(both, timeout=self._limits.flush_s, return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
        why = sending.exception() if sending.done() else None
        sending.cancel()
        await asyncio.wait([sending])
        if self._publisher.buffered and not isinstance(why, SupersededError):  # else a newer run has gone on
            waiting = self._publisher.buffered
            lost = self._publisher.save()
            because = "Redis is away at the exit" if why is None else "the streams are not as this run left them"
            get_logger().warning("entries_kept", count=waiting - lost, lost=lost, why=because)

    # --- start ---------------------------------------------------------------------------------------------------

    async def _reach_redis(self) -> None:
        """Connect to Redis and take over; if that fails, the files of earlier runs stay as they are."""
        pauses_s = full_jitter(self._random, 0.1, 1.0)
        deadline_s = self._clock.monotonic_s() + self._limits.redis_wait_s
        while True:
            try:
                await self._pipe.connect()
                await self._take_over_streams()
            except RedisUnreachableError as error:
                await self._pipe.close()
                if self._clock.monotonic_s() > deadline_s:
                    raise
                self._failures.warn("redis_awaited", error)
                await asyncio.sleep(next(pauses_s))
            else:
                return

    async def _take_over_streams(self) -> None:
        """Become the only writer, and continue where earlier runs ended."""
        if self._by_hand:
            await heed_other(self._pipe, self._config.id, self._telemetry.beat.run_id, ends_it=not self._asks)
        await self._pipe.take_fence(keys.writer(self._config.id))
        self._silence_limits = self._silence_limits or self._first_limits(
            await read_former(self._pipe, self._config.id)
        )
        run = NewRun(
            config=self._config,
            pipe=self._pipe,
            streams=self._streams,
            ledger=self._ledger,
            ledger_stream=self._ledger_stream,
            publisher=self._publisher,
            buffer=self._buffer,
            telemetry=self._telemetry,
            beat_if_due=self._heartbeat.beat_if_due,
        )
        restored = await take_over(run, self._clock.now_ns())
        self._trades, self._candles, self._begun_anew = restored.trades, restored.candles, restored.begun_anew

    async def _collect(self) -> None:
        instrument = await self._find_instrument()
        backfiller = Backfiller(self._rest, self._exchange, instrument, self._publisher, self._clock)
        silence = self._watch_silence(instrument, backfiller)
        self._pipeline = self._make_pipeline(instrument, backfiller)
        shared = (self._exchange, self._rest, self._publisher, self._telemetry, self._random)
        watch = InstrumentWatch(self._config.id, instrument, self._pipeline.book, *shared)
        watch.publish()
        self._watch_keys(self._pipeline, watch)
        for stream in self._begun_anew:
            self._pipeline.begun_anew(stream)
        context = ConnectionContext(
            exchange=self._exchange,
            instrument=instrument,
            rest=self._rest,
            rate_limiter=self._rate_limiter,
            connect_rate=self._config.rates.connect,
            transport=self._config.transport,
            recorder=self._recorder,
            pipeline=self._pipeline,
            fast_path=self._make_fast_path(instrument, backfiller.trades),
            back_pressure=self._publisher,
            telemetry=self._telemetry,
            clock=self._clock,
            timing=Timing(),
        )
        sessions = [Session(feed, context, self._random).run() for feed in self._exchange.feeds()]
        clock = ClockOffset(self._exchange, self._rest, self._telemetry, self._clock, self._limits.clock_every_s)
        housekeeping = self._housekeeping(backfiller, silence)
        await run_together(*sessions, backfiller.run(), watch.run(), silence.run(), clock.run(), housekeeping)

    def _watch_keys(self, pipeline: Router, instrument: InstrumentWatch) -> None:
        """Watch that keys stay in Redis: the streams, the ledger, and keys that are written too rarely to come back."""
        kept = KeptKeys(self._telemetry)
        for stream in self._streams.all():
            kept.keep(stream.key_bytes, Kept(partial(pipeline.begun_anew, stream), stream.maxlen))
        kept.keep(keys.coverage(self._config.id).encode(), Kept(lambda: None, keys.COVERAGE_MAXLEN))
        kept.keep(keys.instrument(self._config.id).encode(), Kept(instrument.publish))
        self._publisher.watch(kept)

    def _first_limits(self, former_beat: dict[str, str]) -> dict[DataType, SilenceLimits]:
        """The silence limits that an earlier run learnt, else the floors; every heartbeat of this run has them."""
        beat, now_s = self._telemetry.beat, self._clock.monotonic_s()
        floors = floors_of(self._config.health_check_interval, self._exchange.feeds())
        former_s = limits_of_former_run(former_beat, beat.config_id)
        limits = {each: SilenceLimits(floor, now_s, former_s.get(each, 0.0)) for each, floor in floors.items()}
        for each in limits:
            beat.progress[each].silence_limit = limits[each].limit_ns
        return limits

    def _watch_silence(self, instrument: Instrument, backfiller: Backfiller) -> SilenceWatch:
        return SilenceWatch(
            self._silence_limits,
            exchange=self._exchange,
            instrument=instrument,
            rest=self._rest,
            back_pressure=self._publisher,
            telemetry=self._telemetry,
            clock=self._clock,
            last_trade_ts=lambda: self._trades.last_ts,
            fetch_missed=backfiller.probe,
        )

    def _make_pipeline(self, instrument: Instrument, backfiller: Backfiller) -> Router:
        context = (self._publisher, self._telemetry, self._clock, backfiller.wake)
        wanted, track = self._config.data_types, self._ledger.track
        trades = None
        if DataType.TRADE in wanted:
            stream = self._streams.of_type(DataType.TRADE)
            trades = backfiller.trades = TradeFlow(self._trades, stream, track(DataType.TRADE), *context)
        for interval, stream in self._streams.candles.items():
            sequence = self._candles[interval]
            candle_flow = CandleFlow(sequence, stream, track(DataType.CANDLES, interval), *context)
            backfiller.candles[interval] = candle_flow
        tickers = TickerGate(self._config.max_backfill_wait)
        ways = Destinations(trades, backfiller.candles, tickers, track(DataType.ORDERBOOK), track(DataType.TICKER))
        book = BookSync(
            self._exchange.book_checksum, self._exchange.checksum_depth, crossed_is_legal=instrument.crossed_is_legal
        )
        return Router(self._config, self._streams, ways, book, self._publisher, self._telemetry, self._clock)

    def _make_fast_path(self, instrument: Instrument, trades: TradeFlow | None) -> FastPath | None:
        """The fast path; None if it is not compiled or not wanted, or if other code must see each frame or the time."""
        native, shape = compiled(), self._exchange.trade_shape(instrument)
        if native is None or shape is None or trades is None or not self._expressly or self._recorder is not None:
            return None
        stream = self._streams.of_type(DataType.TRADE)
        return FastPath(native, shape, trades, stream, self._publisher, self._telemetry)

    async def _housekeeping(self, backfiller: Backfiller, silence: SilenceWatch) -> None:
        """Work that must happen each second, whatever the exchange and its REST do."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            self._telemetry.gather()
            backfiller.pass_time()
            silence.tick()
            self._ledger.tick()
            self._ledger_stream.settle()
            if self._recorder is not None:
                self._recorder.tick()

    async def _find_instrument(self) -> Instrument:
        """Ask the exchange for its spelling of the symbol, until it answers.

        Raises:
            UnknownSymbolError: Two answers do not list the symbol; a single answer may come from a cache.
            NotServedHereError: The exchange says twice that it does not serve this location.
        """
        pauses_s = full_jitter(self._random, self._limits.rest_pause_first_s, self._limits.rest_pause_cap_s)
        path = self._exchange.instruments_path()
        for feed in self._exchange.feeds():
            self._telemetry.feed_is(feed.name, WorkerState.CONNECTING, self._clock.now_ns())
        denied = refused_before = False
        while True:
            try:
                answer = await self._rest.fetch(path, self._exchange.rest_units(path))
                instrument = answer.read(self._exchange.read_instruments)
            except ExchangeUnavailableError as error:
                refused = isinstance(error, PlaceRefusedError)
                if refused and refused_before:
                    raise NotServedHereError(str(error)) from error
                refused_before = refused
                self._telemetry.trouble("instruments", str(error))
                pause_s = max(next(pauses_s), self._limits.denied_pause_s if refused else 0.0)
                self._failures.warn("instruments_unavailable", error, pause_s=round(pause_s, 2))
                await asyncio.sleep(pause_s)
            except UnknownSymbolError as error:
                if denied:
                    raise
                denied = True
                self._failures.warn("symbol_unknown", error, pause_s=self._limits.denied_pause_s)
                await asyncio.sleep(self._limits.denied_pause_s)
            else:
                self._telemetry.settled("instruments")
                return instrument


async def _mirror(task: asyncio.Task[None]) -> None:
    """Wait for the task and end as it ends, but never cancel it: it must outlive the others to flush."""
    await asyncio.shield(task)
