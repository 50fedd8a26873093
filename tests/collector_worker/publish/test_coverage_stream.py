import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.integrity.coverage_writer import CoverageTrack, Missing
from collector_worker.publish import coverage_stream as ledger_stream
from collector_worker.publish.coverage_stream import CoverageStream, folded, silent
from collector_worker.publish.publisher import Publisher
from collector_worker.recovery.tails import reached
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.publisher_desk import NOW, Desk
from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, decode, intervals
from tickfleet.contract.identity import DataType
from tickfleet.redis.client import RedisPipe

CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,))
KEY = "md:v1:{okx:BTC-USDT}:coverage"


def entry(number: int, at: int) -> LedgerEntry:
    return LedgerEntry(kind=LedgerKind.COMPLETE, at=at, run_id="run", data_type=DataType.TRADE, to_ts=number)


async def write(server: RedisServer, clock: ManualClock, *entries: LedgerEntry) -> None:
    """One run: restore, append, publish."""
    pipe = RedisPipe(server.config)
    publisher = Publisher(pipe, Telemetry(CONFIG, clock.now_ns()), clock)
    stream = CoverageStream(KEY, publisher)
    await pipe.connect()
    try:
        await stream.restore(pipe, clock.now_ns())
        for each in entries:
            stream.append(each)
        sending = asyncio.create_task(publisher.run())
        await publisher.drained()
        sending.cancel()
        await asyncio.wait([sending])
    finally:
        await pipe.close()


def held(server: RedisServer) -> list[LedgerEntry]:
    return [decode(fields) for _, fields in server.client.xrange(KEY)]


def ids(server: RedisServer) -> list[str]:
    return [entry_id for entry_id, _ in server.client.xrange(KEY)]


async def test_entries_stand_in_their_stream_with_rising_ids(redis_server: RedisServer, clock: ManualClock) -> None:
    now = clock.now_ns()
    entries = [entry(1, now), entry(2, now), entry(3, now - 5_000_000), entry(4, now + 7_000_000)]
    await write(redis_server, clock, *entries)
    ms = now // 1_000_000
    assert held(redis_server) == entries
    assert ids(redis_server) == [f"{ms}-0", f"{ms}-1", f"{ms}-2", f"{ms + 7}-0"]
    assert keys.coverage(CONFIG.id) == KEY


@pytest.mark.parametrize("earlier", ["5-7", "99999999999999-3"], ids=["long ago", "by a clock that was ahead"])
async def test_a_new_run_goes_on_behind_the_last_entry(
    redis_server: RedisServer, clock: ManualClock, earlier: str
) -> None:
    redis_server.client.xadd(KEY, {"kind": "complete"}, id=earlier)
    await write(redis_server, clock, entry(1, clock.now_ns()))
    expected = f"{clock.now_ns() // 1_000_000}-0" if earlier == "5-7" else "99999999999999-4"
    assert ids(redis_server) == [earlier, expected]


async def test_a_key_of_another_type_stops_nothing(redis_server: RedisServer, clock: ManualClock) -> None:
    redis_server.client.set(KEY, "somebody's")
    await write(redis_server, clock, entry(1, clock.now_ns()))
    assert redis_server.client.get(KEY) == "somebody's"
    pipe = RedisPipe(redis_server.config)
    stream = CoverageStream(KEY, Publisher(pipe, Telemetry(CONFIG, clock.now_ns()), clock))
    assert await stream.restore(pipe, clock.now_ns()) == {KEY.encode()}
    redis_server.client.delete(KEY)
    assert await stream.restore(pipe, clock.now_ns()) == set()
    await pipe.close()


@pytest.mark.parametrize("emptied", ["trimmed", "deleted"])
async def test_a_stream_that_was_emptied_by_hand_still_takes_the_next_entry(
    redis_server: RedisServer, clock: ManualClock, emptied: str
) -> None:
    """It refuses all ids up to the last one that it had, and that may lie in the future."""
    redis_server.client.xadd(KEY, {"kind": "complete"}, id="99999999999999-3")
    if emptied == "trimmed":
        redis_server.client.xtrim(KEY, maxlen=0)
    else:
        redis_server.client.xdel(KEY, "99999999999999-3")
    await write(redis_server, clock, entry(1, clock.now_ns()))
    assert ids(redis_server) == ["99999999999999-4"]


async def test_what_others_wrote_from_the_future_is_no_history(redis_server: RedisServer, clock: ManualClock) -> None:
    now = clock.now_ns()
    await write(redis_server, clock, entry(1, now), entry(2, now + 60 * 10**9))
    own = held(redis_server)
    await write(redis_server, clock, entry(3, now + 61 * 10**9), entry(4, 2**63 - 1))
    pipe = RedisPipe(redis_server.config)
    stream = CoverageStream(KEY, Publisher(pipe, Telemetry(CONFIG, now), clock))
    await stream.restore(pipe, now)
    await pipe.close()
    assert stream.history == own


