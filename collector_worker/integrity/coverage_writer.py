"""Writes the completeness ledger: the times for which this collector has everything, and its gaps."""

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from collector_worker.exchanges.trusted_time import trusted_ns
from tickfleet._util.clock import Clock
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, intervals
from tickfleet.contract.identity import DataType

WRITE_EVERY_S = 10.0

IN_DOUBT = "not_vouched_for"
"""Reason of a span that counts as lost because the run that was fetching it could not tell what became of it."""


class Missing(Struct, frozen=True, kw_only=True):
    """A missing range: times (ns) of the items on both sides, and their numbers (exclusive) if they have numbers."""

    from_ts: int
    to_ts: int
    after: int | None = None
    before: int | None = None

    def begins_before(self, other: "Missing") -> bool:
        """Whether this range has items before ``other``."""
        if self.after is None or other.after is None:
            return self.from_ts < other.from_ts
        return self.after < other.after

    def ends_behind(self, other: "Missing") -> bool:
        """Whether this range has items behind ``other``."""
        if self.before is None or other.before is None:
            return self.to_ts > other.to_ts
        return self.before > other.before


class CoverageTrack:
    """The ledger of one data type (of one interval, for candles)."""

    def __init__(
        self,
        data_type: DataType,
        interval: str,
        run_id: str,
        clock: Clock,
        write: Callable[[LedgerEntry], None],
        left_open: Sequence[Missing] = (),
        *,
        in_doubt: bool = False,
    ) -> None:
        self._subject = {"data_type": data_type, "interval": interval, "run_id": run_id}
        self._clock = clock
        self._write = write
        self._opened = False
        self.last_ts = 0
        """Up to when all is there, by the exchange's times, but never behind our own clock (ns)."""
        self.item_ts = 0
        """The time of the last item, which may be older than one before it; what is missing behind it may be, too."""
        self._last_id: int | None = None
        self._written_ts = 0
        self._missing: Missing | None = None
        self._left_open = left_open
        self._inherited: Missing | None = None
        """What an earlier run was fetching behind the end of the stream, in times: garbage may have spoken for it."""
        self._in_doubt = in_doubt
        self._doubts: list[Missing] = []
        """What counts as lost, as the ledger is in doubt, up to the next item: only that one's time bounds it."""
        self._broken = ""

    def continues(self, ts: int, number: int | None) -> None:
        """An earlier run ended with this item; this run continues after it and will note missing items.

        Items that the earlier run was still fetching are there up to the end of the stream, because they were passed on
        in order. If the ledger is in doubt, the time between the two runs is unknown, and items that were being fetched
        count as lost.
        """
        self._open(ts, number, continues=not self._in_doubt)
        kind, reason = (LedgerKind.GAP_LOST, IN_DOUBT) if self._in_doubt else (LedgerKind.GAP_FILLED, "")
        for gap in self._left_open:
            if number is None or gap.after is None or gap.before is None:
                if gap.from_ts < ts:
                    self._note(kind, Missing(from_ts=gap.from_ts, to_ts=min(gap.to_ts, ts)), reason)
            elif gap.after < number:
                to_ts, before = (ts, number + 1) if gap.before > number + 1 else (gap.to_ts, gap.before)
                there = Missing(from_ts=gap.from_ts, to_ts=to_ts, after=gap.after, before=before)
                if not self._in_doubt:
                    self._note(kind, there)
                elif before > number:
                    self._doubts.append(there)
                else:  # the time of what had ended it may have been a false one
                    self._note(kind, replace(there, to_ts=max(to_ts, ts)), reason)
            if number is not None and gap.before is not None and gap.before > number + 1:
                self._inherited = replace(gap, from_ts=min(gap.to_ts - 1, ts), after=None, before=None)

    def passed(self, event_ns: int, recv_ns: int, number: int | None = None) -> None:
        """An item went into the stream: everything up to it is there, except the noted gaps.

        Args:
            event_ns: Its time. Times later than our own clock cannot be confirmed.
            recv_ns: When it was received.
            number: Its number, where items are numbered.
        """
        ts = min(event_ns, recv_ns)
        self._settle_doubts(ts)
        if not self._opened:  # this run has seen nothing of the time before
            ts = trusted_ns(ts, recv_ns)
            self._open(ts, number, continues=False)
        elif self._broken:
            self._note(LedgerKind.GAP_LOST, Missing(from_ts=self.last_ts, to_ts=max(ts, self.last_ts)), self._broken)
            self._broken = ""
        self.last_ts, self.item_ts, self._last_id = max(ts, self.last_ts), ts, number
        if self._inherited is not None and self.last_ts > self._inherited.to_ts:  # items come in order: it is there
            self._note(LedgerKind.GAP_FILLED, replace(self._inherited, to_ts=self._inherited.to_ts + 1))
            self._inherited = None
        missing = self._missing
        if missing is not None and number is not None and missing.before is not None and number >= missing.before - 1:
            self._note(LedgerKind.GAP_FILLED, missing)
            self._missing = None

    @property
    def is_fast(self) -> bool:
        """Whether nothing must be noted for an item that simply follows."""
        changes = self._broken or self._doubts or self._missing is not None or self._inherited is not None
        return self._opened and not changes

    def missing(self, what: Missing) -> None:
        """Items are missing and are being fetched; a repeated call changes nothing."""
        if self._missing is None:
            self._missing = what
            self._note(LedgerKind.GAP_OPENED, what)

    def lost(self, what: Missing, reason: str) -> None:
        """Items are missing for good."""
        self._settle_doubts(what.to_ts)
        known, self._missing = self._missing, None
        if self._inherited is not None:
            ends = self._inherited.to_ts - 1
            self._inherited = replace(self._inherited, from_ts=min(max(self._inherited.from_ts, what.to_ts), ends))
        if known is not None and known.begins_before(what):
            before = None if what.after is None else what.after + 1
            self._note(LedgerKind.GAP_FILLED, replace(known, to_ts=what.from_ts, before=before))
        self._note(LedgerKind.GAP_LOST, what, reason)
        if known is not None and known.ends_behind(what):
            after = None if what.before is None else what.before - 1
            self._missing = replace(known, from_ts=what.to_ts, after=after)

    def _settle_doubts(self, ts: int) -> None:
        for each in self._doubts:
            self._note(LedgerKind.GAP_LOST, replace(each, to_ts=max(each.to_ts, ts)), IN_DOUBT)
        self._doubts.clear()

    def filled(self) -> None:
        """Nothing is missing any more: the fetched items are there."""
        if self._missing is not None:
            self._note(LedgerKind.GAP_FILLED, self._missing)
            self._missing = None

    def nothing_was_missing(self) -> None:
        """The gap being fetched came only from garbage. No item has the garbage's number, so the entry has times."""
        if self._missing is not None:
            span = Missing(from_ts=self._missing.from_ts, to_ts=max(self._missing.from_ts, self._missing.to_ts) + 1)
            self._note(LedgerKind.GAP_FILLED, span)
            self._missing = None

    def broke(self, reason: str) -> None:
        """Data without numbers stopped; later data does not continue it."""
        if self._opened:
            self._broken = reason

    def tick(self) -> None:
        """Write up to when everything is there, if that has changed."""
        if self._opened and self.last_ts > self._written_ts:
            self._written_ts = self.last_ts
            number = None if self._last_id is None else str(self._last_id)
            self._write(self._entry(LedgerKind.COMPLETE, to_ts=self.last_ts, to_id=number))

    def _open(self, ts: int, number: int | None, *, continues: bool) -> None:
        self._opened = True
        self.last_ts, self.item_ts, self._last_id = ts, ts, number
        text = None if number is None else str(number)
        self._write(self._entry(LedgerKind.OPENED, from_ts=ts, from_id=text, continues=continues))

    def _note(self, kind: LedgerKind, what: Missing, reason: str = "") -> None:
        ids = {
            "from_id": None if what.after is None else str(what.after),
            "to_id": None if what.before is None else str(what.before),
        }
        self._write(self._entry(kind, from_ts=what.from_ts, to_ts=max(what.to_ts, what.from_ts), reason=reason, **ids))

    def _entry(self, kind: LedgerKind, **facts: object) -> LedgerEntry:
        return LedgerEntry(kind=kind, at=self._clock.now_ns(), **self._subject, **facts)  # type: ignore[arg-type]


