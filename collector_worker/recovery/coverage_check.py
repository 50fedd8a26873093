"""Checks whether the ledger has all losses of the streams that a new run continues.

A final loss is written first to the stream as a ``gap``, then to the ledger. The second write may be missing: the run
was killed in between, the ledger's key held something else for a while, or its entries in an old spool file did not
continue the ledger. So before a run says that nothing is missing after the complete part, it reads the entries behind
that part. If they were deleted, their gaps were deleted, too, and the run says nothing.
"""

from collections.abc import Iterable, Sequence
from itertools import count

from collector_worker.publish.coverage_stream import Subject
from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.stream_tips import PAGE, Page, Reader, read_backwards
from collector_worker.recovery.tails import own_events, reached
from tickfleet.contract.coverage import LedgerEntry
from tickfleet.contract.coverage_fold import number_of
from tickfleet.contract.events import Candle, Event, Gap, Trade
from tickfleet.contract.identity import DataType

MOST_PAGES = 50
"""Mostly there are ten seconds of entries, or none. More than this is not worth reading: it counts as unknown."""


def fetchable(streams: Streams) -> dict[Subject, Stream]:
    """The streams of trades and bars, by their names in the ledger; missed trades and bars are fetched."""
    found = {(DataType.CANDLES, interval): stream for interval, stream in streams.candles.items()}
    found |= {(stream.data_type, ""): stream for stream in streams.all() if stream.data_type is DataType.TRADE}
    return found


async def unconfirmed(pipe: Reader, streams: Streams, history: Sequence[LedgerEntry]) -> set[Subject]:
    """The trades and bars for which the ledger may not have all losses; none without a ledger.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    return {
        subject
        for subject, stream in fetchable(streams).items()
        if history and not await _is_confirmed(pipe, stream, reached(history, *subject))
    }


async def _is_confirmed(pipe: Reader, stream: Stream, known: tuple[int, int | None] | None) -> bool:
    if known is None:
        return False
    check, pages = CoverageCheck(*known), count(1)
    decided: bool | None = None

    def is_decided(_key: str, page: Page) -> bool:
        nonlocal decided
        decided = check.by(own_events(page))
        if decided is None and len(page) == PAGE and next(pages) == MOST_PAGES:
            decided = False
        return decided is not None

    await read_backwards(pipe, {stream.key: PAGE}, is_decided, PAGE)
    return check.from_the_beginning if decided is None else decided


class CoverageCheck:
    """Decides from a stream's events, newest first, whether the ledger has all their gaps. Pure.

    Args:
        ts: Time of the last item that the ledger confirms, ns.
        number: Its number, where items are numbered.
    """

    def __init__(self, ts: int, number: int | None) -> None:
        self._ts, self._number = ts, number
        self._oldest: int | None = None
        """What the oldest item that was seen comes right behind."""

    @property
    def from_the_beginning(self) -> bool:
        """The decision if there are no more entries: whether the oldest item continues the confirmed part."""
        return self._oldest is None or self._oldest <= self._mark

    @property
    def _mark(self) -> int:
        return self._ts if self._number is None else self._number

    def by(self, events: Iterable[Event]) -> bool | None:
        """Look at what comes next; None if it does not decide it."""
        for event in events:
            before, last = self._bounds(event)
            if last is None:
                continue
            if self._oldest is None and self._number is not None and last < self._number:
                return False  # numbered anew since
            if last <= self._mark:
                return True
            if isinstance(event, Gap):
                return False
            self._oldest = before
        return None

    def _bounds(self, event: Event) -> tuple[int, int | None]:
        """Behind what an item or a gap begins, and with what it ends, by number or time; None if it is neither."""
        numbered = self._number is not None
        match event:
            case Trade() if numbered and (number := number_of(event.trade_id)) is not None:
                count = number_of(event.count)
                return number - (1 if count is None else count), number
            case Trade() if not numbered:
                return event.ts_event, event.ts_event
            case Candle(closed=True):
                return event.open_time, event.close_time
            case Gap() if numbered and (number := number_of(event.to_id)) is not None:
                return number - 1, number - 1
            case Gap(to_ts=int(ts)) if not numbered:
                return ts, ts
            case Gap():  # it cannot be compared, so it lies behind
                return self._mark + 1, self._mark + 1
        return 0, None
