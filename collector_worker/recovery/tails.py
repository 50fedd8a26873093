"""Reads what the streams already have: the only state that a new run needs."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from collector_worker.exchanges.trusted_time import is_ahead, not_ahead
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.rejected_streams import REDIS_REFUSED
from collector_worker.publish.stream_ids import NS_PER_MS
from collector_worker.publish.stream_tips import NO_STREAM, NOWHERE, Page, Reader, place, read_backwards, read_ends
from tickfleet.contract.codec import decode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, intervals
from tickfleet.contract.coverage_fold import number_of
from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS, Candle, Event, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError

_LOOK_BACK = {DataType.TRADE: 100, DataType.CANDLES: 100, DataType.ORDERBOOK: 1, DataType.TICKER: 1}
"""Entries to read at first, then all if needed. Mostly enough: behind the last trade are the markers of a bad hour,
behind a closed bar the pushes of the running one."""


async def read_tails(
    pipe: Reader, streams: Streams, trades: TradeSequence, candles: Mapping[str, CandleSequence], now_ns: int
) -> set[bytes]:
    """Set every stream's ids behind its last entry, and tell the sequences what is already published.

    Foreign entries and bars from the future are skipped; a key that is not a stream counts as empty.

    Returns:
        The keys that hold something else.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    everything = streams.all()
    ends = await read_ends(pipe, [stream.key for stream in everything])
    for stream, end in zip(everything, ends, strict=True):
        stream.ids.last_ms, stream.ids.last_n = place(end or NOWHERE)
    refused = {stream.key_bytes for stream, end in zip(everything, ends, strict=True) if end == NO_STREAM}
    by_key = {stream.key: stream for stream in everything}

    def says_how_far(key: str, page: Page) -> bool:
        stream = by_key[key]
        events = own_events(page)
        found = any(_restores(stream, event, trades, candles, now_ns) for event in events)
        if found and stream.data_type is DataType.TRADE:  # times need not rise with the numbers
            times_ns = (_time_of(event, now_ns) for event in events if isinstance(event, Trade))
            trades.last_ts = max(trades.last_ts, *times_ns)
        return found

    first = {stream.key: _LOOK_BACK[stream.data_type] for stream in everything}
    return refused | await read_backwards(pipe, first, says_how_far)


def recall(
    history: Sequence[LedgerEntry], streams: Streams, trades: TradeSequence, candles: Mapping[str, CandleSequence]
) -> None:
    """Take the progress from the ledger if a stream does not tell it, because somebody emptied the stream.

    The ledger may be some seconds behind; data fetched again for this reason goes into an empty stream.
    """
    for stream in streams.all():
        known = reached(history, DataType.TRADE) if stream.data_type is DataType.TRADE else None
        if trades.last_id is None and known is not None and known[1] is not None:
            trades.restore(known[1], known[0])
            stream.last_trade_id = str(known[1])
    for interval, sequence in candles.items():
        known = reached(history, DataType.CANDLES, interval)
        if sequence.reached is None and known is not None:
            sequence.restore(known[0])


def ahead_of_time(streams: Streams, now_ns: int) -> list[str]:
    """The keys of streams whose last id is further in the future than clocks may differ; later ids must follow it."""
    latest_ms = (now_ns + MAX_CLOCK_DIFFERENCE_NS) // NS_PER_MS
    return [stream.key for stream in streams.all() if stream.ids.last_ms > latest_ms]


def begin_later(history: Iterable[LedgerEntry], streams: Streams, now_ns: int) -> list[Stream]:
    """Start a deleted stream again above its old ids, if a run has collected before.

    Readers wait for ids above the last old one. The old ids are unknown now, but none was further ahead of the clock at
    that time than clocks may differ, and that clock was below the present one. This is also done if the ledger does not
    name the data: the ledger names bars from the first closed one on, but a running bar is in the stream before. If the
    data is really new, its first ids are a minute ahead, which does no harm.

    Returns:
        The streams that were deleted, as far as the ledger shows.
    """
    known = {(entry.data_type, entry.interval) for entry in history}
    gone = [stream for stream in streams.all() if known and stream.ids.last == NOWHERE]
    for stream in gone:
        stream.ids.next_marker(now_ns + MAX_CLOCK_DIFFERENCE_NS)
    return [stream for stream in gone if stream.channel in known]


