from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from collector_worker.integrity.coverage_writer import CoverageTrack, Missing
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.publish.own_streams import Streams
from collector_worker.publish.stream_ids import StreamIds
from collector_worker.publish.stream_tips import place
from collector_worker.recovery.tails import ahead_of_time, begin_later, read_tails, recall
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tickfleet.contract.coverage import LedgerEntry
from tickfleet.contract.events import Event, FeedState, FeedStatus, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import MaxLen
from tickfleet.redis.protocol import Refusal, Reply

TRADE_KEY = "md:v1:{okx:BTC-USDT}:trade"
CANDLE_KEY = "md:v1:{okx:BTC-USDT}:candles:1m"
TYPES = tuple(DataType)
MINUTE = 60 * 1_000_000_000
NOW_NS = ManualClock().now_ns()


class Restored:
    """What a new run knows after it has read the tails."""

    def __init__(self) -> None:
        config = ExchangeCollectorConfig("okx", "BTC-USDT", TYPES, candle_intervals=("1m", "1h"))
        self.streams = Streams(config, MaxLen())
        self.trades = TradeSequence(60.0)
        self.candles = {each: CandleSequence(each, 60.0) for each in config.candle_intervals}
        self.refused: set[bytes] = set()

    @classmethod
    async def of(cls, server: RedisServer) -> "Restored":
        restored = cls()
        pipe = RedisPipe(server.config)
        await pipe.connect()
        try:
            restored.refused = await read_tails(pipe, restored.streams, restored.trades, restored.candles, NOW_NS)
        finally:
            await pipe.close()
        return restored

    @property
    def ids(self) -> dict[str, tuple[int, int]]:
        """The last id of each stream that is not empty."""
        last = {stream.key: (stream.ids.last_ms, stream.ids.last_n) for stream in self.streams.all()}
        return {key: number for key, number in last.items() if number != (0, 0)}

    def closed_until(self, interval: str = "1m") -> int | None:
        """Minutes since the epoch up to which all bars are in the stream as closed."""
        sequence = self.candles[interval]
        return None if sequence.sequence.last is None else sequence.opens_at(sequence.sequence.last + 1) // MINUTE


WHOLE: dict[object, dict[str, str | bytes | int]] = {
    "trade": {"ts_event": 0, "ts_recv": NOW_NS, "price": "1", "size": "1", "side": "buy"},
    "candle": {"ts_event": 0, "ts_recv": NOW_NS, **dict.fromkeys(("open", "high", "low", "close", "volume"), "1")},
    "gap": {"ts_recv": NOW_NS},
}
"""What an entry of a type needs beside what a test is about."""


def add(server: RedisServer, key: str, entry_id: str, **fields: str | bytes | int) -> None:
    server.client.xadd(key, {**WHOLE.get(fields.get("type"), {}), **fields}, id=entry_id)


def marker(server: RedisServer, key: str, ms: int) -> None:
    add(server, key, f"{ms}-0", type="feed_status", ts_event=1, ts_recv=1, state="connected", reason="reconnect")


def candle(server: RedisServer, entry_id: str, minute: int, closed: int, interval: str = "1m") -> None:
    opened = minute * MINUTE
    bounds = {"open_time": opened, "close_time": opened + MINUTE}
    add(server, CANDLE_KEY, entry_id, type="candle", interval=interval, closed=closed, **bounds)


async def test_nothing_there_yet(redis_server: RedisServer) -> None:
    restored = await Restored.of(redis_server)
    assert restored.ids == {}
    assert (restored.trades.last_id, restored.trades.last_ts) == (None, 0)
    assert (restored.closed_until(), restored.closed_until("1h")) == (None, None)


