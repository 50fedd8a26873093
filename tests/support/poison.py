"""What others may write into a stream of ours: entries that are none, or might pass for some."""

from collections.abc import Callable
from random import Random

from tests.support.stream_writer import BTC, BTC_BOOK, BTC_TRADES, delta, levels, snapshot, trade
from tickfleet.contract import coverage
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.events import BookSnapshot, Candle, Event, FeedState, FeedStatus, Gap, Ticker
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.selection import StreamName

NAMES = [BTC_TRADES, BTC_BOOK, StreamName(BTC, DataType.TICKER), StreamName(BTC, DataType.CANDLES, "1m")]


def good(name: StreamName, number: int) -> Event:
    """The good entry of a number."""
    at = trade(number).ts_event
    match name.data_type:
        case DataType.TRADE:
            return trade(number)
        case DataType.ORDERBOOK:
            return snapshot(number) if number % 7 == 0 else delta(number, number - 1)
        case DataType.TICKER:
            return Ticker(ts_event=at, ts_recv=at, last=f"{number}.5", bid="1", volume_24h="7")
        case DataType.CANDLES:
            return Candle(
                ts_event=at, ts_recv=at, interval="1m", open_time=at, close_time=at + 60, open="1", high="2", low="0.5",
                close="1.5", volume="7",
            )  # fmt: skip


EVENTS: list[Event] = [
    *(good(name, 8) for name in NAMES),
    Gap(ts_event=1, ts_recv=2, reason="lost", from_id="1", to_id="9", from_ts=1, to_ts=9),
    FeedStatus(ts_event=1, ts_recv=2, state=FeedState.STALE, reason="x"),
    BookSnapshot(ts_event=1, ts_recv=1, bids=levels("9 1"), asks=levels("10 1"), reason="subscribe"),
]
VALUES: list[bytes] = [
    b"", b"abc", b"NaN", b"-NaN", b"Infinity", b"1E+999999", b"\xff", b"4\xff2", b"-1", b"0", b"1_0", b" 1", b"1.",
    b"9" * 30, b"9" * 5_000, str(2**63).encode(), str(2**63 - 1).encode(), str(-(2**63)).encode(), b"\x00", b"null",
    b'[["1"]]', b'[["abc","1"]]', b'[["1","1E+999999"]]', b'[["1","2"]]', b"[" * 5_000, b'[["\xff","1"]]', b"trade",
    b"book_delta", b"gap", b"auction", "\uff11".encode(), b"=cmd|'x'!A1", b"\x1b[2J", b"1\r\n2",
]  # fmt: skip


def poison(random: Random) -> list[bytes]:
    """Names and values of an entry that is none, or might pass for one."""
    if random.random() < 0.2:
        return [random.randbytes(random.randint(0, 9)) for _ in range(2 * random.randint(1, 6))]
    fields = [part if isinstance(part, bytes) else str(part).encode() for part in encode(random.choice(EVENTS))]
    for _ in range(random.randint(1, 2)):
        fields[random.randrange(len(fields))] = random.choice(VALUES)
    return fields


STATEMENTS = [
    coverage.LedgerEntry(kind=coverage.LedgerKind.OPENED, at=2, run_id="r", data_type=DataType.TRADE, from_ts=1),
    coverage.LedgerEntry(
        kind=coverage.LedgerKind.GAP_FILLED, at=9, run_id="r", data_type=DataType.TRADE, from_ts=1, to_ts=5
    ),
    coverage.LedgerEntry(kind=coverage.LedgerKind.COMPLETE, at=9, run_id="r", data_type=DataType.TICKER, to_ts=7),
]


def malformed(random: Random) -> list[bytes]:
    """Names and values of an entry that is neither an event nor a statement of a ledger, but may look like one."""
    while True:
        fields = poison(random) if random.random() < 0.7 else _spoilt_statement(random)
        texts = [part.decode(errors="replace") for part in fields]
        named = dict(zip(texts[::2], texts[1::2], strict=True))
        if not (_is_read(decode, named) or _is_read(coverage.decode, named)):
            return fields


def _spoilt_statement(random: Random) -> list[bytes]:
    fields = [str(part).encode() for part in coverage.encode(random.choice(STATEMENTS))]
    fields[random.randrange(1, len(fields), 2)] = random.choice(VALUES)
    return fields


def _is_read(read: Callable[[dict[str, str]], object], fields: dict[str, str]) -> bool:
    try:
        read(fields)
    except UndecodableFrameError:
        return False
    return True
