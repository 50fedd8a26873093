"""Routes data inside a collector: adapter outputs -> integrity -> streams. It decides and sends nothing."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from collector_worker.exchanges.adapter import BookFrame, Channel, Feed
from collector_worker.integrity.book_sync import BAD_LEVEL, BookRequest, BookResult, BookSync
from collector_worker.integrity.coverage_writer import CoverageTrack
from collector_worker.integrity.flows import LOST, REFUSING_S, CandleFlow, TradeFlow
from collector_worker.integrity.tickers import TickerGate
from collector_worker.publish.kept_keys import BEGUN_ANEW
from collector_worker.publish.own_streams import NO_ROOM, Stream, Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.process.log import get_logger
from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.codec import encode_levels
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, Event, FeedState, FeedStatus, Ticker, Trade
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

BOOK_HASH_EVERY_S = 0.5
"""The ``:book`` hash always names the stream id it corresponds to, so a late joiner loses nothing by its age; writing
400 levels at every delta would cost more than everything else a collector does."""

TICKER_ORDER = "order of tickers"
"""What a trouble with them is about."""

_NS_PER_MS = 1_000_000

TRADES_FLOW_NS = 60_000_000_000
"""Trades of no longer ago than this show that there are bids and asks."""

CHECKSUM_UNUSABLE = "the checksum of the exchange does not match its own snapshots any more"
"""Books are still judged by their numbers; what the exchange now means by it is for a person to find out."""


class Destinations(Struct):
    """The parts that each kind of data passes; all of them outlive the connections. None: not collected.

    Attributes:
        book_track: The ledger of the order book.
        ticker_track: The ledger of the tickers.
    """

    trades: TradeFlow | None
    candles: dict[str, CandleFlow]
    tickers: TickerGate
    book_track: CoverageTrack
    ticker_track: CoverageTrack


class Router:
    """Takes outputs of the adapters in the order of their arrival and buffers what may be published."""

    def __init__(
        self,
        config: ExchangeCollectorConfig,
        streams: Streams,
        ways: Destinations,
        book: BookSync,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self.book = book
        self.on_trade: Callable[[Trade], None] = _nowhere if ways.trades is None else ways.trades.on_live
        """Passes a live trade on."""
        self._collector = config.id
        self._streams = streams
        self._ways = ways
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._book_hash_due_s = 0.0
        self._book_entry: tuple[str, BookSnapshot | BookDelta] | None = None
        self._book_hole = False
        self._book_put_out_of_sync = False
        self._checksum_unusable = False
        self._connected_before: set[str] = set()
        self._connected: dict[str, Feed] = {}
        if DataType.ORDERBOOK in config.data_types:
            telemetry.beat.book_state = BookState.SYNCING
            publisher.set_hash(keys.book(config.id), {"state": BookState.SYNCING.value})  # the last run's is old

    # --- data ----------------------------------------------------------------------------------------------------

    def on_event(self, event: Trade | Ticker | Candle | BookFrame) -> BookRequest | None:
        """Pass one event on; returns the order book's requests, if any."""
        if isinstance(event, Trade):
            self.on_trade(event)
        elif isinstance(event, BookFrame):
            return self._on_book(event)
        elif isinstance(event, Ticker):
            self._on_ticker(event)
        else:
            self._ways.candles[event.interval].on_live(event)
        return None

    def _on_ticker(self, ticker: Ticker) -> None:
        now_s, gate = self._clock.monotonic_s(), self._ways.tickers
        exchange_ns = ticker.ts_recv + self._telemetry.beat.clock_offset_ms * _NS_PER_MS
        if gate.admits(ticker, exchange_ns, now_s):
            self._telemetry.settled(TICKER_ORDER)
            if gate.starts_anew:
                self._ways.ticker_track.broke(LOST)
            if self._publish(self._streams.of_type(DataType.TICKER), ticker) is None:
                self._ways.ticker_track.broke(NO_ROOM)
            else:
                self._ways.ticker_track.passed(ticker.ts_event, ticker.ts_recv)
        else:
            self._telemetry.beat.duplicates_dropped += 1
            if gate.refused_for_s(now_s) >= REFUSING_S:
                self._telemetry.trouble(TICKER_ORDER, "tickers arrive, but all are older than the last one")

    def _on_book(self, frame: BookFrame) -> BookRequest | None:
        hollow = isinstance(frame.event, BookSnapshot) and not (frame.event.bids and frame.event.asks)
        return self.on_result(self.book.on_frame(frame, traded=hollow and self.trades_flow()))

    def trades_flow(self) -> bool:
        """Whether there were trades a moment ago, so that bids and asks must exist."""
        self._telemetry.gather()
        trades = self._telemetry.beat.progress.get(DataType.TRADE)
        return trades is not None and self._clock.now_ns() - trades.last_event_at < TRADES_FLOW_NS

    def on_result(self, result: BookResult) -> BookRequest | None:
        """Publish the events that the book passed, and note its doubts."""
        stream = self._streams.of_type(DataType.ORDERBOOK)
        for event in result.events:
            event = self._whole_book(event) if self._book_hole and isinstance(event, BookDelta) else event
            entry_id = self._publish(stream, event)
            self._book_hole = entry_id is None
            if entry_id is None:
                self._ways.book_track.broke(NO_ROOM)
            else:
                self._book_entry = (entry_id, event)
                self._ways.book_track.passed(event.ts_event, event.ts_recv)
        if self._book_put_out_of_sync and self.book.state is BookState.VALID:
            self._book_put_out_of_sync = False
            self._status(stream, FeedState.RESYNCED, "snapshot")
        if result.out_of_sync:
            self._book_put_out_of_sync = True
            self._ways.book_track.broke(result.out_of_sync)
            self._telemetry.beat.resyncs += 1
            self._telemetry.beat.decode_errors += result.out_of_sync == BAD_LEVEL
            get_logger().warning("book_doubted", reason=result.out_of_sync)
            self._status(stream, FeedState.STALE, result.out_of_sync)
        self._note_checksum()
        self._note_book_state()
        return result.request

    def _whole_book(self, delta: BookDelta) -> BookSnapshot:
        """The whole book in place of a delta: there was no room for earlier entries, so readers need all of it."""
        return BookSnapshot(
            ts_event=delta.ts_event,
            ts_recv=delta.ts_recv,
            bids=self.book.book.bids(),
            asks=self.book.book.asks(),
            seq=delta.seq,
            reason=NO_ROOM,
        )

    def _publish(self, stream: Stream, event: Event) -> str | None:
        self._telemetry.event(stream.data_type, event.ts_recv)
        return self._publisher.publish(stream, event)

    # --- the book's hash and state -------------------------------------------------------------------------------

    def _note_checksum(self) -> None:
        if self.book.checksum_unusable is self._checksum_unusable:
            return
        self._checksum_unusable = self.book.checksum_unusable
        if self._checksum_unusable:
            self._telemetry.trouble("checksum", CHECKSUM_UNUSABLE, ours=False)
            get_logger().warning("checksum_unusable", why=CHECKSUM_UNUSABLE)
        else:
            self._telemetry.settled("checksum")

    def _note_book_state(self) -> None:
        beat = self._telemetry.beat
        changed = beat.book_state is not self.book.state
        beat.book_state = self.book.state
        if self.book.state is BookState.VALID:
            self._telemetry.settled("book")
        if changed:
            self._book_hash_due_s = 0.0
        self.write_book_hash()

    def write_book_hash(self) -> None:
        """Update the ``:book`` hash, unless that was done a moment ago.

        If there was no room for the last change of the book, no entry shows the book, and the hash stays as it is.
        """
        now_s = self._clock.monotonic_s()
        if self._book_entry is None or now_s < self._book_hash_due_s:
            return
        if self._book_hole and self.book.state is BookState.VALID:
            return
        self._book_hash_due_s = now_s + BOOK_HASH_EVERY_S
        state = self.book.state
        if state is not BookState.VALID:
            self._publisher.set_hash(keys.book(self._collector), {"state": state.value})
            return
        entry_id, event = self._book_entry
        fields: dict[str, str | int | float | bytes] = {
            "stream_id": entry_id,
            "state": state.value,
            "ts_event": event.ts_event,
            "ts_recv": event.ts_recv,
            "seq": "" if event.seq is None else event.seq,
            "bids": encode_levels(self.book.book.bids()),
            "asks": encode_levels(self.book.book.asks()),
        }
        self._publisher.set_hash(keys.book(self._collector), fields)

    # --- the feed's state ----------------------------------------------------------------------------------------

    def on_connected(self, feed: Feed) -> None:
        """All subscriptions of a socket are confirmed: write this to its streams."""
        reason = "reconnect" if feed.name in self._connected_before else "start"
        self._connected_before.add(feed.name)
        self._connected[feed.name] = feed
        self._probe(feed)
        self._status_of(feed.channels, FeedState.CONNECTED, reason)

    def on_disconnected(self, feed: Feed, reason: str) -> None:
        """A connected socket is gone; its order book starts from nothing again."""
        self._connected.pop(feed.name, None)
        self._status_of(feed.channels, FeedState.DISCONNECTED, reason)
        kinds = {channel.data_type for channel in feed.channels}
        if DataType.TICKER in kinds:
            self._ways.ticker_track.broke("disconnected")
        if DataType.ORDERBOOK in kinds:
            self._ways.book_track.broke("disconnected")
            self.book.disconnected()
            self._note_book_state()

    def begun_anew(self, stream: Stream) -> None:
        """A stream has lost its content: write this to it, with the state of its feed."""
        channels = [channel for feed in self._connected.values() for channel in feed.channels]
        connected = any(stream is self._streams.of_channel(each.data_type, each.interval) for each in channels)
        put_out_of_sync = stream.data_type is DataType.ORDERBOOK and self._book_put_out_of_sync
        state = FeedState.STALE if put_out_of_sync else FeedState.CONNECTED
        self._status(stream, state if connected else FeedState.DISCONNECTED, BEGUN_ANEW)

    def stop(self) -> None:
        """The run ends: write this to every stream that still counts as connected."""
        for feed in list(self._connected.values()):
            self.on_disconnected(feed, "stopped")

    def _probe(self, feed: Feed) -> None:
        """Check whether anything was missed without the socket, before the next trade comes."""
        for channel in feed.channels:
            if channel.data_type is DataType.TRADE and self._ways.trades is not None:
                self._ways.trades.probe()
            elif channel.data_type is DataType.CANDLES:
                self._ways.candles[channel.interval].probe()

    def _status_of(self, channels: Sequence[Channel], state: FeedState, reason: str) -> None:
        for channel in channels:
            self._status(self._streams.of_channel(channel.data_type, channel.interval), state, reason)

    def _status(self, stream: Stream, state: FeedState, reason: str) -> None:
        now_ns = self._clock.now_ns()
        self._publisher.publish(stream, FeedStatus(ts_event=now_ns, ts_recv=now_ns, state=state, reason=reason))


def _nowhere(_: Trade) -> None:
    """Trades are not collected."""
