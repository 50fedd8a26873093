"""A book of changes alone (Binance) over its life: seeded by REST, seeded anew, and joined by a second connection."""

import asyncio
import json
from random import Random

import pytest
from msgspec.structs import replace

from collector_worker.connection.session import Session
from common.config.exchanges import Endpoints
from tests.support.binance_adapter import DEPTH, INSTRUMENT, TRADE, binance, pushed
from tests.support.clock import ManualClock
from tests.support.feed_rig import PATIENCE, Rig
from tests.support.http_server import HttpServer, answer
from tests.support.waiting import until
from tests.support.ws_server import Peer, Play, ScriptedServer
from tickfleet.contract.events import BookDelta, BookSnapshot, FeedState, FeedStatus
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.usefixtures("each_transport")

BOOK = DataType.ORDERBOOK
SHUTDOWN = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
NO_ANSWER = answer(b"<html>", "503 Service Unavailable")


def seed(last_id: int, levels: int = 1_000, asks: int = 1_000) -> bytes:
    """The answer of REST: so many bids from 10 downwards, and so many asks from 11 upwards."""
    bids = [[f"{10 - rank / 1_000:.8f}", "9.00000000"] for rank in range(levels)]
    offers = [[f"{11 + rank / 1_000:.8f}", "1.00000000"] for rank in range(asks)]
    body = {"lastUpdateId": last_id, "bids": bids, "asks": offers}
    return answer(json.dumps(body).encode())


def depth(first: int, last: int, without: int = 0) -> bytes:
    """An update with the ids from first to last, which sets the size of the best bid to the last.

    ``without``: so many bids behind it are taken away.
    """
    bids = [["10.00000000", f"{last}.00000000"]]
    bids += [[f"{10 - rank / 1_000:.8f}", "0.00000000"] for rank in range(1, without + 1)]
    return pushed("depth@100ms", {**DEPTH, "U": first, "u": last, "b": bids, "a": []})


async def confirm(peer: Peer) -> None:
    """Answer the request that subscribes."""
    await peer.send(json.dumps({"result": None, "id": (await peer.request())["id"]}))


class Stage:
    """One feed of Binance on two connections, with Redis in memory. Its keys are OKX', on which nothing here depends.

    Args:
        answers: Of REST.
    """

    def __init__(self, *answers: bytes) -> None:
        self.clock = ManualClock()
        self.http = HttpServer(*answers)
        self.second_reads = asyncio.Event()
        self.first_gone = asyncio.Event()

    async def run(
        self, data_types: tuple[DataType, ...], first: Play, second: Play, done: str, overlap_s: float = 0.05
    ) -> Rig:
        """Collect until this is the last entry of the book."""

        async def until_gone(peer: Peer) -> None:
            await first(peer)
            await peer.gone()
            self.first_gone.set()

        async with self.http, ScriptedServer(until_gone, second) as server:
            self.rig = Rig(self.clock, server.url, *data_types, rest=self.http.root)
            exchange = binance(data_types=data_types, endpoints=Endpoints(ws_public=server.url))
            context = replace(self.rig.context, exchange=exchange, instrument=INSTRUMENT)
            session = Session(exchange.feeds()[0], context, Random(1), replace(PATIENCE, overlap_s=overlap_s))
            await self.rig.run(session.run(), until(lambda: self.books[-1:] == [done], done))
        return self.rig

    @property
    def books(self) -> list[str]:
        """What is in the stream of the book."""
        told = []
        for event in self.rig.events(BOOK):
            if isinstance(event, BookSnapshot):
                told.append(f"snapshot {event.seq} {event.reason}")
            elif isinstance(event, BookDelta):
                told.append(f"delta {event.prev_seq} {event.seq}")
            elif isinstance(event, FeedStatus) and event.state is not FeedState.CONNECTED:
                told.append(event.state.value)
        return told

    async def seeded(self) -> None:
        """The time to ask REST has come."""
        self.clock.advance(0.6)
        await until(lambda: self.rig.telemetry.beat.book_state is BookState.VALID, "the book is there")


async def test_the_second_connection_goes_on_where_the_first_one_ended() -> None:
    """The windows of the second are cut elsewhere, and the first one lags behind it."""
    stage = Stage(seed(100))

    async def first(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(95, 102))
        await peer.settle()
        await stage.seeded()
        await peer.send(SHUTDOWN)
        await stage.second_reads.wait()
        for _ in range(5):
            await peer.settle()
        await peer.send(depth(103, 110))

    async def second(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(105, 107), depth(108, 112))
        await peer.settle()
        stage.second_reads.set()
        await stage.first_gone.wait()
        await peer.send(depth(113, 115))

    rig = await stage.run((BOOK,), first, second, "delta 112 115", overlap_s=0.5)
    assert stage.books == [
        "snapshot 100 subscribe", "delta 100 102", "delta 102 110", "delta 110 112", "delta 112 115",
    ]  # fmt: skip
    beat = rig.telemetry.beat
    assert (beat.resyncs, beat.reconnects, beat.book_state) == (0, 1, BookState.VALID)
    assert len(stage.http.requests) == 1


