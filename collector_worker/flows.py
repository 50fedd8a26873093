"""Trades and bars on their way into their streams: each once, in order, fetched where missed, marked where lost."""

from collections.abc import Callable, Sequence
from typing import Protocol

from collector_worker.ledger import Missing, Track
from collector_worker.publisher import Publisher
from collector_worker.sequencer import Lost
from collector_worker.streams import Stream
from collector_worker.tape import CandleTape, TradeTape
from collector_worker.telemetry import Telemetry
from common.clock import Clock
from common.events import Candle, Event, Gap, Trade
from common.log import get_logger

LOST = "not_available"
"""Reason of a gap that the exchange's REST did not fill in time, or at all."""

NS_PER_S = 1_000_000_000


class Flow(Protocol):
    """What the backfill needs of a flow."""

    name: str

    def wish(self) -> int | None:
        """The number of the first item to fetch now, or None."""
        ...

    def failed(self) -> None:
        """The fetch brought nothing."""
        ...

    def pass_time(self) -> None:
        """Let go what has waited long enough."""
        ...

    def probe(self) -> None:
        """A connection was made: look whether something was missed."""
        ...

    @property
    def next_at_s(self) -> float | None:
        """The next moment at which there may be something to do."""
        ...


class _FlowBase:
    """What both flows share."""

    name: str

    def __init__(
        self,
        stream: Stream,
        track: Track,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
        look: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._track = track
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._look = look

    def _publish(self, event: Event) -> None:
        self._telemetry.event(self._stream.data_type, event.ts_recv)
        self._publisher.publish(self._stream, event)

    def _mark(self, gap: Gap, lost: Lost) -> None:
        self._telemetry.beat.gaps += 1
        get_logger().warning("data_lost", what=self.name, after=lost.after, before=lost.before)
        self._publisher.publish(self._stream, gap)

    def _now_s(self) -> float:
        return self._clock.monotonic_s()


class TradeFlow(_FlowBase):
    """The trades of a collector."""

    name = "trades"

    def __init__(
        self,
        tape: TradeTape,
        stream: Stream,
        track: Track,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
        look: Callable[[], None],
    ) -> None:
        super().__init__(stream, track, publisher, telemetry, clock, look)
        self._tape = tape
        if tape.last_id is not None:
            track.continues(tape.last_ts, tape.last_id)

    def on_live(self, trade: Trade) -> None:
        """Take a trade from the socket.

        One that finds no room is left out here: the next one that does will show the hole, and it is fetched.
        """
        if self._publisher.full:
            self._telemetry.beat.entries_dropped += 1
            return
        passed = self._tape.offer(trade, self._now_s())
        if passed:
            self._pass(passed)
        else:
            self._note()
            self._look()

    def on_page(self, trades: Sequence[Trade], *, more: bool) -> None:
        """Take a page that was fetched; one that finds no room is fetched again later."""
        if self._publisher.full:
            self.failed()
            return
        after, after_ts = self._tape.last_id, self._tape.last_ts
        passed = self._tape.fill(trades, self._now_s(), more=more)
        fetched = [item for item in passed if isinstance(item, Trade) and item.origin == "backfill"]
        if fetched and after is not None:  # a probe found them: nothing was known to be missing yet
            before = int(fetched[-1].trade_id) + 1
            self._track.missing(Missing(from_ts=after_ts, to_ts=fetched[-1].ts_event, after=after, before=before))
        self._pass(passed, trades)

    def note_missing(self) -> None:
        """A fetch begins: say in the ledger what is missing."""
        hole = self._tape.sequence.hole
        if hole is not None:
            after, before, trade = hole
            self._track.missing(Missing(from_ts=self._tape.last_ts, to_ts=trade.ts_event, after=after, before=before))

    def _pass(self, passed: Sequence[Trade | Lost], page: Sequence[Trade] = ()) -> None:
        for item in passed:
            if isinstance(item, Lost):
                known = [each for each in (*passed, *page) if isinstance(each, Trade)]
                behind = (each.ts_event for each in known if int(each.trade_id) >= item.before)
                self._lose(item, min(behind, default=self._clock.now_ns()))
            else:
                self._tape.last_ts = max(item.ts_event, self._tape.last_ts)
                self._publish(item)
                self._track.passed(item.ts_event, int(item.trade_id))
                if item.origin == "backfill":
                    self._telemetry.beat.backfilled += 1
        self._note()

    def _lose(self, lost: Lost, to_ts: int) -> None:
        now_ns = self._clock.now_ns()
        bounds = {"from_id": str(lost.after), "to_id": str(lost.before)}
        self._mark(Gap(ts_event=now_ns, ts_recv=now_ns, reason=LOST, **bounds), lost)  # type: ignore[arg-type]
        missing = Missing(from_ts=self._tape.last_ts, to_ts=to_ts, after=lost.after, before=lost.before)
        self._track.lost(missing, LOST)

    def _note(self) -> None:
        self._telemetry.dropped(self.name, self._tape.sequence.dropped)
        self._telemetry.garbled(self.name, self._tape.implausible)
        self._telemetry.catching_up(self.name, waiting=self._tape.sequence.waiting)

    def wish(self) -> int | None:
        """See ``Flow``."""
        return self._tape.sequence.wish(self._now_s())

    def failed(self) -> None:
        """See ``Flow``."""
        self._tape.sequence.failed(self._now_s())

    def pass_time(self) -> None:
        """See ``Flow``."""
        self._pass(self._tape.sequence.due(self._now_s()))

    def probe(self) -> None:
        """See ``Flow``."""
        self._tape.sequence.probe(self._now_s())
        self._look()

    @property
    def next_at_s(self) -> float | None:
        """See ``Flow``."""
        return self._tape.sequence.next_at_s()


class CandleFlow(_FlowBase):
    """The bars of one interval."""

    def __init__(
        self,
        tape: CandleTape,
        stream: Stream,
        track: Track,
        publisher: Publisher,
        telemetry: Telemetry,
        clock: Clock,
        look: Callable[[], None],
    ) -> None:
        super().__init__(stream, track, publisher, telemetry, clock, look)
        self.name = f"candles:{tape.interval}"
        self.tape = tape
        if tape.sequence.last is not None:
            track.continues(tape.opens_at(tape.sequence.last + 1), None)

    def on_live(self, candle: Candle) -> None:
        """Take a bar from the socket; what finds no room is fetched later."""
        if self._publisher.full:
            self._telemetry.beat.entries_dropped += 1
            return
        passed = self.tape.offer(candle, self._now_s())
        if passed:
            self._pass(passed)
        else:
            self._note()
            self._look()

    def on_page(self, candles: Sequence[Candle], *, more: bool) -> None:
        """Take a page that was fetched; one that finds no room is fetched again later."""
        if self._publisher.full:
            self.failed()
            return
        after = self.tape.sequence.last
        passed = self.tape.fill(candles, self._now_s(), more=more)
        if passed and after is not None and self.tape.sequence.last is not None:
            self._track.missing(self._missing(after, self.tape.sequence.last + 1))
        fetched = {id(candle) for candle in candles}
        self._telemetry.beat.backfilled += sum(id(item) in fetched for item in passed)
        self._pass(passed)

    def note_missing(self) -> None:
        """A fetch begins: say in the ledger what is missing."""
        hole = self.tape.sequence.hole
        if hole is not None:
            after, before, _ = hole
            self._track.missing(self._missing(after, before))

    def _missing(self, after: int, before: int) -> Missing:
        return Missing(from_ts=self.tape.opens_at(after + 1), to_ts=self.tape.opens_at(before))

    def _pass(self, passed: Sequence[Candle | Lost]) -> None:
        for item in passed:
            if isinstance(item, Lost):
                what, now_ns = self._missing(item.after, item.before), self._clock.now_ns()
                gap = Gap(ts_event=now_ns, ts_recv=now_ns, reason=LOST, from_ts=what.from_ts, to_ts=what.to_ts)
                self._mark(gap, item)
                self._track.lost(what, LOST)
                continue
            self._publish(item)
            if item.closed:
                self._track.passed(item.close_time)
        self._note()
        if not self.tape.sequence.waiting:
            self._track.filled()

    def _note(self) -> None:
        self._telemetry.dropped(self.name, self.tape.sequence.dropped)
        self._telemetry.catching_up(self.name, waiting=self.tape.sequence.waiting)

    def wish(self) -> int | None:
        """See ``Flow``."""
        return self.tape.sequence.wish(self._now_s())

    def failed(self) -> None:
        """See ``Flow``."""
        self.tape.sequence.failed(self._now_s())

    def pass_time(self) -> None:
        """See ``Flow``."""
        self._pass(self.tape.sequence.due(self._now_s()))

    def probe(self) -> None:
        """See ``Flow``."""
        self.tape.sequence.probe(self._now_s())
        self._look()

    @property
    def next_at_s(self) -> float | None:
        """See ``Flow``."""
        return self.tape.sequence.next_at_s()
