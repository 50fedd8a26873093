"""The way of the data inside a collector: what an adapter read -> integrity -> streams. Decides, sends nothing."""

from collections.abc import Sequence

from msgspec import Struct

from collector_worker.book_sync import BookSync, Judged, Wish
from collector_worker.exchanges.contract import BookFrame, Channel, Feed
from collector_worker.integrity import CandleGate, TickerGate, TradeGate
from collector_worker.publisher import Publisher
from collector_worker.streams import Stream, Streams
from collector_worker.telemetry import Telemetry
from common import keys
from common.clock import Clock
from common.codec import encode_levels
from common.config import ExchangeCollectorConfig
from common.events import BookDelta, BookSnapshot, Candle, Event, FeedState, FeedStatus, Ticker, Trade
from common.health import BookState
from common.identity import DataType
from common.log import get_logger

BOOK_HASH_EVERY_S = 0.5
"""The ``:book`` hash always names the stream id it corresponds to, so a late joiner loses nothing by its age; writing
400 levels at every delta would cost more than everything else a collector does."""


class Gates(Struct):
    """What each kind of data must pass; they outlive the connections."""

    trades: TradeGate
    candles: CandleGate
    tickers: TickerGate


class Pipeline:
    """Takes outputs of the adapters in the order of their arrival and buffers what may be published."""

    def __init__(
        self,
        config: ExchangeCollectorConfig,
        streams: Streams,
        gates: Gates,
        book: BookSync,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self.book = book
        self._collector = config.id
        self._streams = streams
        self._gates = gates
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._book_hash_due_s = 0.0
        self._book_entry: tuple[str, BookSnapshot | BookDelta] | None = None
        self._book_hole = False
        self._book_doubted = False
        self._connected_before: set[str] = set()
        if DataType.ORDERBOOK in config.data_types:
            telemetry.beat.book_state = BookState.SYNCING

    # --- data ----------------------------------------------------------------------------------------------------

    def on_event(self, event: Trade | Ticker | Candle | BookFrame) -> Wish | None:
        """Pass one event on; returns what the order book needs, if it needs something."""
        if isinstance(event, Trade):
            self._on_trade(event)
        elif isinstance(event, BookFrame):
            return self.on_judged(self.book.on_frame(event))
        elif isinstance(event, Ticker):
            if self._gates.tickers.admits(event):
                self._publish(self._streams.of_type(DataType.TICKER), event)
            else:
                self._telemetry.beat.duplicates_dropped += 1
        elif self._gates.candles.admits(event):
            self._publish(self._streams.of_candle(event), event)
        else:
            self._telemetry.beat.duplicates_dropped += 1
        return None

    def _on_trade(self, trade: Trade) -> None:
        if self._gates.trades.admits(trade):
            self._publish(self._streams.of_type(DataType.TRADE), trade)
        else:
            self._telemetry.beat.duplicates_dropped += 1

    def on_judged(self, judged: Judged) -> Wish | None:
        """Publish what the book let pass, and note its doubts."""
        stream = self._streams.of_type(DataType.ORDERBOOK)
        for event in judged.events:
            event = self._whole_book(event) if self._book_hole and isinstance(event, BookDelta) else event
            entry_id = self._publish(stream, event)
            self._book_hole = entry_id is None
            if entry_id is not None:
                self._book_entry = (entry_id, event)
        if self._book_doubted and self.book.state is BookState.VALID:
            self._book_doubted = False
            self._status(stream, FeedState.RESYNCED, "snapshot")
        if judged.doubt:
            self._book_doubted = True
            self._telemetry.beat.resyncs += 1
            get_logger().warning("book_doubted", reason=judged.doubt)
            self._status(stream, FeedState.STALE, judged.doubt)
        self._note_book_state()
        return judged.wish

    def _whole_book(self, delta: BookDelta) -> BookSnapshot:
        """The book after a delta, in its place: the entries before it found no room, so readers need it whole."""
        return BookSnapshot(
            ts_event=delta.ts_event,
            ts_recv=delta.ts_recv,
            bids=self.book.book.bids(),
            asks=self.book.book.asks(),
            seq=delta.seq,
            reason="buffer_full",
        )

    def _publish(self, stream: Stream, event: Event) -> str | None:
        self._telemetry.event(stream.data_type, event.ts_recv)
        return self._publisher.publish(stream, event)

    # --- the book's hash and state -------------------------------------------------------------------------------

    def _note_book_state(self) -> None:
        beat = self._telemetry.beat
        changed = beat.book_state is not self.book.state
        beat.book_state = self.book.state
        if changed:
            self._book_hash_due_s = 0.0
        self.write_book_hash()

    def write_book_hash(self) -> None:
        """Bring the ``:book`` hash up to date, unless that was done a moment ago."""
        now_s = self._clock.monotonic_s()
        if self._book_entry is None or now_s < self._book_hash_due_s:
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
        """All subscriptions of a socket are confirmed: say so in its streams."""
        reason = "reconnect" if feed.name in self._connected_before else "start"
        self._connected_before.add(feed.name)
        self._status_of(feed.channels, FeedState.CONNECTED, reason)

    def on_disconnected(self, feed: Feed, reason: str) -> None:
        """A socket that was connected is gone; the order book on it starts from nothing again."""
        self._status_of(feed.channels, FeedState.DISCONNECTED, reason)
        if any(channel.data_type is DataType.ORDERBOOK for channel in feed.channels):
            self.book.disconnected()
            self._note_book_state()

    def _status_of(self, channels: Sequence[Channel], state: FeedState, reason: str) -> None:
        for channel in channels:
            self._status(self._streams.of_channel(channel.data_type, channel.interval), state, reason)

    def _status(self, stream: Stream, state: FeedState, reason: str) -> None:
        now_ns = self._clock.now_ns()
        self._publisher.publish(stream, FeedStatus(ts_event=now_ns, ts_recv=now_ns, state=state, reason=reason))