def reached(history: Sequence[LedgerEntry], kind: DataType, interval: str = "") -> tuple[int, int | None] | None:
    """Time and number of the last item below which nothing is unknown or being fetched; None: no such item is known."""
    known = intervals(history, kind, interval)
    unknown = [index for index, part in enumerate(known) if part.state is State.UNKNOWN]
    newest = known[unknown[-1] + 1 :] if unknown else known
    being_fetched = [part for part in newest if part.state is State.OPEN]
    if being_fetched:
        found = (number_of(part.from_id) for part in being_fetched)
        numbers = [number for number in found if number is not None]  # the first in time may have ended with garbage
        return being_fetched[0].from_ts, min(numbers) if len(numbers) == len(being_fetched) else None
    if newest:
        last = newest[-1]
        number = number_of(last.to_id)
        if number is not None and last.state is not State.COMPLETE:
            number -= 1  # the item behind a gap was about to be published
        return last.to_ts, number
    said = (entry for entry in reversed(history) if (entry.data_type, entry.interval) == (kind, interval))
    bare = next((entry for entry in said if entry.kind in (LedgerKind.OPENED, LedgerKind.COMPLETE)), None)
    if bare is None:
        return None
    ts, number_text = (bare.from_ts, bare.from_id) if bare.kind is LedgerKind.OPENED else (bare.to_ts, bare.to_id)
    return ts or 0, number_of(number_text)


def own_events(page: Page) -> list[Event]:
    """The events of entries that we can have written; others are skipped, as readers do.

    A trade's number is the second half of its entry's id. So a trade that another program added under an automatic id
    does not tell the stream's progress.
    """
    events = []
    for entry_id, fields in page:
        with suppress(UndecodableFrameError):
            event = decode(fields)
            number = number_of(event.trade_id) if isinstance(event, Trade) else None
            if number is None or number == place(entry_id.encode())[1]:
                events.append(event)
    return events


def _restores(
    stream: Stream, event: Event, trades: TradeSequence, candles: Mapping[str, CandleSequence], now_ns: int
) -> bool:
    """Restore the sequence from an event; False if the event does not tell the stream's progress."""
    match stream.data_type, event:
        case DataType.TRADE, Trade() if (number := number_of(event.trade_id)) is not None:
            _restore_trades(stream, trades, number, event, now_ns)
        case DataType.TRADE, Gap() if event.reason != REDIS_REFUSED and (number := number_of(event.to_id)) is not None:
            # Given up for good, so it must not be fetched after all; its time is that of the last trade before it.
            # Not so what Redis refused: that is written after later trades.
            _restore_trades(stream, trades, number - 1, event, now_ns)
            return False
        case DataType.CANDLES, Candle() if event.interval in candles:
            # Of a running bar all before it are in the stream: it waited for them.
            sequence = candles[event.interval]
            reached_ns = event.open_time + (sequence.length_ns if event.closed else 0)
            if is_ahead(reached_ns, now_ns):
                return False
            sequence.restore(reached_ns)
        case _:
            return False
    return True


def _restore_trades(stream: Stream, trades: TradeSequence, number: int, event: Trade | Gap, now_ns: int) -> None:
    """Entries come newest first: the first entry has the number, the last entry has the time."""
    last_id = number if trades.last_id is None else trades.last_id
    trades.restore(last_id, _time_of(event, now_ns))
    stream.last_trade_id = str(last_id)


def _time_of(event: Trade | Gap, now_ns: int) -> int:
    """The time of an entry's item, as far as it is trusted (ns)."""
    return not_ahead(event.ts_event, min(now_ns, event.ts_recv))
