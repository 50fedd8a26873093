"""One connection from its opening to its end: subscribe, confirm, pump, watch. It ends only by an error.

Frames are handled where they are read, without a task or a timer per frame. A check once a second does all that depends
on time.
"""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

from collector_worker.connection.resubscriptions import Resubscriptions
from collector_worker.connection.transport import open_socket
from collector_worker.connection.transport.protocol import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, Socket
from collector_worker.exchanges.adapter import (
    Acknowledged,
    Adapter,
    BookFrame,
    Channel,
    ClosingSoon,
    ExchangeCollector,
    Feed,
    Instrument,
    Malformed,
    Output,
    Refused,
)
from collector_worker.integrity.book_sync import BookRequest
from collector_worker.integrity.fast_path import FastPath
from collector_worker.integrity.router import Router
from collector_worker.publish.buffer import BackPressure
from collector_worker.rest.client import RestClient
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.telemetry.recorder import FrameRecorder
from collector_worker.telemetry.telemetry import Telemetry
from common.config.exchanges import Rate
from common.process.log import Failures, get_logger
from tickfleet._util.clock import Clock
from tickfleet._util.task_groups import worst_of
from tickfleet.contract.events import Candle, Ticker, Trade
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import (
    ExchangeUnavailableError,
    FeedSilentError,
    InstrumentDoubtedError,
    SubscriptionRefusedError,
    SubscriptionTimeoutError,
    TurnedAwayError,
)

_BOOK_PATIENCE_S = 10.0
"""An order book that is without a snapshot for longer is a trouble."""

_HELD_OUTPUTS = 50_000
_HELD_LEVELS = 100_000
_HELD_BYTES = 8 * 1024 * 1024
"""What a successor may hold back while it is being made ready; more means that it never will be. An output or a level
needs ten times the memory of its text, so each is bounded: all of it is below 50 MiB.
"""


class Timing(Struct, frozen=True, kw_only=True):
    """Timeouts of a connection, seconds."""

    open_s: float = OPEN_TIMEOUT_S
    close_s: float = CLOSE_TIMEOUT_S
    tick_s: float = 1.0
    acknowledge_s: float = 10.0
    resubscribe_first_s: float = 1.0
    resubscribe_cap_s: float = 60.0
    """Each costs two of the 480 requests an hour that OKX allows a connection."""


class ConnectionContext(Struct, frozen=True):
    """What all connections of a collector share."""

    exchange: ExchangeCollector
    instrument: Instrument
    rest: RestClient
    rate_limiter: RateLimiter
    connect_rate: Rate
    transport: str
    recorder: FrameRecorder | None
    pipeline: Router
    fast_path: FastPath | None
    back_pressure: BackPressure
    telemetry: Telemetry
    clock: Clock
    timing: Timing


