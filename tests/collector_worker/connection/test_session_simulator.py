"""Sessions of both feeds against the simulated exchange: what it recorded is what is in the streams."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise

import pytest

from tests.simulator.clock import SystemClock as ExchangeClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.clock import ManualClock
from tests.support.feed_rig import Rig
from tests.support.waiting import PATIENCE_S, until
from tickfleet._util.clock import SystemClock
from tickfleet.contract.codec import decode
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, FeedState, FeedStatus, Ticker, Trade
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.usefixtures("each_transport")

TRADE, BOOK = DataType.TRADE, DataType.ORDERBOOK
_NATIVE = "BTC-USDT"


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator[OkxSource]]:
    async with Simulator(source()) as simulator:
        yield simulator


def source(*, book_snapshot: bool = True) -> OkxSource:
    options = OkxOptions(
        instruments=(_NATIVE,), trades_per_s=200, books_per_s=50, warmup_ms=1_000, book_snapshot=book_snapshot
    )
    return OkxSource(options, ExchangeClock().now_ms())


def a_rig(exchange: Simulator[OkxSource], clock: ManualClock | None = None) -> Rig:
    return Rig(clock or SystemClock(), exchange.ws_public.removesuffix("/ws/v5/public"), rest=exchange.rest)


async def collect(rig: Rig, *steps: tuple[Callable[[], None], Callable[[], bool]]) -> None:
    """Collect with both feeds; do each step's first half, then wait for its second."""

    async def go() -> None:
        await until(lambda: running(rig) and count(rig, TRADE) > 20 and count(rig, BOOK) > 5, "all feeds run")
        for act, condition in steps:
            act()
            await until(condition)

    await rig.run(rig.session("public").run(), rig.session("business").run(), go())


def running(rig: Rig) -> bool:
    """Both feeds work; trades that were missed over a reconnect are for another to fetch, whom there is none here."""
    state = rig.telemetry.snapshot(rig.clock.now_ns(), rig.clock.monotonic_s()).state
    return state in (WorkerState.RUNNING, WorkerState.CATCHING_UP)


def count(rig: Rig, data_type: DataType) -> int:
    return rig.telemetry.beat.progress[data_type].count


def more_of(rig: Rig, data_type: DataType, by: int) -> Callable[[], bool]:
    """A condition: so many more than when it is first asked."""
    counts: list[int] = []

    def grown() -> bool:
        counts.append(count(rig, data_type))
        return counts[-1] >= counts[0] + by and running(rig)

    return grown


def assert_whole(rig: Rig, exchange: Simulator[OkxSource]) -> None:
    """Every trade from the first to the last one is in the stream, once, in order, with all its values."""
    got = [event for event in rig.events(TRADE) if isinstance(event, Trade)]
    first, last = int(got[0].trade_id), int(got[-1].trade_id)
    record = exchange.source.ledger.trades(_NATIVE, first - 1, last - first + 1)
    assert [(t.trade_id, t.price, t.size, t.side, t.ts_event) for t in got] == [
        (row["id"], row["px"], row["sz"], row["side"], int(row["ts"]) * 1_000_000) for row in record
    ]


