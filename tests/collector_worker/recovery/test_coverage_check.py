import pytest

from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.stream_tips import place
from collector_worker.recovery import coverage_check
from collector_worker.recovery.coverage_check import CoverageCheck, unconfirmed
from common.config.collector import ExchangeCollectorConfig
from tests.support.redis_server import RedisServer
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.events import Candle, Event, FeedState, FeedStatus, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import MaxLen

PREFIX = "md:v1:{okx:BTC-USDT}:"
TRADES, BARS = (DataType.TRADE, ""), (DataType.CANDLES, "1m")
STATUS = FeedStatus(ts_event=1, ts_recv=1, state=FeedState.CONNECTED, reason="reconnect")


def trade(number: int, count: str | None = None) -> Trade:
    """The time of a trade is ten times its number."""
    return Trade(number * 10, number * 10, str(number), "1", "1", "buy", count=count)


def gap(from_id: int, to_id: int) -> Gap:
    return Gap(ts_event=1, ts_recv=1, reason="x", from_id=str(from_id), to_id=str(to_id))


def gap_of_time(from_ts: int, to_ts: int) -> Gap:
    return Gap(ts_event=1, ts_recv=1, reason="x", from_ts=from_ts, to_ts=to_ts)


def bar(minute: int, *, closed: bool = True) -> Candle:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), "1")
    times = {"ts_event": minute, "ts_recv": minute, "open_time": minute, "close_time": minute + 1}
    return Candle(interval="1m", closed=closed, **times, **prices)  # type: ignore[arg-type]


NUMBERED = {  # behind trade 5; newest first
    "nothing new": (True, [trade(5), trade(4)]),
    "trades": (True, [STATUS, trade(7), trade(6), trade(5)]),
    "a gap that the ledger knows of": (True, [trade(6), gap(2, 6)]),
    "a gap that it does not": (False, [trade(9), gap(5, 9), trade(5)]),
    "a gap at the end": (False, [gap(5, 9), trade(5)]),
    "numbered anew": (False, [trade(2), trade(1), gap_of_time(50, 60), trade(5)]),
    "numbered anew, above": (False, [trade(100), gap_of_time(50, 60), trade(5)]),
    "the stream begins behind it": (True, [trade(7), trade(6)]),
    "the stream begins behind it with several in one": (True, [trade(9, count="4")]),
    "the stream begins later": (False, [trade(8), trade(7)]),
    "an empty stream": (True, []),
    "nothing of ours": (True, [Trade(1, 1, "many", "1", "1", "buy")]),
}
TIMED = {  # up to 60
    "bars": (True, [bar(61, closed=False), bar(60), bar(59)]),
    "bars behind": (True, [bar(62), bar(61), bar(60), bar(59)]),
    "a gap that the ledger knows of": (True, [bar(60), gap_of_time(57, 60)]),
    "a gap that it does not": (False, [bar(62), gap_of_time(60, 62), bar(59)]),
    "the stream begins behind it": (True, [bar(61), bar(60)]),
    "the stream begins later": (False, [bar(62), bar(61)]),
    "trades behind a new numbering": (True, [trade(7), trade(6)]),
}


def decided(confirmed: CoverageCheck, entries: list[Event]) -> bool:
    known = confirmed.by(entries)
    return confirmed.from_the_beginning if known is None else known


@pytest.mark.parametrize(("known", "entries"), NUMBERED.values(), ids=NUMBERED)
def test_whether_all_gaps_are_known_by_number(entries: list[Event], *, known: bool) -> None:
    assert decided(CoverageCheck(50, 5), entries) is known


@pytest.mark.parametrize(("known", "entries"), TIMED.values(), ids=TIMED)
def test_whether_all_gaps_are_known_by_time(entries: list[Event], *, known: bool) -> None:
    assert decided(CoverageCheck(60, None), entries) is known


def complete(subject: tuple[DataType, str], to_ts: int, to_id: str | None = None) -> list[LedgerEntry]:
    about: dict[str, object] = {"at": 10**18, "run_id": "run", "data_type": subject[0], "interval": subject[1]}
    return [
        LedgerEntry(kind=LedgerKind.OPENED, from_ts=1, from_id=to_id and "1", **about),  # type: ignore[arg-type]
        LedgerEntry(kind=LedgerKind.COMPLETE, to_ts=to_ts, to_id=to_id, **about),  # type: ignore[arg-type]
    ]


async def unconfirmed_of(server: RedisServer, history: list[LedgerEntry]) -> set[tuple[DataType, str]]:
    types = (DataType.TRADE, DataType.TICKER, DataType.CANDLES)
    config = ExchangeCollectorConfig("okx", "BTC-USDT", types, candle_intervals=("1m",))
    pipe = RedisPipe(server.config)
    await pipe.connect()
    try:
        return await unconfirmed(pipe, Streams(config, MaxLen()), history)
    finally:
        await pipe.close()


def add(server: RedisServer, name: str, *events: Event) -> None:
    stream = Stream(PREFIX + name, DataType.TRADE, 1_000)
    end = server.client.xrevrange(stream.key, count=1)
    stream.ids.last_ms, stream.ids.last_n = place(end[0][0].encode()) if end else (0, 0)
    for event in events:
        entry_id, _ = stream.pack(event)
        server.client.execute_command("XADD", stream.key, entry_id, *encode(event))


async def test_streams_are_read_back_to_what_the_ledger_confirms(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_check, "PAGE", 3)
    monkeypatch.setattr(coverage_check, "MOST_PAGES", 4)
    add(redis_server, "trade", *map(trade, range(1, 10)), gap(9, 20), *map(trade, range(20, 30)))
    add(redis_server, "candles:1m", *map(bar, range(1, 8)))
    history = [*complete(TRADES, 190, "19"), *complete(BARS, 3)]
    assert await unconfirmed_of(redis_server, history) == set()
    assert await unconfirmed_of(redis_server, [*complete(TRADES, 90, "9"), *complete(BARS, 3)]) == {TRADES}
    assert await unconfirmed_of(redis_server, complete(TRADES, 190, "19")) == {BARS}, "it says nothing of them"
    assert await unconfirmed_of(redis_server, []) == set()
    add(redis_server, "trade", *map(trade, range(30, 40)))
    assert await unconfirmed_of(redis_server, history) == {TRADES}, "that is too far back"


async def test_entries_that_are_not_ours_are_neither_gaps_nor_items(redis_server: RedisServer) -> None:
    add(redis_server, "trade", *map(trade, range(1, 6)))
    whole = dict(zip(encode(trade(30))[::2], encode(trade(30))[1::2], strict=True))
    for number, fields in enumerate([{**whole, "price": "abc"}, {"type": "gap", "to_id": "20"}]):
        redis_server.client.xadd(PREFIX + "trade", fields, id=f"9000-{30 + number}")
    redis_server.client.xadd(PREFIX + "trade", whole)
    assert await unconfirmed_of(redis_server, [*complete(TRADES, 50, "5"), *complete(BARS, 3)]) == set()


async def test_a_key_that_holds_something_else_is_an_empty_stream(redis_server: RedisServer) -> None:
    redis_server.client.set(PREFIX + "trade", "somebody's")
    assert await unconfirmed_of(redis_server, [*complete(TRADES, 190, "19"), *complete(BARS, 3)]) == set()
