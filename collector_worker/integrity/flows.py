"""Passes trades and bars into their streams: each once, in order; missed items are fetched, lost ones marked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from collector_worker.integrity.coverage_writer import CoverageTrack, Missing
from collector_worker.integrity.gap_sequencer import Lost
from collector_worker.integrity.sequences import CandleSequence, IdReset, TradeSequence, time_of
from collector_worker.publish.own_streams import NO_ROOM, Stream
from collector_worker.publish.publisher import Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import get_logger
from tickfleet._util.clock import Clock
from tickfleet.contract.events import Candle, Event, Gap, Trade
from tickfleet.contract.identity import DataType

LOST = "not_available"
"""Reason of a gap that the exchange's REST did not fill in time, or at all."""

ID_RESET = "id_reset"
"""Reason of a gap in whose place the exchange began to count anew: whether anything is missing there cannot be told."""

REFUSING_S = 10.0
"""What repeats old items for longer than this is no reconnect: nothing new comes any more, or what comes is garbage."""

Sequenced = TypeVar("Sequenced", bound=TradeSequence | CandleSequence)


class DataFlow(Protocol):
    """What the backfill needs from a flow."""

    name: str

    def request(self) -> int | None:
        """The number of the first item to fetch now, or None."""
        ...

    def failed(self) -> None:
        """The fetch brought nothing."""
        ...

    def pass_time(self) -> None:
        """Release items that have waited long enough."""
        ...

    def probe(self) -> None:
        """A connection was made: check whether something was missed."""
        ...

    @property
    def next_at_s(self) -> float | None:
        """The next moment at which there may be something to do."""
        ...


class _FlowOf(ABC, Generic[Sequenced]):
    """The common part of both flows: a sequence decides, and the stream and the ledger get the result."""

    def __init__(
        self,
        sequence: Sequenced,
        stream: Stream,
        track: CoverageTrack,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
        wake_backfill: Callable[[], None],
    ) -> None:
        self.sequence = sequence
        self.name = sequence.name
        self._about = f"order of {sequence.name}"
        self._stream = stream
        self._track = track
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._wake_backfill = wake_backfill
        self._refused: list[float] = []
        """When the first and the last item arrived of those that could not be passed on, since one could (s)."""
        self._progress = telemetry.beat.progress[stream.data_type]
        if sequence.reached is not None:
            track.continues(*sequence.reached)

    def request(self) -> int | None:
        """See ``DataFlow``."""
        return self.sequence.sequence.request(self._now_s())

    def failed(self) -> None:
        """See ``DataFlow``."""
        self.sequence.sequence.failed(self._now_s())

    def probe(self) -> None:
        """See ``DataFlow``."""
        self.sequence.sequence.probe(self._now_s())
        self._wake_backfill()

    @property
    def next_at_s(self) -> float | None:
        """See ``DataFlow``."""
        return self.sequence.next_at_s()

    def pass_time(self) -> None:
        """See ``DataFlow``."""
        self._pass(self.sequence.due(self._now_s()))
        if self._refused and self._refused[1] - self._refused[0] >= REFUSING_S:
            self._telemetry.trouble(self._about, f"{self.name} arrive, but none continues where their stream ends")

    @abstractmethod
    def _pass(self, passed: Sequence[Any]) -> None:
        """Publish the items that the sequence passed, and mark those that it gave up."""

    def _pass_live(self, passed: Sequence[Any]) -> None:
        """Pass on what a live item released; if nothing, it may wait for items that must be fetched."""
        if passed:
            self._pass(passed)
            return
        if not self.sequence.waiting:
            now_s = self._now_s()
            self._refused = [self._refused[0] if self._refused else now_s, now_s]
        self._note()
        self._wake_backfill()

    def _leave_out(self) -> None:
        """There is no room for a live item: the next one with room shows the hole, and the item is fetched."""
        self._telemetry.beat.entries_dropped += 1

    def _publish(self, event: Event) -> bool:
        """Publish an event; False if there was no room: the buffer may be full by now."""
        self._progress.count += 1
        return self._publisher.publish(self._stream, event) is not None

    def _mark(self, reason: str, **bounds: str | int) -> None:
        """Write to the stream that something is missing for good."""
        self._telemetry.beat.gaps += 1
        get_logger().warning("data_lost", what=self.name, reason=reason, **bounds)
        now_ns = self._clock.now_ns()
        gap = Gap(ts_event=now_ns, ts_recv=now_ns, reason=reason, **bounds)  # type: ignore[arg-type]
        self._publisher.publish(self._stream, gap)

    def _continues(self) -> None:
        """An item was passed on, after others could not."""
        self._refused = []
        self._telemetry.settled(self._about)

    def _note(self) -> None:
        self._telemetry.dropped(self.name, self.sequence.sequence.dropped)
        self._telemetry.garbled(self.name, self.sequence.implausible)
        self._telemetry.catching_up(self.name, waiting=self.sequence.waiting)

    def _now_s(self) -> float:
        return self._clock.monotonic_s()