def rebuilt(rig: Rig, up_to: str) -> dict[str, list[tuple[str, str]]]:
    """The book that a reader of the stream has after an entry."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for entry_id, fields in rig.pipe.streams["md:v1:{okx:BTC-USDT}:orderbook"]:
        event = decode(fields)
        if isinstance(event, BookSnapshot):
            sides = {"bids": {}, "asks": {}}
        if isinstance(event, (BookSnapshot, BookDelta)):
            for side, levels in (("bids", event.bids), ("asks", event.asks)):
                sides[side] |= {level.price: level.size for level in levels}
                sides[side] = {price: size for price, size in sides[side].items() if float(size)}
        if entry_id == up_to:
            break
    best_first = {side: sorted(levels.items(), key=lambda level: float(level[0])) for side, levels in sides.items()}
    return {"bids": best_first["bids"][::-1], "asks": best_first["asks"]}


def assert_book_is_the_exchange_s(rig: Rig, exchange: Simulator[OkxSource]) -> None:
    book_hash = rig.book_hash
    assert rebuilt(rig, book_hash["stream_id"]) == exchange.source.ledger.book(_NATIVE, int(book_hash["seq"]))


def statuses(rig: Rig, data_type: DataType) -> list[tuple[FeedState, str]]:
    events: Sequence[object] = rig.events(data_type, "1m" if data_type is DataType.CANDLES else "")
    return [(event.state, event.reason) for event in events if isinstance(event, FeedStatus)]


async def test_all_kinds_of_data_arrive_as_the_exchange_has_them(exchange: Simulator[OkxSource]) -> None:
    rig = a_rig(exchange)
    await collect(rig, (lambda: None, more_of(rig, DataType.TICKER, 2)))
    assert_whole(rig, exchange)
    assert_book_is_the_exchange_s(rig, exchange)
    for data_type in DataType:
        assert statuses(rig, data_type) == [(FeedState.CONNECTED, "start")]
    assert any(isinstance(event, Ticker) and event.bid for event in rig.events(DataType.TICKER))
    assert any(isinstance(event, Candle) for event in rig.events(DataType.CANDLES, "1m"))
    assert rig.telemetry.beat.decode_errors == 0


async def test_announced_end_under_load_leaves_no_hole(exchange: Simulator[OkxSource]) -> None:
    rig = a_rig(exchange)
    beat = rig.telemetry.beat
    await collect(
        rig,
        (exchange.controls.notice, lambda: beat.reconnects == 2),
        (exchange.controls.notice, lambda: beat.reconnects == 4),
        (lambda: None, more_of(rig, TRADE, 20)),
    )
    assert_whole(rig, exchange)
    assert_book_is_the_exchange_s(rig, exchange)
    assert statuses(rig, TRADE) == statuses(rig, BOOK) == [(FeedState.CONNECTED, "start")]
    snapshots = [event.reason for event in rig.events(BOOK) if isinstance(event, BookSnapshot)]
    assert snapshots == ["subscribe", "reconnect", "reconnect"]
    assert (beat.resyncs, beat.last_error) == (0, "")


async def test_lost_update_is_noticed_and_healed(exchange: Simulator[OkxSource]) -> None:
    rig = a_rig(exchange)
    beat = rig.telemetry.beat
    lost = (lambda: exchange.controls.gap(_NATIVE, 1), lambda: beat.resyncs == 1 and beat.book_state is BookState.VALID)
    await collect(rig, lost, (lambda: None, more_of(rig, BOOK, 5)))
    assert statuses(rig, BOOK) == [
        (FeedState.CONNECTED, "start"),
        (FeedState.STALE, "sequence_gap"),
        (FeedState.RESYNCED, "snapshot"),
    ]
    assert [e.reason for e in rig.events(BOOK) if isinstance(e, BookSnapshot)] == ["subscribe", "sequence_gap"]
    assert_book_is_the_exchange_s(rig, exchange)
    chain = [e for e in rig.events(BOOK) if isinstance(e, (BookSnapshot, BookDelta))]
    assert all(after.prev_seq == before.seq for before, after in pairwise(chain) if isinstance(after, BookDelta))


async def test_cut_connections_come_back(exchange: Simulator[OkxSource]) -> None:
    rig = a_rig(exchange)
    await collect(
        rig,
        (exchange.controls.drop, lambda: rig.telemetry.beat.reconnects == 2 and running(rig)),
        (lambda: None, more_of(rig, BOOK, 5)),
    )
    told = [
        (FeedState.CONNECTED, "start"),
        (FeedState.DISCONNECTED, "the connection broke"),
        (FeedState.CONNECTED, "reconnect"),
    ]
    assert [statuses(rig, data_type) for data_type in DataType] == [told] * 4
    assert_book_is_the_exchange_s(rig, exchange)


async def test_garbage_and_a_silent_exchange_do_no_harm(exchange: Simulator[OkxSource]) -> None:
    rig = a_rig(exchange)
    await collect(
        rig,
        (lambda: exchange.controls.garbage("{"), lambda: rig.telemetry.beat.decode_errors == 2),
        (lambda: exchange.controls.stall(on=True), lambda: True),
        (lambda: exchange.controls.stall(on=False), more_of(rig, TRADE, 5)),
    )
    assert rig.telemetry.beat.reconnects == 0


async def test_an_exchange_that_sends_no_first_snapshot() -> None:
    clock = ManualClock()
    async with Simulator(source(book_snapshot=False)) as exchange, asyncio.timeout(PATIENCE_S):
        rig = a_rig(exchange, clock)

        async def go() -> None:
            await until(lambda: running(rig) and len(rig.pipeline.book._waiting) > 3, "updates wait")
            clock.advance(5.1)
            await until(lambda: count(rig, BOOK) > 10, "the book continues")
            first = rig.book_hash["seq"]
            clock.advance(1)
            await until(lambda: rig.book_hash["seq"] != first, "the hash follows")

        await rig.run(rig.session("public").run(), go())
    chain = [event for event in rig.events(BOOK) if isinstance(event, (BookSnapshot, BookDelta))]
    assert isinstance(chain[0], BookSnapshot)
    assert all(isinstance(event, BookDelta) for event in chain[1:])
    assert rig.telemetry.beat.resyncs == 0
    assert_book_is_the_exchange_s(rig, exchange)
