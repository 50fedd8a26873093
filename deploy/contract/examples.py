"""One value of each kind as a reader gets it, made by the code that writes it."""

from manager.model import journal_entries as journal
from tickfleet.contract import coverage, keys
from tickfleet.contract.codec import Fields, encode
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, FeedState, FeedStatus, Gap, Level, Ticker, Trade
from tickfleet.contract.health import BookState, Heartbeat, Progress, WorkerState
from tickfleet.contract.identity import CollectorId, DataType

_TS = 1_767_225_600_123_000_000
_RECV = _TS + 8_000_000
_MINUTE = 60_000_000_000


def read(fields: Fields) -> dict[str, str]:
    """Names and values in turn, as a client hands them out."""
    texts = [part.decode() if isinstance(part, bytes) else str(part) for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


_BIDS = [Level("42219.9", "1.5"), Level("42219.8", "0.25")]
_ASKS = [Level("42220", "0.7"), Level("42220.4", "2")]

TRADE = read(encode(Trade(_TS, _RECV, "130639474", "42219.9", "0.12060306", "buy")))
BOOK_SNAPSHOT = read(
    encode(BookSnapshot(ts_event=_TS, ts_recv=_RECV, bids=_BIDS, asks=_ASKS, reason="subscribe", seq=1001, prev_seq=-1))
)
BOOK_DELTA = read(
    encode(
        BookDelta(ts_event=_TS, ts_recv=_RECV, bids=[Level("42219.8", "0")], asks=[], seq=1004, prev_seq=1001),
    )
)
TICKER = read(
    encode(
        Ticker(
            ts_event=_TS, ts_recv=_RECV, last="42219.9", last_size="0.12060306", bid="42219.9", bid_size="1.5",
            ask="42220", ask_size="0.7", open_24h="42001", high_24h="42500", low_24h="41900.5",
            volume_24h="3120.41", quote_volume_24h="131743300.6",
        )
    )
)  # fmt: skip
CANDLE = read(
    encode(
        Candle(
            ts_event=_TS // _MINUTE * _MINUTE, ts_recv=_RECV, interval="1m", open_time=_TS // _MINUTE * _MINUTE,
            close_time=(_TS // _MINUTE + 1) * _MINUTE, open="42210", high="42225", low="42208.8", close="42219.9",
            volume="14.2", quote_volume="599480.4", closed=True,
        )
    )
)  # fmt: skip
GAP = read(encode(Gap(ts_event=_TS, ts_recv=_RECV, reason="not_available", from_id="130639474", to_id="130639480")))
FEED_STATUS = read(
    encode(FeedStatus(ts_event=_RECV, ts_recv=_RECV, state=FeedState.CONNECTED, reason="reconnect")),
)
LEDGER_ENTRY = read(
    coverage.encode(
        coverage.LedgerEntry(
            kind=coverage.LedgerKind.COMPLETE, at=_RECV, run_id="f3a9c1", data_type=DataType.TRADE, to_ts=_TS,
            to_id="130639474",
        )
    )
)  # fmt: skip
BOOK = {
    "stream_id": "1767225600123-0",
    "state": BookState.VALID.value,
    "seq": "1001",
    **{name: BOOK_SNAPSHOT[name] for name in ("ts_event", "ts_recv", "bids", "asks")},
}
_COLLECTOR = CollectorId("okx", "BTC-USDT")
HEARTBEAT = {
    name: str(value)
    for name, value in Heartbeat(
        collector=str(_COLLECTOR),
        pid=4711,
        host="feeds-1",
        machine="9c1e2b7a4d5f6083",
        run_id="f3a9c1",
        version="0.1.0",
        started_at=_TS - _MINUTE,
        beat_at=_RECV,
        beats=60,
        state=WorkerState.RUNNING,
        connected_since=_TS - _MINUTE,
        last_frame_at=_RECV,
        book_state=BookState.VALID,
        progress={DataType.TRADE: Progress(count=812, last_event_at=_RECV, silence_limit=30_000_000_000)},
    )
    .to_fields()
    .items()
}
INSTRUMENT = {
    "symbol": "BTC-USDT",
    "native": "BTC-USDT",
    "state": "live",
    "tick_size": "0.1",
    "lot_size": "0.00000001",
    "min_size": "0.00001",
    "contract_value": "",
    "contract_multiplier": "",
    "contract_currency": "",
    "contract_type": "",
    "settle_currency": "",
    "listed_at_ms": "1548133413000",
    "expires_at_ms": "",
}
DEAD_LETTER = {
    "dead_stream": keys.stream(_COLLECTOR, DataType.TRADE),
    "dead_id": "1767225600123-130639474",
    "dead_tries": "5",
    **TRADE,
}
FLEET_EVENT = {
    name: str(value)
    for name, value in journal.to_fields(
        journal.JournalEntry(
            at_ns=_TS,
            who="manager",
            what=journal.What.VERDICT_CHANGED,
            collector=str(_COLLECTOR),
            why="its process is gone",
            details={"from": "healthy", "to": "dead"},
        )
    ).items()
}
