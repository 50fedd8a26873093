import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.protocol import Event

from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.binance_streams import Stream
from tests.simulator.clock import ManualClock
from tests.simulator.server import Simulator
from tests.simulator.source import Frame

_START_MS = 1_790_000_000_000
_OPTIONS = BinanceOptions(instruments=("BTCUSDT", "TONUSDT"), warmup_ms=2_000)
_ALL = "depth@100ms/btcusdt@trade/btcusdt@ticker/btcusdt@bookTicker/btcusdt@kline_1s"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START_MS)


@pytest.fixture
async def simulator(clock: ManualClock) -> AsyncIterator[Simulator[BinanceSource]]:
    source = BinanceSource(_OPTIONS, _START_MS, max_life_ms=300_000, connect_limit=4)
    async with Simulator(source, clock=clock) as simulator:
        yield simulator


async def _get(simulator: Simulator[BinanceSource], target: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert target.startswith("/sim/") or b"X-MBX-USED-WEIGHT-1M: " in head
    return json.loads(body)


async def _until(socket: ClientConnection, count: int) -> list[Any]:
    return [json.loads(await socket.recv()) for _ in range(count)]


async def _closed(socket: ClientConnection) -> tuple[int, str] | None:
    """Code and reason of the close frame; None if the connection was cut without one."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosedError as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None


def test_frames_do_not_depend_on_how_time_is_cut() -> None:
    cut, whole = BinanceSource(_OPTIONS, _START_MS), BinanceSource(_OPTIONS, _START_MS)
    for source in (cut, whole):
        source.open_session(f"/ws/btcusdt@{_ALL}", "c0")
    frames: list[Frame] = []
    for now_ms in itertools.accumulate((3, 7, 100, 250, 1, 1_639), initial=_START_MS):
        frames += cut.advance(now_ms)

    assert frames == whole.advance(_START_MS + 2_000)
    assert {frame.topic for frame in frames} == {
        Stream(f"btcusdt@{s}") for s in _ALL.replace("btcusdt@", "").split("/")
    }


def test_nothing_is_made_after_the_last_unsubscribe() -> None:
    source = BinanceSource(_OPTIONS, _START_MS)
    session = source.open_session("/ws/btcusdt@trade", "c0")
    assert source.advance(_START_MS + 3_000) != []
    session.close()

    assert source.advance(_START_MS + 6_000) == []


def test_ids_of_the_warmup_are_counted() -> None:
    source = BinanceSource(_OPTIONS, _START_MS)
    source.open_session("/ws/btcusdt@trade/btcusdt@aggTrade", "c0")
    rows = [json.loads(frame.text) for frame in source.advance(_START_MS + 2_000)]
    trades = [row["t"] for row in rows if row["e"] == "trade"]
    merged = [row for row in rows if row["e"] == "aggTrade"]

    past = json.loads(source.rest("/api/v3/aggTrades", {"symbol": "BTCUSDT"}, 0).body)
    before = [row for row in past if row["T"] <= _START_MS]
    assert [before[-1]["a"] + 1, before[-1]["l"] + 1] == [merged[0]["a"], trades[0]]
    assert [row["a"] for row in past] == list(range(past[0]["a"], past[0]["a"] + len(past)))


async def test_snapshot_and_diffs_make_the_true_book(simulator: Simulator[BinanceSource], clock: ManualClock) -> None:
    async with connect(f"{simulator.ws_public}/ws/btcusdt@depth@100ms") as socket:
        diffs: list[Any] = []
        snapshot: Any = None
        for step in range(4):
            clock.move(130)
            if step == 1:
                simulator.tick()
                snapshot = await _get(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        clock.move(80)
        diffs = await _until(socket, 6)

    book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
    local = snapshot["lastUpdateId"]
    for diff in diffs:
        if diff["u"] <= local:
            continue
        assert diff["U"] <= local + 1 <= diff["u"]
        for side, levels in (("bids", diff["b"]), ("asks", diff["a"])):
            book[side].update((price, size) for price, size in levels)
        local = diff["u"]
    page = await _get(simulator, f"/sim/book?instId=BTCUSDT&sz=9999&seqId={local}")
    true = {side: dict(page["data"][0][side]) for side in book}
    assert {side: {p: s for p, s in levels.items() if float(s)} for side, levels in book.items()} == true


async def test_both_ways_to_subscribe_give_the_same(simulator: Simulator[BinanceSource], clock: ManualClock) -> None:
    base, streams = simulator.ws_public, ["btcusdt@depth@100ms", "tonusdt@ticker", "btcusdt@nonsense"]
    async with (
        connect(f"{base}/stream?streams={'/'.join(streams)}") as one,
        connect(f"{base}/ws"),  # servers take turns: the third connection is to the server of the first
        connect(f"{base}/stream") as other,
    ):
        await other.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
        assert await _until(other, 1) == [{"result": None, "id": 1}]
        clock.move(1_000)
        frames = await _until(one, 11)
        assert frames == await _until(other, 11)
        assert {frame["stream"] for frame in frames} == set(streams[:2])

        args = [{"stream": stream, "combined": True} for stream in streams]
        listed = (await _get(simulator, "/sim/connections"))["data"]
        assert [(row["path"], row["args"]) for row in listed] == [
            (f"/stream?streams={'/'.join(streams)}", args),
            ("/ws", []),
            ("/stream", args),
        ]


async def test_two_connections_get_update_windows_with_different_bounds(
    simulator: Simulator[BinanceSource], clock: ManualClock
) -> None:
    """Section 7: ids are the same everywhere, but copies differ in time and in what a window holds."""
    path = f"{simulator.ws_public}/ws/btcusdt@depth@100ms"
    async with connect(path) as one, connect(path) as other:
        await simulator.wait_until(lambda: len(simulator.connections) == 2)
        clock.move(1_050)
        copies = [await _until(one, 10), await _until(other, 10)]
    for windows in copies:
        assert all(before["u"] + 1 == after["U"] for before, after in itertools.pairwise(windows))
    ends, other_ends = ({window["u"] for window in windows} for windows in copies)
    assert not ends & other_ends
    assert {window["E"] % 100 for window in copies[0]} == {0}
    assert {window["E"] % 100 for window in copies[1]} == {50}


async def test_record_pages(simulator: Simulator[BinanceSource]) -> None:
    trades = (await _get(simulator, "/sim/trades?instId=BTCUSDT"))["data"]
    last = await _get(simulator, "/api/v3/trades?symbol=BTCUSDT&limit=1")

    assert trades[-1] == {
        "id": str(last[0]["id"]),
        "px": last[0]["price"],
        "sz": last[0]["qty"],
        "side": "sell" if last[0]["isBuyerMaker"] else "buy",
        "ts": str(last[0]["time"]),
    }
    assert len((await _get(simulator, "/sim/candles?instId=BTCUSDT&bar=1s"))["data"]) == 2
    assert (await _get(simulator, "/sim/stats"))["data"][0]["connections"] == []


async def test_actions(simulator: Simulator[BinanceSource], clock: ManualClock) -> None:
    base = simulator.ws_public
    async with connect(f"{base}/ws/btcusdt@depth@100ms") as raw, connect(f"{base}/stream") as combined:
        await _get(simulator, "/sim/do/notice")
        assert await _until(raw, 1) == [{"e": "serverShutdown", "E": _START_MS}]
        shutdown = {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": _START_MS}}
        assert await _until(combined, 1) == [shutdown]

        await _get(simulator, "/sim/do/gap?instId=BTCUSDT&n=2")
        before = simulator.source.ledger.seq("BTCUSDT")
        clock.move(300)
        (diff,) = await _until(raw, 1)
        assert diff["U"] > before + 1

        for state, status in (("HALT", 200), ("DELISTED", 400)):
            await _get(simulator, f"/sim/do/state?instId=BTCUSDT&state={state}")
            answer = simulator.source.rest("/api/v3/exchangeInfo", {"symbol": "BTCUSDT"}, 0)
            assert answer.status == status
        assert (await _get(simulator, "/sim/do/state?instId=NOSUCH&state=HALT"))["code"] == "51001"

        await _get(simulator, "/sim/do/drop")
        assert await _closed(raw) is None


class _Noting(ClientConnection):
    """A client that notes the pings it gets; the library answers them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings: asyncio.Queue[bytes] = asyncio.Queue()

    def process_event(self, event: Event) -> None:
        if isinstance(event, WireFrame) and event.opcode is Opcode.PING:
            self.pings.put_nowait(bytes(event.data))
        super().process_event(event)


async def test_pings_carry_the_time_and_answered_ones_keep_the_connection(
    simulator: Simulator[BinanceSource], clock: ManualClock
) -> None:
    async with connect(f"{simulator.ws_public}/ws", create_connection=_Noting) as socket:
        assert isinstance(socket, _Noting)
        await simulator.wait_until(lambda: len(simulator.connections) == 1)
        for beat in range(1, 6):
            clock.move(20_000)
            assert await socket.pings.get() == str(_START_MS + 20_000 * beat).encode()
            await (await socket.ping())  # its answer comes after the server has got the pong
        assert len(simulator.connections) == 1


async def test_missing_or_wrong_pong_ends_the_connection(
    simulator: Simulator[BinanceSource], clock: ManualClock
) -> None:
    async with connect(f"{simulator.ws_public}/ws") as socket:
        await simulator.wait_until(lambda: len(simulator.connections) == 1)
        socket.transport.pause_reading()  # as a client whose event loop is blocked
        await socket.pong(b"")
        for _ in range(5):
            clock.move(20_000)
            await _get(simulator, "/sim/stats")  # gives the connection's task its turn
        await simulator.wait_until(lambda: not simulator.connections)
        socket.transport.resume_reading()
        assert await _closed(socket) == (1008, "Pong timeout")


@pytest.mark.parametrize("kind", ["request", "ping", "pong"])
async def test_more_than_five_frames_a_second_end_the_connection(
    simulator: Simulator[BinanceSource], kind: str
) -> None:
    async with connect(f"{simulator.ws_public}/ws") as socket:
        for n in range(6):
            if kind == "request":
                await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": n}))
            elif kind == "ping":
                await socket.ping()
            else:
                await socket.pong()
        assert await _closed(socket) == (1008, "Too many requests")


async def test_old_connection_is_cut(simulator: Simulator[BinanceSource], clock: ManualClock) -> None:
    async with connect(f"{simulator.ws_public}/ws") as socket:
        await simulator.wait_until(lambda: len(simulator.connections) == 1)
        clock.move(300_000)
        assert await _closed(socket) is None


async def test_one_connection_attempt_too_many(simulator: Simulator[BinanceSource], clock: ManualClock) -> None:
    url = f"{simulator.ws_public}/ws/btcusdt@trade"
    for _ in range(4):
        async with connect(url):
            pass
    with pytest.raises(InvalidStatus, match="429"):
        await connect(url)
    clock.move(300_000)
    async with connect(url, open_timeout=None):  # it first makes the market of five minutes
        pass