class TradeFlow(_FlowOf[TradeSequence]):
    """The trades of a collector."""

    @property
    def can_hand_over_from(self) -> int | None:
        """The number behind which the fast path can take trades; None while anything is unusual."""
        is_fast = self.sequence.is_fast and self._track.is_fast and self._stream.loss is None
        return self.sequence.last_id if is_fast else None

    def passed_by(self, taken: int, last_id: int, last_ts: int, recv_ns: int) -> None:
        """The fast path put trades into the stream: how many, the last number, the latest time and receipt (ns)."""
        if self._refused:
            self._continues()
        self.sequence.passed_by(last_id, last_ts)
        self._progress.count += taken
        self._track.passed(last_ts, recv_ns, last_id)

    def request(self) -> int | None:
        """See ``DataFlow``."""
        self._stream.withdraw_ids()
        return self.sequence.request(self._now_s())

    def on_live(self, trade: Trade) -> None:
        """Take a trade from the socket."""
        self._stream.withdraw_ids()
        self._telemetry.traded(trade.ts_event, trade.ts_recv)
        if self._publisher.full:
            self._leave_out()
        elif trade.count is None and self.sequence.takes(number := int(trade.trade_id)):
            self._pass_trade(trade, number)
        else:
            self._pass_live(self.sequence.offer(trade, self._now_s()))

    def on_page(self, trades: Sequence[Trade], *, more: bool) -> None:
        """Take a page that was fetched; one that finds no room is fetched again later."""
        self._stream.withdraw_ids()
        if self._publisher.full:
            self.failed()
            return
        after, after_ts = self.sequence.last_id, self._track.item_ts
        passed = self.sequence.fill(trades, self._now_s(), more=more)
        fetched = [item for item in passed if isinstance(item, Trade) and item.origin == "backfill"]
        if fetched and after is not None:  # a probe found them: nothing was known to be missing yet
            before = int(fetched[-1].trade_id) + 1
            self._track.missing(Missing(from_ts=after_ts, to_ts=time_of(fetched[-1]), after=after, before=before))
        self._pass(passed, trades)

    def note_missing(self) -> None:
        """A fetch begins: say in the ledger what is missing."""
        self._stream.withdraw_ids()
        hole = self.sequence.sequence.hole
        if hole is not None:
            after, before, trade = hole
            self._track.missing(Missing(from_ts=self._track.item_ts, to_ts=time_of(trade), after=after, before=before))

    def _pass(self, passed: Sequence[Trade | Lost | IdReset], page: Sequence[Trade] = ()) -> None:
        for position, item in enumerate(passed):
            if isinstance(item, Lost):  # what is before it may be of another numbering
                known = [each for each in (*passed[position:], *page) if isinstance(each, Trade)]
                following = ((int(each.trade_id), time_of(each)) for each in known if int(each.trade_id) >= item.before)
                self._lose(item, min(following, default=(0, self._clock.now_ns()))[1])
            elif isinstance(item, IdReset):
                self._renumber(item)
            else:
                self._pass_trade(item, int(item.trade_id))
        self._note()
        if not self.sequence.sequence.waiting and self.sequence.sequence.aside is None:
            self._track.nothing_was_missing()

    def _pass_trade(self, trade: Trade, number: int) -> None:
        if self._refused:
            self._continues()
        self.sequence.last_ts = max(time_of(trade), self.sequence.last_ts)
        self._progress.count += 1
        if self._publisher.publish(self._stream, trade) is None:  # the buffer has become full meanwhile
            after = number - max(int(trade.count or 1), 1)
            what = Missing(from_ts=self._track.item_ts, to_ts=self.sequence.last_ts, after=after, before=number + 1)
            self._track.lost(what, NO_ROOM)
            return
        self._track.passed(trade.ts_event, trade.ts_recv, number)
        if trade.origin == "backfill":
            self._telemetry.beat.backfilled += 1

    def _lose(self, lost: Lost, to_ts: int) -> None:
        self._mark(LOST, from_id=str(lost.after), to_id=str(lost.before))
        missing = Missing(from_ts=self._track.item_ts, to_ts=to_ts, after=lost.after, before=lost.before)
        self._track.lost(missing, LOST)

    def _renumber(self, item: IdReset) -> None:
        """Mark a new numbering. Ids on both sides cannot be compared, so it is reported in times."""
        from_ts = self._track.item_ts if item.from_ts is None else min(item.from_ts, self._track.item_ts)
        span = Missing(from_ts=from_ts, to_ts=max(item.to_ts, from_ts))
        self._mark(ID_RESET, from_ts=span.from_ts, to_ts=span.to_ts)
        self._track.lost(span, ID_RESET)