async def test_goes_on_behind_what_is_there(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-41", type="trade", trade_id="41", ts_event=6_000_000)
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    candle(redis_server, "7-3", 9, 1)
    add(redis_server, "md:v1:{okx:BTC-USDT}:ticker", "9-1", type="ticker")
    restored = await Restored.of(redis_server)
    assert restored.ids == {TRADE_KEY: (5, 42), CANDLE_KEY: (7, 3), "md:v1:{okx:BTC-USDT}:ticker": (9, 1)}
    assert (restored.trades.last_id, restored.trades.last_ts) == (42, 6_000_000)
    assert restored.streams.of_type(DataType.TRADE).last_trade_id == "42"
    assert (restored.closed_until(), restored.closed_until("1h")) == (10, None)


async def test_what_was_given_up_is_not_fetched_after_all(redis_server: RedisServer) -> None:
    """The time of what was given up is not known: the last trade before it is what the ledger may go on from."""
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-0", type="gap", ts_event=6_000_000, reason="x", from_id="42", to_id="50")
    add(redis_server, TRADE_KEY, "7-0", type="gap", ts_event=7_000_000, reason="x", from_id="49", to_id="60")
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.trades.last_ts) == (59, 5_000_000)
    assert restored.streams.of_type(DataType.TRADE).last_trade_id == "59"


async def test_the_numbers_of_the_last_trade_count_where_the_exchange_began_anew(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-5000000", type="trade", trade_id="5000000", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-0", type="gap", ts_event=6_000_000, reason="id_reset", from_ts=5, to_ts=6)
    add(redis_server, TRADE_KEY, "6-1", type="trade", trade_id="1", ts_event=6_000_000)
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.trades.last_ts, restored.ids) == (1, 6_000_000, {TRADE_KEY: (6, 1)})


async def test_what_redis_refused_lies_before_what_it_took(redis_server: RedisServer) -> None:
    """That gap is written last, behind trades that came after it: those are there, and must not come twice."""
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-60", type="trade", trade_id="60", ts_event=6_000_000)
    add(
        redis_server, TRADE_KEY, "7-0", type="gap", ts_event=7_000_000, reason="redis_refused", from_id="42", to_id="60"
    )
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.trades.last_ts) == (60, 6_000_000)


async def test_a_gap_alone(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "6-0", type="gap", ts_event=6_000_000, reason="x", from_id="42", to_id="50")
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.trades.last_ts) == (49, 6_000_000)


@pytest.mark.parametrize("bounds", [{"from_ts": "1", "to_ts": "2"}, {"to_id": "many"}, {"to_id": "-3"}])
async def test_a_gap_without_numbers_says_nothing_of_the_last_one(
    redis_server: RedisServer, bounds: dict[str, str]
) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-0", type="gap", ts_event=6_000_000, reason="x", **bounds)
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.trades.last_ts) == (42, 5_000_000)


@pytest.mark.parametrize("markers", [1, 99, 100, 101, 1_099, 1_100, 2_500])
async def test_any_number_of_markers_may_stand_behind_the_last_trade(redis_server: RedisServer, markers: int) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42")
    batch = redis_server.client.pipeline()
    for ms in range(6, 6 + markers):
        batch.xadd(TRADE_KEY, {"type": "feed_status"}, id=f"{ms}-0")
    batch.execute()
    restored = await Restored.of(redis_server)
    assert restored.trades.last_id == 42
    assert restored.ids == {TRADE_KEY: (5 + markers, 0)}


async def test_all_before_a_running_bar_is_there(redis_server: RedisServer) -> None:
    """It waited for them; its own close has not been seen."""
    candle(redis_server, "7-0", 9, 1)
    for n in range(1, 150):
        candle(redis_server, f"7-{n}", 12, 0)
    restored = await Restored.of(redis_server)
    assert restored.closed_until() == 12


async def test_a_marker_behind_the_last_bar(redis_server: RedisServer) -> None:
    candle(redis_server, "7-0", 9, 1)
    marker(redis_server, CANDLE_KEY, 8)
    candle(redis_server, "9-0", 30, 1, interval="5m")  # nobody collects that interval here
    restored = await Restored.of(redis_server)
    assert (restored.closed_until(), restored.ids) == (10, {CANDLE_KEY: (9, 0)})


async def test_markers_alone(redis_server: RedisServer) -> None:
    for ms in range(1, 250):
        marker(redis_server, TRADE_KEY, ms)
    restored = await Restored.of(redis_server)
    assert (restored.trades.last_id, restored.ids) == (None, {TRADE_KEY: (249, 0)})


