"""Whether the ledger knows of all that is lost in the streams that a new run goes on behind.

What is lost for good stands in the stream as a ``gap``, and then in the ledger. That can be without the second: the run
was killed in between, the ledger's key held something else for a while, or its entries in a left-over file did not
join. So before a run says that nothing is missing behind what was complete, it reads what stands behind that. Where
that was deleted, its gaps were, too, and nothing is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from collector_worker.publish.coverage_stream import Subject
from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.stream_tips import PAGE, Page, Reader, read_backwards
from collector_worker.recovery.tails import is_number, reached
from tickfleet.contract.coverage import LedgerEntry
from tickfleet.contract.identity import DataType

MOST_PAGES = 50
"""Mostly there are ten seconds of entries, or none. More than this is not worth reading: it counts as unknown."""


def fetchable(streams: Streams) -> dict[Subject, Stream]:
    """The streams of trades and bars, which are fetched where missed, by what the ledger calls them."""
    found = {(DataType.CANDLES, interval): stream for interval, stream in streams.candles.items()}
    found |= {(stream.data_type, ""): stream for stream in streams.all() if stream.data_type is DataType.TRADE}
    return found


async def unvouched(pipe: Reader, streams: Streams, history: Sequence[LedgerEntry]) -> set[Subject]:
    """Of trades and bars, those of which the ledger may not know all that is lost. Without a ledger there are none.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    return {
        subject
        for subject, stream in fetchable(streams).items()
        if history and not await _is_vouched_for(pipe, stream, reached(history, *subject))
    }


async def _is_vouched_for(pipe: Reader, stream: Stream, known: tuple[int, int | None] | None) -> bool:
    if known is None:
        return False
    check, pages = CoverageCheck(*known), count(1)
    decided: bool | None = None

    def is_decided(_key: str, page: Page) -> bool:
        nonlocal decided
        decided = check.by(fields for _, fields in page)
        if decided is None and len(page) == PAGE and next(pages) == MOST_PAGES:
            decided = False
        return decided is not None

    await read_backwards(pipe, {stream.key: PAGE}, is_decided, PAGE)
    return check.from_the_beginning if decided is None else decided


class CoverageCheck:
    """Decides of the entries of one stream, newest first, whether the ledger knows of all gaps among them. Pure.

    Args:
        ts: Time of the last item that it vouches for, ns.
        number: Its number, where items are numbered.
    """

    def __init__(self, ts: int, number: int | None) -> None:
        self._ts, self._number = ts, number
        self._oldest: int | None = None
        """What the oldest item that was seen comes right behind."""

    @property
    def from_the_beginning(self) -> bool:
        """Whether it knows of all, where there are no more entries: the oldest item joins what it vouches for."""
        return self._oldest is None or self._oldest <= self._mark

    @property
    def _mark(self) -> int:
        return self._ts if self._number is None else self._number

    def by(self, entries: Iterable[Mapping[str, str]]) -> bool | None:
        """Look at the next entries; None where they do not decide it."""
        for fields in entries:
            before, last = self._bounds(fields)
            if last is None:
                continue
            if self._oldest is None and self._number is not None and last < self._number:
                return False  # numbered anew since
            if last <= self._mark:
                return True
            if fields["type"] == "gap":
                return False
            self._oldest = before
        return None

    def _bounds(self, fields: Mapping[str, str]) -> tuple[int, int | None]:
        """Behind what an item or a gap begins, and with what it ends, by number or time; None where it is neither."""
        numbered = self._number is not None
        match fields:
            case {"type": "trade", "trade_id": number} if numbered and is_number(number):
                count = fields.get("count", "1")
                return int(number) - (int(count) if is_number(count) else 1), int(number)
            case {"type": "trade", "ts_event": ts} if not numbered and is_number(ts):
                return int(ts), int(ts)
            case {"type": "candle", "open_time": opened, "close_time": closed, "closed": "1"} if is_number(
                opened
            ) and is_number(closed):
                return int(opened), int(closed)
            case {"type": "gap", "to_id": number} if numbered and is_number(number):
                return int(number) - 1, int(number) - 1
            case {"type": "gap", "to_ts": ts} if not numbered and is_number(ts):
                return int(ts), int(ts)
            case {"type": "gap"}:  # it cannot be compared, so it lies behind
                return self._mark + 1, self._mark + 1
        return 0, None