async def test_a_quiet_book_does_not_keep_the_second_connection_waiting() -> None:
    """Where nothing changes nothing is pushed (section 4.3); that other data comes shows that it delivers."""
    stage = Stage(seed(100))

    async def first(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(95, 102))
        await peer.settle()
        await stage.seeded()
        await peer.send(SHUTDOWN)

    async def second(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(pushed("trade", TRADE))
        await stage.first_gone.wait()
        await peer.send(depth(103, 104))

    rig = await stage.run((BOOK, DataType.TRADE), first, second, "delta 102 104")
    assert stage.books == ["snapshot 100 subscribe", "delta 100 102", "delta 102 104"]
    assert rig.telemetry.beat.resyncs == 0


USELESS = {
    "out of some cache": (seed(93), "the snapshots of REST are older than what the socket has brought"),
    "without asks": (seed(100, asks=0), "the snapshots of REST lack bids or asks although the market moves"),
}


@pytest.mark.parametrize(("useless", "why"), USELESS.values(), ids=USELESS)
async def test_an_answer_that_is_of_no_use_is_told_and_asked_for_again(useless: bytes, why: str) -> None:
    stage = Stage(useless, seed(100))

    async def script(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(pushed("trade", TRADE), depth(95, 102))
        await peer.settle()
        stage.clock.advance(0.6)
        beat = stage.rig.telemetry.beat
        await until(lambda: beat.last_error == f"the order book waits: {why}", "it is reported")
        stage.clock.advance(0.5)
        await stage.seeded()
        await peer.send(depth(103, 104))

    rig = await stage.run((BOOK, DataType.TRADE), script, script, "delta 102 104")
    assert stage.books == ["snapshot 100 subscribe", "delta 100 102", "delta 102 104"]
    assert not rig.telemetry.troubled("book")


async def test_a_book_in_doubt_is_seeded_by_the_second_connection() -> None:
    stage = Stage(seed(100), NO_ANSWER, seed(109))

    async def first(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(95, 102))
        await peer.settle()
        await stage.seeded()
        await peer.send(depth(105, 106))  # one was lost
        await until(lambda: len(stage.http.requests) == 2, "a new seed is asked for")
        await peer.send(depth(107, 108), SHUTDOWN)

    async def second(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(104, 109))
        await stage.first_gone.wait()
        await stage.seeded()
        await peer.send(depth(110, 112))

    rig = await stage.run((BOOK,), first, second, "delta 109 112")
    assert stage.books == [
        "snapshot 100 subscribe", "delta 100 102", "stale", "snapshot 109 sequence_gap", "resynced", "delta 109 112",
    ]  # fmt: skip
    assert (rig.telemetry.beat.resyncs, len(stage.http.requests)) == (1, 3)


async def test_a_first_connection_that_never_had_a_book_is_no_hindrance() -> None:
    stage = Stage(NO_ANSWER, seed(109))

    async def first(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(95, 102), SHUTDOWN)

    async def second(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(104, 109))
        await stage.first_gone.wait()
        stage.clock.advance(0.6)
        await until(lambda: stage.http.requests, "a seed is asked for")
        stage.clock.advance(0.6)
        await stage.seeded()
        await peer.send(depth(110, 112))

    await stage.run((BOOK,), first, second, "delta 109 112")
    assert stage.books == ["snapshot 109 subscribe", "delta 109 112"]


async def test_a_book_that_has_become_narrow_is_seeded_anew_while_it_stays_valid() -> None:
    stage = Stage(seed(100, 1_000), seed(106, 1_000))

    async def script(peer: Peer) -> None:
        await confirm(peer)
        await peer.send(depth(95, 102))
        await peer.settle()
        await stage.seeded()
        await peer.send(depth(103, 104, without=750))
        await peer.settle()
        assert len(stage.http.requests) == 1
        await peer.send(depth(105, 106, without=751))
        await until(lambda: stage.books[-1].startswith("snapshot"), "the new seed is there")
        await peer.send(depth(107, 108))

    rig = await stage.run((BOOK,), script, script, "delta 106 108")
    assert stage.books == [
        "snapshot 100 subscribe", "delta 100 102", "delta 102 104", "delta 104 106", "snapshot 106 reseed",
        "delta 106 108",
    ]  # fmt: skip
    beat = rig.telemetry.beat
    assert (beat.resyncs, beat.book_state, beat.reconnects) == (0, BookState.VALID, 0)
    assert stage.http.targets == ["/api/v3/depth?symbol=BTCUSDT&limit=1000"] * 2
    assert rig.pipeline.book.book.known_depth == 1_000