class Connection:
    """The life of one socket of a feed.

    A successor (``held``) opens while its predecessor still works. What it reads is held back until ``take_over``, then
    passed on in order; later checks drop all that the predecessor has already brought. If the predecessor ends before
    that, ``follow`` makes the successor an ordinary reconnect after a loss.
    """

    def __init__(self, feed: Feed, context: ConnectionContext, *, held: bool = False) -> None:
        self._feed = feed
        self._context = context
        self._adapter: Adapter = context.exchange.adapter(feed, context.instrument)
        self._held: list[Output] | None = [] if held else None
        self._held_bytes = self._held_levels = 0
        self._unconfirmed = set(feed.channels)
        self._seen_s = dict.fromkeys((c for c in feed.channels if c.silence_limit_s), 0.0)
        self._candle_channels = {c.interval: c for c in feed.channels if c.data_type is DataType.CANDLES}
        self._book_channel = next((c for c in feed.channels if c.data_type is DataType.ORDERBOOK), None)
        self._book_joins = self._book_channel is not None and self._book_channel.seed_levels > 0
        self._book_ready = self._book_channel is None
        self._last_frame_s = 0.0
        self._opened = False
        self._opened_s = 0.0
        self._pinged_s: float | None = None
        self._subscribed_s = 0.0
        self._again = Resubscriptions(context.timing.resubscribe_first_s, context.timing.resubscribe_cap_s)
        self._fetching = False
        self._waits_since_s: float | None = None  # the book, for a snapshot
        self._failures = Failures()
        self._resubscribed: set[Channel] = set()
        self._retired = False
        self._delivered = False
        self._flows = False
        """Whether trades go straight to the pipeline: this is the feed's connection, and it delivers."""
        self._on_trade = context.pipeline.on_trade
        brings_trades = any(channel.data_type is DataType.TRADE for channel in feed.channels)
        self._fast_path = context.fast_path if brings_trades else None
        self._frame_entry = None if self._fast_path is None else self._fast_path.frame_entry(self._on_frame)
        self.permitted = asyncio.Event()
        """Set when the permit to connect is there: only from then on the time it takes is the exchange's."""
        self.ready = asyncio.Event()
        """Set when every channel is confirmed and, for a successor, it delivers: its book has begun or can go on."""
        self.closing_soon = asyncio.Event()
        """Set when the exchange has announced the end of this connection."""

    async def run(self) -> NoReturn:
        """Open, subscribe, and pump until the connection ends.

        Raises:
            FeedError: It ended or is of no more use.
            SubscriptionRefusedError: The exchange refuses a channel for good.
        """
        await self._permit()
        self.permitted.set()
        socket = await self._open()
        try:
            now_s = self._now_s()
            if self._context.recorder is not None:
                self._context.recorder.opened(self._feed.url)
            self._opened_s = self._last_frame_s = self._subscribed_s = now_s
            self._seen_s = dict.fromkeys(self._seen_s, now_s)
            self._opened = True
            if self._held is None:
                self._on_only_socket()
            async with asyncio.TaskGroup() as tasks:
                on_frame = self._on_frame if self._frame_entry is None else self._frame_entry.on_frame
                tasks.create_task(socket.pump(on_frame, self._context.back_pressure))
                tasks.create_task(self._watch(socket, tasks))
                for request in self._adapter.subscribe():
                    await self._send(socket, request)
        except BaseExceptionGroup as group:
            raise worst_of(group) from group
        finally:
            await socket.close()
        raise AssertionError("unreachable: the pump ends by an error only")

    async def _permit(self) -> None:
        await self._context.rate_limiter.acquire("connect", self._context.connect_rate)

    async def _open(self) -> Socket:
        """Open the socket; if the exchange bans us for a time, the ban holds for all processes of this machine."""
        transport, timing = self._context.transport, self._context.timing
        try:
            socket = await open_socket(transport, self._feed.url, timing.open_s, timing.close_s, permit=self._permit)
        except TurnedAwayError as away:
            if away.ban_s is not None:
                await self._context.rate_limiter.ban(away.ban_s, str(away))
            raise
        await self._context.rate_limiter.answered()
        return socket

    def retire(self) -> None:
        """A successor is about to take over: stop passing data on."""
        self._retired = True
        if self._fast_path is not None:
            self._fast_path.end()

    @property
    def reached_streams(self) -> bool:
        """Whether readers of the streams have seen data of this connection, so that they must know of its end."""
        return self._delivered or (self._held is None and self.ready.is_set())

    def take_over(self, predecessor: "Connection") -> None:
        """Become the feed's connection: pass on what was held back, in order."""
        predecessor.retire()
        held, self._held = self._held, None
        if not predecessor.ready.is_set():
            self._announce()
        if self._book_channel is not None:
            self._context.pipeline.book.renewed(joins=self._book_joins)
        self._pass_held(held or ())
        self._context.telemetry.beat.reconnects += 1
        get_logger().info("feed_renewed", feed=self._feed.name)

    def follow(self) -> None:
        """Become the feed's connection, ready or not: the predecessor has ended, and readers know."""
        held, self._held = self._held or [], None
        if not self._opened:
            return
        self._on_only_socket()
        if not self._unconfirmed:
            self.ready.set()
            self._announce()
        self._pass_held(held)

    def _pass_held(self, held: Sequence[Output]) -> None:
        for output in held:
            if not isinstance(output, Acknowledged) and not self._delivered:
                self._deliver()
            self._pass_on(output)

    def _deliver(self) -> None:
        self._delivered = True
        self._context.telemetry.heard(self._feed.name)

    def _on_only_socket(self) -> None:
        """The socket is open and the only one: its book starts from nothing."""
        self._note(WorkerState.SUBSCRIBING)
        if self._book_channel is not None:
            self._context.pipeline.book.connected()

    # --- frames --------------------------------------------------------------------------------------------------

    def _on_frame(self, frame: bytes) -> None:
        if self._retired:
            return
        fast_path, frame_entry = self._fast_path, self._frame_entry
        if self._flows and fast_path is not None and frame_entry is not None and fast_path.takes(frame_entry, frame):
            return
        context = self._context
        recv_ns = context.clock.now_ns()
        self._last_frame_s = context.clock.monotonic_s()
        context.telemetry.beat.last_frame_at = recv_ns
        if context.recorder is not None:
            context.recorder.received(frame, recv_ns)
        if self._held is not None:
            self._held_bytes += len(frame)
        for output in self._adapter.on_frame(frame, recv_ns):
            if self._flows and isinstance(output, Trade):
                self._on_trade(output)
            elif isinstance(output, (Trade, Ticker, Candle, BookFrame)):
                self._on_data(output)
            else:
                self._on_control(output, frame)

    def _on_data(self, output: Trade | Ticker | Candle | BookFrame) -> None:
        if isinstance(output, BookFrame) and self._book_channel is not None:
            self._seen(self._book_channel)
        elif isinstance(output, Candle):
            self._seen(self._candle_channels[output.interval])
        if not self._book_ready and (self._book_joins or isinstance(output, BookFrame)):
            self._book_ready = True  # a quiet book that joins may send nothing for long: any data shows that it would
            self._check_ready()
        if self._held is None:
            if not self._delivered:
                self._deliver()
            self._flows = self._book_ready or not self._book_joins
            self._pass_on(output)
        else:
            self._hold(output)

    def _pass_on(self, output: Output) -> None:
        if isinstance(output, Acknowledged):
            self._context.pipeline.book.subscribed(
                self._now_s(), output.channel.snapshot_wait_s, output.channel.full_levels
            )
        elif isinstance(output, (Trade, Ticker, Candle, BookFrame)):
            self._grant(self._context.pipeline.on_event(output))

    def _hold(self, output: Output) -> None:
        if isinstance(output, BookFrame):
            self._held_levels += len(output.event.bids) + len(output.event.asks)
        full = self._held_levels > _HELD_LEVELS or self._held_bytes > _HELD_BYTES
        if self._held is None or full or len(self._held) >= _HELD_OUTPUTS:
            raise SubscriptionTimeoutError("a second connection did not become ready")
        self._held.append(output)

    def _on_control(self, output: Output, frame: bytes) -> None:
        if isinstance(output, Acknowledged):
            self._on_acknowledged(output)
        elif isinstance(output, Malformed):
            self._count(output.reason, frame)
        elif isinstance(output, Refused):
            self._on_refused(output, frame)
        elif isinstance(output, ClosingSoon) and not self.closing_soon.is_set():
            get_logger().info("feed_closing_announced", feed=self._feed.name)
            self.closing_soon.set()

    def _on_refused(self, output: Refused, frame: bytes) -> None:
        if output.permanent:
            doubted = output.unlisted and self._context.telemetry.has_data
            raise (InstrumentDoubtedError if doubted else SubscriptionRefusedError)(output.reason)
        if self._unconfirmed:
            get_logger().warning("subscription_deferred", why=output.reason)
            self._again.refused(self._unconfirmed, self._now_s())
        else:  # nothing that it could mean
            self._count(output.reason, frame)

    def _count(self, why: str, frame: bytes) -> None:
        beat = self._context.telemetry.beat
        beat.decode_errors += 1
        if beat.decode_errors == 1:  # one sample tells what it is; the counter tells how often
            get_logger().warning("frame_undecodable", why=why, sample=repr(frame[:200]))

    def _on_acknowledged(self, output: Acknowledged) -> None:
        if output.channel.data_type is DataType.ORDERBOOK:
            if self._held is None:
                self._pass_on(output)
            else:
                self._hold(output)
        self._unconfirmed.discard(output.channel)
        self._again.confirmed(output.channel)
        self._check_ready()

    def _check_ready(self) -> None:
        if self._unconfirmed or self.ready.is_set():
            return
        if self._held is None:
            self.ready.set()
            self._announce()
        elif self._book_ready:
            self.ready.set()

    def _announce(self) -> None:
        self._note(WorkerState.RUNNING)
        self._context.pipeline.on_connected(self._feed)
        get_logger().info("feed_connected", feed=self._feed.name, channels=[c.name for c in self._feed.channels])

    # --- requests of the book --------------------------------------------------------------------------------------

    def _grant(self, request: BookRequest | None) -> None:
        if request is BookRequest.RESUBSCRIBE and self._book_channel is not None:
            self._again.ask([self._book_channel], self._now_s())

    async def _fetch_book(self, channel: Channel) -> None:
        context = self._context
        try:
            path = context.exchange.book_path(context.instrument)
            answer = await context.rest.fetch(path, context.exchange.rest_units(path))
            snapshot = answer.read(
                lambda body: context.exchange.read_book(body, context.instrument, context.clock.now_ns())
            )
        except ExchangeUnavailableError as error:
            if (
                context.pipeline.book.state is not BookState.VALID
            ):  # else it has come by itself, or a wider one can wait
                context.telemetry.trouble("book", str(error))
            self._failures.warn("book_snapshot_failed", error)
        else:
            if self._retired:
                return
            book = context.pipeline.book
            result = book.on_rest_snapshot(snapshot, channel.seed_levels, traded=context.pipeline.trades_flow())
            self._grant(context.pipeline.on_result(result))
            if book.state is BookState.VALID:
                context.telemetry.settled("book")
            else:
                self._say_why()
        finally:
            self._fetching = False

    def _say_why(self) -> None:
        self._context.telemetry.trouble("book", f"the order book waits: {self._context.pipeline.book.why}")

    # --- the watch -----------------------------------------------------------------------------------------------

    async def _watch(self, socket: Socket, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self._context.timing.tick_s)
            now_s = self._now_s()
            if self._frame_entry is not None:
                self._last_frame_s = max(self._last_frame_s, self._frame_entry.seen_ns / 1e9)
            if self._context.back_pressure.paused:
                self._excuse(now_s)
            await self._keep_alive(socket, now_s)
            self._check_deadlines(now_s)
            if self._feed.max_life_s and now_s - self._opened_s > self._feed.max_life_s:
                self.closing_soon.set()
            for channel in self._again.due(now_s):
                requests = self._adapter.resubscribe(channel)
                if not requests:
                    self._context.pipeline.book.subscribed(now_s, 0.0)
                    continue
                self._unconfirmed.add(channel)
                self._subscribed_s = now_s
                for request in requests:
                    await self._send(socket, request)
            if self._held is None and self._book_channel is not None:
                self._context.pipeline.write_book_hash()
                if self._book_channel not in self._unconfirmed:
                    self._watch_book(self._book_channel, now_s, tasks)

    def _watch_book(self, channel: Channel, now_s: float, tasks: asyncio.TaskGroup) -> None:
        book = self._context.pipeline.book
        if not self._fetching and book.due(now_s) is BookRequest.FETCH_SNAPSHOT:
            self._fetching = True
            tasks.create_task(self._fetch_book(channel))
        if book.state is BookState.VALID or self._waits_since_s is None:
            self._waits_since_s = now_s
        elif now_s - self._waits_since_s > _BOOK_PATIENCE_S and not self._context.telemetry.troubled("book"):
            self._say_why()

    def _excuse(self, now_s: float) -> None:
        """Restart the timeouts: we are not reading at the moment, so missing data is not the exchange's fault."""
        self._last_frame_s, self._pinged_s = now_s, None
        self._seen_s = dict.fromkeys(self._seen_s, now_s)

    async def _keep_alive(self, socket: Socket, now_s: float) -> None:
        keepalive = self._adapter.keepalive
        if self._pinged_s is not None and self._last_frame_s >= self._pinged_s:
            self._pinged_s = None
        if self._pinged_s is not None and now_s - self._pinged_s > keepalive.answer_s:
            raise FeedSilentError("the exchange does not answer pings")
        if self._pinged_s is None and now_s - self._last_frame_s > keepalive.idle_s:
            self._pinged_s = now_s
            await (socket.send(keepalive.frame) if keepalive.frame else socket.ping(self._on_pong))

    def _check_deadlines(self, now_s: float) -> None:
        unanswered = now_s - self._subscribed_s > self._context.timing.acknowledge_s
        if self._unconfirmed and unanswered and not self._again.waiting:
            names = ", ".join(sorted(channel.name for channel in self._unconfirmed))
            raise SubscriptionTimeoutError(f"the exchange did not confirm the subscription of {names}")
        stalled_s = self._context.telemetry.stalled_s
        stalled = [
            channel.name for channel in self._feed.channels if stalled_s.get(channel.data_type, 0.0) > self._opened_s
        ]
        if stalled:
            raise FeedSilentError(f"the exchange has newer data than it sends ({', '.join(stalled)})")
        silent = [channel for channel, seen_s in self._seen_s.items() if now_s - seen_s > channel.silence_limit_s]
        for channel in silent:
            if channel in self._resubscribed:
                raise FeedSilentError(f"{channel.name} is silent although the exchange promises a sign of life")
            get_logger().warning("channel_silent", channel=channel.name)
            self._resubscribed.add(channel)
            self._seen_s[channel] = now_s
        self._again.ask(silent, now_s)

    def _on_pong(self) -> None:
        self._last_frame_s = self._now_s()

    async def _send(self, socket: Socket, request: str) -> None:
        if self._context.recorder is not None:
            self._context.recorder.sent(request)
        await socket.send(request)

    # --- small things --------------------------------------------------------------------------------------------

    def _seen(self, channel: Channel) -> None:
        if channel in self._seen_s:
            self._seen_s[channel] = self._last_frame_s
            self._resubscribed.discard(channel)

    def _now_s(self) -> float:
        return self._context.clock.monotonic_s()

    def _note(self, state: WorkerState) -> None:
        self._context.telemetry.feed_is(self._feed.name, state, self._context.clock.now_ns())