async def test_history_is_read_anew_each_time(redis_server: RedisServer, clock: ManualClock) -> None:
    await write(redis_server, clock, *(entry(number, clock.now_ns()) for number in range(3)))
    pipe = RedisPipe(redis_server.config)
    stream = CoverageStream(KEY, Publisher(pipe, Telemetry(CONFIG, clock.now_ns()), clock))
    await pipe.connect()
    for _ in range(2):
        await stream.restore(pipe, clock.now_ns())
    await pipe.close()
    assert stream.history == held(redis_server)


HOURS, DAYS = (DataType.CANDLES, "1h"), (DataType.CANDLES, "1d")


async def test_history_is_read_back_to_a_statement_of_all_that_is_wanted(
    redis_server: RedisServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moves seldom is reported seldom, and much is reported of the others meanwhile."""
    now = clock.now_ns()
    bar = replace(entry(7, now), data_type=DataType.CANDLES, interval="1h")
    trades = [entry(number, now) for number in range(30)]
    await write(redis_server, clock, *trades[:9], bar, *trades[9:])
    monkeypatch.setattr(ledger_stream, "LOOK_BACK", 4)
    pipe = RedisPipe(redis_server.config)
    stream = CoverageStream(KEY, Publisher(pipe, Telemetry(CONFIG, now), clock))
    await stream.restore(pipe, now, [(DataType.TRADE, "")])
    assert stream.history == held(redis_server)[-4:]
    await stream.restore(pipe, now, [(DataType.TRADE, ""), HOURS])
    assert stream.history == held(redis_server)[-24:]
    assert reached(stream.history, *HOURS) == (7, None)
    await stream.restore(pipe, now, [DAYS])
    assert stream.history == held(redis_server), "nothing is said of it"
    monkeypatch.setattr(keys, "COVERAGE_MAXLEN", 10)
    await stream.restore(pipe, now, [DAYS])
    assert stream.history == held(redis_server)[-12:]
    await pipe.close()


def test_of_what_the_ledger_says_nothing() -> None:
    told = [entry(1, 1), replace(OPENED, data_type=DataType.TICKER), lost(1, 3, interval="1h")]
    wanted = [(DataType.TRADE, ""), (DataType.TICKER, ""), HOURS, DAYS]
    assert silent(told, wanted) == {HOURS, DAYS}


async def test_it_is_bounded(redis_server: RedisServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "COVERAGE_MAXLEN", 100)
    await write(redis_server, clock, *(entry(number, clock.now_ns()) for number in range(1_000)))
    kept = held(redis_server)
    assert 100 <= len(kept) < 400
    assert kept[-1] == entry(999, clock.now_ns())


# --- no room ----------------------------------------------------------------------------------------------------------


def lost(from_ts: int, to_ts: int, ids: tuple[int, int] | None = None, **changes: Any) -> LedgerEntry:
    bounds = {"from_id": str(ids[0]), "to_id": str(ids[1])} if ids else {}
    facts: dict[str, Any] = {"kind": LedgerKind.GAP_LOST, "at": 10**18, "run_id": "run", "reason": "buffer_full"}
    facts |= {"data_type": DataType.TRADE, "from_ts": from_ts, "to_ts": to_ts}
    return LedgerEntry(**facts | bounds | changes)


async def test_what_finds_no_room_is_written_in_its_order_once_there_is_room(clock: ManualClock) -> None:
    desk = Desk(buffer_bytes=1)
    stream = CoverageStream("c", desk.publisher)
    desk.publish_trades(1)
    said = [entry(1, NOW), lost(1, 2), entry(3, NOW), entry(4, NOW), lost(5, 6, data_type=DataType.TICKER)]
    for each in said:
        stream.append(each)
    await desk.send_all()
    assert desk.pipe.ids("c") == []
    for _ in said:
        stream.settle()
        await desk.send_all()
    entries = [decode(fields) for _, fields in desk.pipe.streams["c"]]
    assert entries == [entry(1, NOW), lost(1, 2), entry(4, NOW), lost(5, 6, data_type=DataType.TICKER)]
    stream.append(entry(7, NOW))
    await desk.send_all()
    assert len(desk.pipe.ids("c")) == 5


OPENED = LedgerEntry(kind=LedgerKind.OPENED, at=10**18, run_id="run", data_type=DataType.TRADE, from_ts=3)

FOLDS: dict[str, tuple[list[LedgerEntry], list[LedgerEntry]]] = {
    "how far it is": ([entry(1, 1), entry(2, 2), entry(3, 3)], [entry(3, 3)]),
    "of two runs": ([entry(1, 1), replace(entry(2, 2), run_id="b")], [entry(1, 1), replace(entry(2, 2), run_id="b")]),
    "times that touch": ([lost(1, 3), lost(3, 5), lost(4, 9)], [lost(1, 9)]),
    "times apart": ([lost(1, 3), lost(4, 5)], [lost(1, 3), lost(4, 5)]),
    "other reasons": ([lost(1, 3), lost(3, 5, reason="x")], [lost(1, 3), lost(3, 5, reason="x")]),
    "no length": ([lost(3, 3), lost(3, 5)], [lost(3, 5)]),
    "no length at the end": ([lost(1, 3), lost(3, 3)], [lost(1, 3), lost(3, 3)]),
    "ids that touch": ([lost(1, 3, (10, 13)), lost(3, 4, (12, 20))], [lost(1, 4, (10, 20))]),
    "ids apart": ([lost(1, 3, (10, 13)), lost(3, 4, (13, 20))], [lost(1, 3, (10, 13)), lost(3, 4, (13, 20))]),
    "ids and times": ([lost(1, 3, (10, 13)), lost(3, 4)], [lost(1, 3, (10, 13)), lost(3, 4)]),
    "of each kind of data": (
        [lost(1, 3), entry(1, 1), lost(3, 4, interval="1m"), lost(2, 5), lost(4, 6, interval="1m"), entry(2, 2)],
        [lost(1, 3), entry(1, 1), lost(3, 6, interval="1m"), lost(2, 5), entry(2, 2)],
    ),
}


@pytest.mark.parametrize(("said", "expected"), FOLDS.values(), ids=FOLDS)
def test_equal_statements_are_folded(said: list[LedgerEntry], expected: list[LedgerEntry]) -> None:
    assert folded(said) == expected


def test_too_many_are_told_as_one_loss() -> None:
    said = [OPENED, lost(4, 5), entry(7, 7), lost(9, 9), lost(2, 3, interval="1m")]
    assert folded(said, most=4) == [
        OPENED,
        lost(4, 10, reason="ledger_full"),
        lost(2, 4, interval="1m", reason="ledger_full"),
    ]


@st.composite
def statements(draw: st.DrawFn) -> list[LedgerEntry]:
    """Entries of one track as a run writes them, of items that share a time with their neighbour now and then."""
    ledger: list[LedgerEntry] = []
    track = CoverageTrack(DataType.TRADE, "", "run", ManualClock(), ledger.append)
    numbered, items_per_ns, number = draw(st.booleans()), draw(st.integers(1, 3)), 0
    for act in draw(st.lists(st.sampled_from(["passed", "lost", "missing", "tick", "broke"]), max_size=25)):
        following = number + draw(st.integers(1, 3)) + 1
        times = {"from_ts": number // items_per_ns, "to_ts": following // items_per_ns}
        span = Missing(**times, after=number, before=following) if numbered else Missing(**times)
        match act:
            case "passed":
                number += 1
                track.passed(number // items_per_ns, number // items_per_ns, number if numbered else None)
            case "lost":
                number = following - 1
                track.lost(span, draw(st.sampled_from(["a", "b"])))
            case "missing":
                track.missing(span)
            case "tick":
                track.tick()
            case "broke":
                track.broke("a")
    return ledger


GOOD = (State.COMPLETE, State.FILLED)


@given(statements(), st.integers(0, 12), st.integers(1, 12))
def test_folded_the_ledger_never_promises_more(said: list[LedgerEntry], start: int, most: int) -> None:
    """Whatever of it waited: each time that is complete in the end would be so without folding, too."""
    whole = intervals(said, DataType.TRADE)
    short = intervals([*said[:start], *folded(said[start:], most)], DataType.TRADE)
    promised = [part for part in short if part.state in GOOD]
    broken = [
        (good, bad)
        for good in promised
        for bad in whole
        if bad.state not in GOOD and max(good.from_ts, bad.from_ts) < min(good.to_ts, bad.to_ts)
    ]
    assert broken == []


@given(statements())
def test_folding_alone_changes_nothing_of_what_the_ledger_says(said: list[LedgerEntry]) -> None:
    def states(entries: list[LedgerEntry]) -> list[tuple[int, int, State]]:
        return [(part.from_ts, part.to_ts, part.state) for part in intervals(entries, DataType.TRADE)]

    assert states(folded(said)) == states(said)