class CoverageWriter:
    """All tracks of a collector."""

    def __init__(self, run_id: str, clock: Clock, write: Callable[[LedgerEntry], None]) -> None:
        self._run_id = run_id
        self._clock = clock
        self._write = write
        self._tracks: dict[tuple[DataType, str], CoverageTrack] = {}
        self._history: Sequence[LedgerEntry] = ()
        self._in_doubt: Collection[tuple[DataType, str]] = ()
        self._due_s = 0.0

    def remember(self, history: Sequence[LedgerEntry], in_doubt: Collection[tuple[DataType, str]] = ()) -> None:
        """Load the entries of earlier runs; call it before the first ``track``.

        Args:
            history: Their entries, oldest first.
            in_doubt: Data for which the ledger may not have all losses; see ``recovery/coverage_check.py``.
        """
        self._history, self._in_doubt = history, in_doubt

    def _left_open(self, data_type: DataType, interval: str) -> list[Missing]:
        """The gaps that earlier runs were still fetching."""
        return [
            Missing(from_ts=each.from_ts, to_ts=each.to_ts, after=_number(each.from_id), before=_number(each.to_id))
            for each in intervals(self._history, data_type, interval)
            if each.state is State.OPEN
        ]

    def track(self, data_type: DataType, interval: str = "") -> CoverageTrack:
        """The track of a data type."""
        key = (data_type, interval)
        if key not in self._tracks:
            left_open = self._left_open(data_type, interval)
            common = (self._run_id, self._clock, self._write, left_open)
            self._tracks[key] = CoverageTrack(data_type, interval, *common, in_doubt=key in self._in_doubt)
        return self._tracks[key]

    def tick(self, *, now: bool = False) -> None:
        """Write what has changed, every ten seconds or at once."""
        now_s = self._clock.monotonic_s()
        if now or now_s >= self._due_s:
            self._due_s = now_s + WRITE_EVERY_S
            for track in self._tracks.values():
                track.tick()


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
