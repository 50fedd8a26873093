"""Streams of data as a collector writes them, for tests of readers."""

from typing import Any

from tests.support.market_items import START_NS
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.events import BookDelta, BookSnapshot, Event, Level, Trade
from tickfleet.contract.health import BookState, Heartbeat, Progress, WorkerState
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.reading.selection import StreamName

BTC = CollectorId("okx", "BTC-USDT")
ETH = CollectorId("okx", "ETH-USDT")
BTC_TRADES = StreamName(BTC, DataType.TRADE)
ETH_TRADES = StreamName(ETH, DataType.TRADE)
BTC_BOOK = StreamName(BTC, DataType.ORDERBOOK)


def trade(number: int) -> Trade:
    """The trade of a number."""
    return Trade(START_NS + number, START_NS + number, str(number), "42219.9", "0.5", "buy")


def trade_id(number: int) -> str:
    """The entry id of that trade."""
    return f"1000-{number}"


def write(client: Any, name: StreamName, entry_id: str, event: Event) -> None:
    """Add one event to a stream."""
    client.execute_command("XADD", name.key, entry_id, *encode(event))


def write_trades(client: Any, first: int, last: int, name: StreamName = BTC_TRADES) -> None:
    """Add the trades of some numbers, the last one included."""
    pipe = client.pipeline(transaction=False)
    for number in range(first, last + 1):
        pipe.execute_command("XADD", name.key, trade_id(number), *encode(trade(number)))
    pipe.execute()


def dated_id(number: int, later_s: int = 0) -> str:
    """The entry id of a trade as a collector gives it; one that begins a stream anew gives later ones."""
    return f"{START_NS // 1_000_000 + later_s * 1_000}-{number}"


def write_dated(client: Any, first: int, last: int, later_s: int = 0) -> None:
    """Add the trades of some numbers with such ids."""
    for number in range(first, last + 1):
        write(client, BTC_TRADES, dated_id(number, later_s), trade(number))


def levels(*rows: str) -> list[Level]:
    """Levels written as ``price size``."""
    return [Level(*row.split()) for row in rows]


def snapshot(seq: int, *, recv: int = 0) -> BookSnapshot:
    """A book of two bids and two asks; the best sizes tell the sequence number."""
    return BookSnapshot(
        ts_event=START_NS,
        ts_recv=START_NS + recv,
        bids=levels(f"99 {seq}", "98 2"),
        asks=levels(f"101 {seq}", "102 2"),
        reason="subscribe",
        seq=seq,
    )


def delta(seq: int, prev_seq: int, *, recv: int = 0) -> BookDelta:
    """The best sizes change to ``seq``."""
    return BookDelta(
        ts_event=START_NS,
        ts_recv=START_NS + recv,
        bids=levels(f"99 {seq}"),
        asks=levels(f"101 {seq}"),
        seq=seq,
        prev_seq=prev_seq,
    )


def beat(beats: int = 1, *, run: str = "r1", started_at: int = START_NS, **facts: Any) -> Heartbeat:
    """A heartbeat of a collector that runs and whose book is valid; ``last`` is when that was received last."""
    last, limit = facts.pop("last", 0), facts.pop("silence_limit", 0)
    return Heartbeat(
        **{
            "collector": str(BTC),
            "pid": 1,
            "host": "h",
            "run_id": run,
            "version": "1",
            "started_at": started_at,
            "beat_at": START_NS + beats,
            "beats": beats,
            "state": WorkerState.RUNNING,
            "book_state": BookState.VALID,
            "progress": {DataType.ORDERBOOK: Progress(count=1, last_event_at=last, silence_limit=limit)},
            **facts,
        }
    )


def write_beat(client: Any, heartbeat: Heartbeat) -> None:
    """Write the heartbeat of the collector."""
    client.hset(keys.heartbeat(BTC), mapping=heartbeat.to_fields())


def write_book_hash(client: Any, stream_id: str, book: BookSnapshot, state: BookState = BookState.VALID) -> None:
    """Write the ``:book`` hash."""
    names = encode(book)
    fields = dict(zip(names[::2], names[1::2], strict=True))
    wanted = {name: fields[name] for name in ("bids", "asks", "ts_event", "ts_recv", "seq")}
    client.hset(keys.book(BTC), mapping={**wanted, "stream_id": stream_id, "state": state.value})
