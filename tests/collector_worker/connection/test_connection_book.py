"""What a connection does for its order book: resubscribe after a doubt, bootstrap by REST, keep the hash."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from tests.support.clock import ManualClock, WatchedClock
from tests.support.feed_rig import Rig
from tests.support.http_server import HttpServer, answer
from tests.support.okx_wire import Levels, acknowledge, book, rest_book
from tests.support.waiting import until
from tests.support.ws_server import Peer, Play, ScriptedServer
from tickfleet.contract.events import BookDelta, BookSnapshot, Event, FeedState, FeedStatus, Level
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType
from tickfleet.errors import ConnectionLostError

pytestmark = pytest.mark.usefixtures("each_transport")

BIDS: Levels = [["3366.1", "7"], ["3366", "6"]]
ASKS: Levels = [["3366.8", "9"], ["3368", "8"]]
CHECKSUM = -1881014294
"""Of these levels (OKX sheet, section 5)."""

NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000


def levels(given: Levels) -> list[Level]:
    return [Level(price, size) for price, size in given]


def status(state: FeedState, reason: str) -> FeedStatus:
    return FeedStatus(ts_event=NOW, ts_recv=NOW, state=state, reason=reason)


def snapshot_frame(seq: int, checksum: int = 0) -> str:
    return book("snapshot", seq, -1, NOW_MS, BIDS, ASKS, checksum)


def snapshot(seq: int, reason: str, prev_seq: int | None = -1) -> BookSnapshot:
    asks = levels(ASKS)
    return BookSnapshot(
        ts_event=NOW, ts_recv=NOW, bids=levels(BIDS), asks=asks, reason=reason, seq=seq, prev_seq=prev_seq
    )


def update_frame(seq: int, prev_seq: int, size: str, checksum: int = 0) -> str:
    return book("update", seq, prev_seq, NOW_MS, [["3366.1", size]], [], checksum)


def update(seq: int, prev_seq: int, size: str) -> BookDelta:
    return BookDelta(ts_event=NOW, ts_recv=NOW, bids=[Level("3366.1", size)], asks=[], seq=seq, prev_seq=prev_seq)


async def played(script: Play, rest: str = "http://127.0.0.1:9") -> tuple[Rig, list[Event]]:
    """What is in the stream after a script that closes the connection at its end."""
    async with ScriptedServer(script) as server:
        rig = Rig(ManualClock(), server.url, DataType.ORDERBOOK, rest=rest)
        with pytest.raises(ConnectionLostError):
            await rig.run(rig.connection().run())
    return rig, rig.events(DataType.ORDERBOOK)


async def ops(peer: Peer, count: int) -> list[str]:
    """Confirm the next requests; what they want."""
    return [json.loads(request)["op"] for request in await acknowledge(peer, count)]


async def test_deltas_that_follow_are_passed_on_and_the_hash_names_the_last_one() -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(snapshot_frame(10), update_frame(15, 10, "8"), update_frame(3, 15, "5"))  # a reset of the ids
        await peer.close()

    rig, events = await played(script)
    assert events == [
        status(FeedState.CONNECTED, "start"),
        snapshot(10, "subscribe"),
        update(15, 10, "8"),
        update(3, 15, "5"),
    ]
    assert rig.book_hash == {
        "stream_id": f"{NOW_MS}-1",
        "state": "valid",
        "ts_event": str(NOW),
        "ts_recv": str(NOW),
        "seq": "10",
        "bids": '[["3366.1","7"],["3366","6"]]',
        "asks": '[["3366.8","9"],["3368","8"]]',
    }
    assert rig.pipe.ids("md:v1:{okx:BTC-USDT}:orderbook")[1] == rig.book_hash["stream_id"]


@pytest.mark.parametrize(
    ("bad_frame", "reason"),
    [
        pytest.param(update_frame(30, 20, "8"), "sequence_gap", id="gap"),
        pytest.param(update_frame(11, 10, "8", CHECKSUM + 1), "checksum", id="checksum"),
        pytest.param(book("update", 11, 10, NOW_MS, [["3366.9", "1"]], []), "crossed", id="crossed"),
        pytest.param(book("update", 11, 10, NOW_MS, [["nan", "1"]], []), "bad_level", id="level"),
        pytest.param(book("update", 11, 10, NOW_MS, [], [["3366.8", ""]]), "bad_level", id="size"),
        pytest.param(book("update", 11, 10, NOW_MS, [["3366", "."]], []), "bad_level", id="point"),
    ],
)
async def test_any_doubt_leads_to_a_new_snapshot(bad_frame: str, reason: str) -> None:
    requests: list[str] = []

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(snapshot_frame(10, CHECKSUM), bad_frame, update_frame(31, 30, "9"))
        requests.extend(await ops(peer, 2))
        await peer.send(snapshot_frame(40, CHECKSUM), update_frame(41, 40, "8"))
        await peer.close()

    rig, events = await played(script)
    assert requests == ["unsubscribe", "subscribe"]
    assert events == [
        status(FeedState.CONNECTED, "start"),
        snapshot(10, "subscribe"),
        status(FeedState.STALE, reason),
        snapshot(40, reason),
        status(FeedState.RESYNCED, "snapshot"),
        update(41, 40, "8"),
    ]
    beat = rig.telemetry.beat
    assert (beat.resyncs, beat.book_state, rig.book_hash["state"]) == (1, BookState.VALID, "valid")
    assert beat.decode_errors == (reason == "bad_level")


async def test_a_book_that_never_settles_is_asked_for_less_and_less_often() -> None:
    """Each time costs two of the 480 requests an hour."""
    clock = WatchedClock()
    asked_at_s: list[float] = []
    began_s = clock.monotonic_s()

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        for _ in range(5):
            await peer.send(snapshot_frame(10), update_frame(30, 20, "8"))
            assert await ops(peer, 2) == ["unsubscribe", "subscribe"]
            asked_at_s.append(clock.monotonic_s() - began_s)
        await peer.close()

    async def pass_time(rig: Rig) -> None:
        for times, pause_s in enumerate((0, 2, 4, 8, 16)):
            await until(lambda times=times: rig.telemetry.beat.resyncs > times, "the book is in doubt")  # type: ignore[misc]
            await clock.pass_to_all(pause_s / 2)
            await clock.pass_to_all(pause_s / 2)
            await until(lambda times=times: len(asked_at_s) > times, "it is asked for")  # type: ignore[misc]
        await asyncio.Event().wait()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, DataType.ORDERBOOK)
        with pytest.raises(ConnectionLostError):
            await rig.run(rig.connection().run(), pass_time(rig))
    assert asked_at_s == [0, 2, 6, 14, 30]
    assert rig.telemetry.beat.book_state is BookState.SYNCING
    assert rig.book_hash["state"] == "syncing"


async def test_without_a_first_snapshot_the_book_comes_by_rest() -> None:
    clock = WatchedClock()
    async with HttpServer(
        answer(b"<html>", "503 Service Unavailable"),
        answer(rest_book(8, NOW_MS, BIDS, ASKS)),  # older than what waits: asked for again
        answer(rest_book(12, NOW_MS, BIDS, ASKS)),
    ) as http:

        async def script(peer: Peer) -> None:
            await acknowledge(peer)
            await peer.send(update_frame(11, 10, "1"), update_frame(13, 11, "2"), update_frame(14, 13, "3"))
            await peer.settle()
            await clock.pass_to_all(4.9)
            assert http.requests == []
            await clock.pass_to_all(0.2)
            await until(lambda: "book" in rig.telemetry._troubles, "the failure is taken note of")
            for count in (2, 3):
                await clock.pass_to_all(10)
                await until(lambda count=count: len(http.requests) == count)  # type: ignore[misc]
            await until(lambda: rig.telemetry.beat.book_state is BookState.VALID, "the book is there")
            await peer.send(update_frame(15, 14, "4"))
            await peer.close()

        async with ScriptedServer(script) as server:
            rig = Rig(clock, server.url, DataType.ORDERBOOK, rest=http.root)
            with pytest.raises(ConnectionLostError):
                await rig.run(rig.connection().run())

    assert http.targets[:3] == ["/api/v5/market/books?instId=BTC-USDT&sz=400"] * 3
    assert len(http.targets) <= 4, "a book as short as this one may have been asked for once more"
    kinds = [(type(event), getattr(event, "seq", None)) for event in rig.events(DataType.ORDERBOOK)]
    assert kinds == [
        (FeedStatus, None),
        (BookSnapshot, 12),
        (BookDelta, 13),
        (BookDelta, 14),
        (BookDelta, 15),
    ]
    assert rig.telemetry._troubles == {}
    assert rig.telemetry.beat.resyncs == 0


async def test_a_book_of_full_pushes_needs_no_snapshot() -> None:
    """Nor is one asked for by REST, however long the first push takes: it would have more levels than the channel."""
    clock = WatchedClock()
    began_ns = clock.now_ns()

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        await clock.pass_to_all(19)
        frame = json.loads(snapshot_frame(10))
        del frame["action"], frame["data"][0]["prevSeqId"]
        frame["arg"]["channel"] = "books5"
        await peer.send(json.dumps(frame))
        await peer.close()

    async with HttpServer(answer(rest_book(12, NOW_MS, BIDS, ASKS))) as http, ScriptedServer(script) as server:
        rig = Rig(clock, server.url, DataType.ORDERBOOK, rest=http.root, params={"book_channel": "books5"})
        with pytest.raises(ConnectionLostError):
            await rig.run(rig.connection().run())
    pushed = replace(snapshot(10, "push", None), ts_recv=began_ns + 19 * 10**9)
    assert rig.events(DataType.ORDERBOOK) == [status(FeedState.CONNECTED, "start"), pushed]
    assert http.requests == []


async def test_a_book_that_gets_no_snapshot_says_so() -> None:
    """A channel that sends the whole book each time has nothing that could be asked for by REST."""
    clock = WatchedClock()

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        for seconds in (0.0, 0.0, 9.9):
            await clock.pass_to_all(seconds)
        assert not rig.telemetry.troubled("book")
        clock.advance(0.2)
        await until(lambda: rig.telemetry.troubled("book"), "it is reported")
        assert rig.telemetry.beat.last_error == "the order book waits: no snapshot has come"
        await peer.send(whole_book(10))
        await until(lambda: rig.telemetry.beat.book_state is BookState.VALID, "a book is there")
        await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, DataType.ORDERBOOK, params={"book_channel": "books5"})
        with pytest.raises(ConnectionLostError):
            await rig.run(rig.connection().run())
    assert not rig.telemetry.troubled("book")


def whole_book(seq: int) -> str:
    row = {"bids": BIDS, "asks": ASKS, "ts": str(NOW_MS), "seqId": seq}
    return json.dumps({"arg": {"channel": "books5", "instId": "BTC-USDT"}, "data": [row]})