class CandleFlow(_FlowOf[CandleSequence]):
    """The bars of one interval."""

    def on_live(self, candle: Candle) -> None:
        """Take a bar from the socket."""
        self._telemetry.seen(DataType.CANDLES, candle.ts_recv)
        if self._publisher.full:
            self._leave_out()
        else:
            self._pass_live(self.sequence.offer(candle, self._now_s()))

    def on_page(self, candles: Sequence[Candle], *, more: bool) -> None:
        """Take a page that was fetched; one that finds no room is fetched again later."""
        if self._publisher.full:
            self.failed()
            return
        after = self.sequence.sequence.last
        passed = self.sequence.fill(candles, self._now_s(), more=more)
        if passed and after is not None and self.sequence.sequence.last is not None:
            self._track.missing(self._missing(after, self.sequence.sequence.last + 1))
        fetched = {id(candle) for candle in candles}
        self._telemetry.beat.backfilled += sum(id(item) in fetched for item in passed)
        self._pass(passed)

    def note_missing(self) -> None:
        """A fetch begins: say in the ledger what is missing."""
        hole = self.sequence.sequence.hole
        if hole is not None:
            after, before, _ = hole
            self._track.missing(self._missing(after, before))

    def _missing(self, after: int, before: int) -> Missing:
        return Missing(from_ts=self.sequence.opens_at(after + 1), to_ts=self.sequence.opens_at(before))

    def _pass(self, passed: Sequence[Candle | Lost]) -> None:
        for item in passed:
            if isinstance(item, Lost):
                what = self._missing(item.after, item.before)
                self._mark(LOST, from_ts=what.from_ts, to_ts=what.to_ts)
                self._track.lost(what, LOST)
                continue
            if self._refused:
                self._continues()
            found_room = self._publish(item)
            if item.closed and found_room:
                self._track.passed(item.close_time, item.ts_recv)
            elif item.closed:
                self._track.lost(Missing(from_ts=item.open_time, to_ts=item.close_time), NO_ROOM)
        self._note()
        if not self.sequence.sequence.waiting:
            self._track.filled()