async def test_entries_of_others_are_passed_over(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42")
    for number, fields in enumerate(
        [
            {"note": "maintenance at noon"},
            {b"\xff\xfe": b"\x80"},
            {"type": "trade"},
            {"type": b"\xff\x00"},
            *(
                {"type": "trade", **WHOLE["trade"], "trade_id": odd}
                for odd in ("abc", "-7", "", b"\xff", "٤٢", "9" * 40)
            ),
        ]
    ):
        redis_server.client.xadd(TRADE_KEY, fields, id=f"6-{number}")
    foreign = redis_server.client.xadd(TRADE_KEY, {"by": "hand"}, id="*")
    for number, fields in enumerate([{"x": b"\xff"}, {"type": "candle", "closed": "1"}]):
        redis_server.client.xadd(CANDLE_KEY, fields, id=f"1-{number}")
    late = {"type": "candle", "closed": "1", "interval": "1m", "open_time": "soon"}
    redis_server.client.xadd(CANDLE_KEY, late, id="2-0")
    restored = await Restored.of(redis_server)
    assert restored.trades.last_id == 42
    ms, _, n = foreign.partition("-")
    assert restored.ids == {TRADE_KEY: (int(ms), int(n)), CANDLE_KEY: (2, 0)}
    assert restored.closed_until() is None


UNREADABLE: dict[str, dict[str, str | bytes | int]] = {
    "a price": {"price": "abc"},
    "a size": {"size": "-1"},
    "a side": {"side": "up"},
    "a time": {"ts_event": "soon"},
    "an age": {"ts_recv": 2**63},
    "bytes": {"price": b"\xff"},
}


@pytest.mark.parametrize("malformed", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_trade_that_readers_refuse_does_not_say_how_far_the_stream_is(
    redis_server: RedisServer, malformed: dict[str, str | bytes | int]
) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-90", **{"type": "trade", "trade_id": "90", "ts_event": 6_000_000, **malformed})
    restored = await Restored.of(redis_server)
    assert restored.trades.reached == (5_000_000, 42)


async def test_a_gap_that_readers_refuse_gives_up_nothing(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "6-0", type="gap", ts_event="soon", reason="x", from_id="42", to_id="90")
    assert (await Restored.of(redis_server)).trades.reached == (5_000_000, 42)


async def test_a_trade_whose_entry_has_an_id_of_another_making_is_not_ours(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    add(redis_server, TRADE_KEY, "*", type="trade", trade_id="90", ts_event=6_000_000)
    assert (await Restored.of(redis_server)).trades.reached == (5_000_000, 42)


@pytest.mark.parametrize("malformed", [{"close": "abc"}, {"closed": "yes"}, {"close_time": "soon"}, {"volume": "-1"}])
async def test_a_bar_that_readers_refuse_does_not_say_how_far_the_stream_is(
    redis_server: RedisServer, malformed: dict[str, str | bytes | int]
) -> None:
    candle(redis_server, "7-3", 9, 1)
    bounds = {"open_time": 17 * MINUTE, "close_time": 18 * MINUTE}
    add(redis_server, CANDLE_KEY, "8-0", **{"type": "candle", "interval": "1m", "closed": 1, **bounds, **malformed})
    assert (await Restored.of(redis_server)).closed_until() == 10


async def test_what_follows_gets_higher_ids(redis_server: RedisServer) -> None:
    """Behind an entry whose id lies in the future, too."""
    add(redis_server, TRADE_KEY, "99-7", note="from another clock")
    stream = (await Restored.of(redis_server)).streams.of_type(DataType.TRADE)
    events: list[Event] = [
        Trade(5_000_000, 5_000_000, "3", "1", "1", "buy"),
        Gap(ts_event=1, ts_recv=1, reason="x"),
        FeedStatus(ts_event=1, ts_recv=1, state=FeedState.STALE, reason="x"),
        Trade(5_000_000, 5_000_000, "4", "1", "1", "buy"),
    ]
    for event in events:
        entry_id, _ = stream.pack(event)
        redis_server.client.xadd(TRADE_KEY, {"x": "y"}, id=entry_id)


async def test_a_key_that_is_no_stream_counts_as_empty_and_is_named(redis_server: RedisServer) -> None:
    redis_server.client.set(TRADE_KEY, "somebody's")
    candle(redis_server, "7-3", 9, 1)
    restored = await Restored.of(redis_server)
    assert restored.ids == {CANDLE_KEY: (7, 3)}
    assert restored.refused == {TRADE_KEY.encode()}


async def test_a_key_that_ceases_to_be_a_stream_while_it_is_read_is_named() -> None:
    class Changing:
        async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
            if b"XINFO" in commands[0]:
                return [[b"last-generated-id", b"5-1"] for _ in commands]
            return [Refusal("WRONGTYPE"), *[[] for _ in commands[1:]]]

    restored = Restored()
    assert len(await read_tails(Changing(), restored.streams, restored.trades, restored.candles, NOW_NS)) == 1


@pytest.mark.parametrize("emptied", ["trimmed", "deleted entry by entry"])
async def test_an_emptied_stream_takes_no_ids_that_it_had(redis_server: RedisServer, emptied: str) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42")
    if emptied == "trimmed":
        redis_server.client.xtrim(TRADE_KEY, maxlen=0)
    else:
        redis_server.client.xdel(TRADE_KEY, "5-42")
    restored = await Restored.of(redis_server)
    assert (restored.ids, restored.trades.last_id) == ({TRADE_KEY: (5, 42)}, None)


# --- what the ledger knows of a stream that is empty ------------------------------------------------------------------

S = 1_000_000_000


def written(
    *acts: Callable[[CoverageTrack], None], kind: DataType = DataType.TRADE, interval: str = ""
) -> list[LedgerEntry]:
    """The ledger of a run that did this."""
    entries: list[LedgerEntry] = []
    track = CoverageTrack(kind, interval, "run", ManualClock(), entries.append)
    for act in acts:
        act(track)
    return entries


def passed(number: int) -> Callable[[CoverageTrack], None]:
    return lambda track: track.passed(number * S, number * S, number)


def hole(after: int, before: int) -> Missing:
    return Missing(from_ts=after * S, to_ts=before * S, after=after, before=before)


HISTORIES: dict[str, tuple[list[LedgerEntry], tuple[int, int | None] | None]] = {
    "nothing": ([], None),
    "just begun": (written(passed(3)), (3 * S, 3)),
    "complete": (written(passed(3), passed(7), CoverageTrack.tick), (7 * S, 7)),
    "being fetched": (written(passed(3), lambda track: track.missing(hole(3, 9)), CoverageTrack.tick), (3 * S, 3)),
    "being fetched twice, once behind garbage": (
        [
            *written(passed(3), lambda track: track.missing(replace(hole(3, 900), to_ts=4 * S))),
            *written(lambda track: track.lost(replace(hole(2, 7), from_ts=5 * S, to_ts=6 * S), "x"))[-1:],
            *written(lambda track: track.missing(hole(6, 9)))[-1:],
        ],
        (4 * S, 6),
    ),
    "filled": (written(passed(3), lambda track: track.missing(hole(3, 9)), CoverageTrack.filled), (9 * S, 8)),
    "lost": (written(passed(3), lambda track: track.lost(hole(3, 9), "x")), (9 * S + 1, 8)),
    "filled and gone on": (
        written(
            passed(3), lambda track: track.missing(hole(3, 9)), CoverageTrack.filled, passed(12), CoverageTrack.tick
        ),
        (12 * S, 12),
    ),
    "behind a run of which nothing is known": (
        [*written(passed(3), passed(7), CoverageTrack.tick), replace(written(passed(20))[0], run_id="b")],
        (20 * S, 20),
    ),
    "of something else": (written(passed(3), kind=DataType.TICKER), None),
}


@pytest.mark.parametrize(("history", "expected"), HISTORIES.values(), ids=HISTORIES)
def test_an_empty_stream_goes_on_where_the_ledger_has_come_to(
    history: list[LedgerEntry], expected: tuple[int, int | None] | None
) -> None:
    restored = Restored()
    recall(history, restored.streams, restored.trades, restored.candles)
    assert restored.trades.reached == expected
    number = None if expected is None else str(expected[1])
    assert restored.streams.of_type(DataType.TRADE).last_trade_id == number


def test_bars_go_on_where_the_ledger_has_come_to() -> None:
    restored = Restored()
    history = written(
        lambda track: track.passed(5 * MINUTE, 5 * MINUTE),
        lambda track: track.passed(9 * MINUTE, 9 * MINUTE),
        CoverageTrack.tick,
        kind=DataType.CANDLES,
        interval="1m",
    )
    recall(history, restored.streams, restored.trades, restored.candles)
    assert (restored.closed_until(), restored.closed_until("1h"), restored.trades.reached) == (9, None, None)


async def test_a_stream_that_holds_something_needs_no_ledger(redis_server: RedisServer) -> None:
    add(redis_server, TRADE_KEY, "5-42", type="trade", trade_id="42", ts_event=5_000_000)
    candle(redis_server, "7-3", 9, 1)
    restored = await Restored.of(redis_server)
    recall(written(passed(3)), restored.streams, restored.trades, restored.candles)
    assert (restored.trades.reached, restored.closed_until()) == ((5_000_000, 42), 10)


def test_what_is_not_collected_is_not_recalled() -> None:
    restored = Restored()
    restored.streams = Streams(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,)), MaxLen())
    recall(written(passed(3)), restored.streams, restored.trades, {})
    assert restored.trades.reached is None


@pytest.mark.parametrize("off_ns", [0, -60 * S, 60 * S], ids=["right", "behind", "ahead"])
async def test_a_stream_that_is_gone_begins_again_above_the_ids_it_had(redis_server: RedisServer, off_ns: int) -> None:
    """A follower that has read up to 12:00:40 would never see a bar of 12:00:00; whatever the exchange's clock says."""
    candle(redis_server, "7-3", 9, 1)
    old = StreamIds().next(40 * S + off_ns, 40 * S)  # of a run that was killed then
    restored = await Restored.of(redis_server)
    deleted = begin_later(written(passed(3)), restored.streams, 41 * S)
    assert deleted == [restored.streams.of_type(DataType.TRADE)]
    begun = restored.streams.of_type(DataType.TRADE).ids.next_numbered(4, 41 * S, 41 * S)
    assert begun == "101000-4"
    assert place(begun.encode()) > place(old.encode())
    there = restored.streams.of_channel(DataType.CANDLES, "1m")
    assert there.ids.next(41 * S, 41 * S) == "41000-0", "it is there, and continues"
    unnamed = restored.streams.of_type(DataType.TICKER)
    assert unnamed.ids.next(41 * S, 41 * S) == "101000-1", "whether it is new cannot be told"
    no_bar_closed = restored.streams.of_channel(DataType.CANDLES, "1h")
    assert no_bar_closed.ids.next(40 * S, 41 * S) == "101000-1"


async def test_streams_of_a_first_run_begin_now(redis_server: RedisServer) -> None:
    restored = await Restored.of(redis_server)
    begin_later([], restored.streams, 41 * S)
    assert restored.streams.of_type(DataType.TICKER).ids.next(41 * S, 41 * S) == "41000-0"


@pytest.mark.parametrize(("last_id", "ahead"), [("160000-0", False), ("160001-0", True)])
async def test_ids_further_ahead_than_clocks_differ_are_named(
    redis_server: RedisServer, *, last_id: str, ahead: bool
) -> None:
    add(redis_server, TRADE_KEY, last_id, foreign="1")
    restored = await Restored.of(redis_server)
    assert ahead_of_time(restored.streams, 100 * S) == ([TRADE_KEY] if ahead else [])


class Refusing:
    """A Redis that refuses to be read."""

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        replies: Iterator[Reply] = (Exception("LOADING Redis is loading the dataset in memory") for _ in commands)
        return list(replies)


async def test_a_refusal_is_no_empty_stream() -> None:
    restored = Restored()
    with pytest.raises(RedisUnreachableError) as refused:
        await read_tails(Refusing(), restored.streams, restored.trades, restored.candles, NOW_NS)
    assert str(refused.value) == "Redis is still loading its data"
