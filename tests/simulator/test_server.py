import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.simulator.clock import ManualClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.waiting import PATIENCE_S

_START_MS = 1_790_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START_MS)


@pytest.fixture
async def simulator(clock: ManualClock) -> AsyncIterator[Simulator[OkxSource]]:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=1_000), _START_MS)
    async with asyncio.timeout(PATIENCE_S), Simulator(source, clock=clock) as simulator:
        yield simulator


async def _get(simulator: Simulator[OkxSource], target: str) -> tuple[int, Any]:
    """One GET; reads to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    lines = head.decode().split("\r\n")
    assert "Content-Type: application/json" in lines
    assert f"Content-Length: {len(body)}" in lines
    return int(lines[0].split()[1]), json.loads(body)


async def test_one_port_answers_rest_and_sim_pages(simulator: Simulator[OkxSource]) -> None:
    assert await _get(simulator, "/api/v5/public/time") == (
        200,
        {"code": "0", "msg": "", "data": [{"ts": str(_START_MS)}]},
    )
    status, body = await _get(simulator, "/api/v5/market/books?instId=BTC-USDT&sz=400")
    assert (status, len(body["data"][0]["bids"])) == (200, 400)
    assert await _get(simulator, "/sim/connections") == (200, {"code": "0", "msg": "", "data": []})
    assert (await _get(simulator, "/sim/trades?instId=BTC-USDT"))[1]["data"] == simulator.source.ledger.trades(
        "BTC-USDT"
    )
    assert (await _get(simulator, "/elsewhere"))[0] == 404


async def test_websocket_on_another_path_is_refused(simulator: Simulator[OkxSource]) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        await connect(f"ws://127.0.0.1:{simulator.port}/ws/v5/private")


async def test_query_of_a_socket_path_does_not_matter(simulator: Simulator[OkxSource]) -> None:
    async with connect(f"{simulator.ws_public}?brokerId=9999") as socket:
        await socket.send("ping")
        assert await socket.recv() == "pong"


async def _until(socket: ClientConnection, count: int) -> list[Any]:
    return [json.loads(await socket.recv()) for _ in range(count)]


async def test_two_connections_see_the_same_and_the_book_is_the_true_one(
    simulator: Simulator[OkxSource], clock: ManualClock
) -> None:
    request = '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'
    async with connect(simulator.ws_public) as first, connect(simulator.ws_public) as second:
        await first.send(request)
        one = await _until(first, 2)
        clock.move(500)
        one += await _until(first, 5)
        await second.send(request)
        two = await _until(second, 2)
        clock.move(500)
        one += await _until(first, 5)
        two += await _until(second, 5)

    assert one[7:] == two[2:]
    rows = [frame["data"][0] for frame in one[1:]]
    assert all(before["seqId"] == after["prevSeqId"] for before, after in itertools.pairwise(rows))
    for frames in (one, two):
        assert _book(frames[1:]) == _true_book(simulator, frames[-1]["data"][0]["seqId"])


def _book(frames: list[Any]) -> dict[str, dict[str, str]]:
    book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for frame in frames:
        for side, levels in book.items():
            levels.update({level[0]: level[1] for level in frame["data"][0][side]})
    return {side: {px: sz for px, sz in levels.items() if sz != "0"} for side, levels in book.items()}


def _true_book(simulator: Simulator[OkxSource], seq: int) -> dict[str, dict[str, str]]:
    book = simulator.source.ledger.book("BTC-USDT", seq)
    assert book is not None
    return {side: dict(levels) for side, levels in book.items()}


async def test_idle_connection_is_closed_with_4004(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with connect(simulator.ws_public) as socket:
        await simulator.wait_until(lambda: len(simulator.connections) == 1)
        clock.move(30_000)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4004, "No data received in 30s.")


async def test_request_over_64_kb_is_closed_with_1009(simulator: Simulator[OkxSource]) -> None:
    async with connect(simulator.ws_public) as socket:
        await socket.send("x" * 65_536)
        assert json.loads(await socket.recv())["code"] == "60012"
        await socket.send("x" * 65_537)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_who_does_not_read_at_all_is_cut(clock: ManualClock) -> None:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=0), _START_MS)
    async with (
        asyncio.timeout(PATIENCE_S),
        Simulator(source, clock=clock, backlog_bytes=10_000) as simulator,
        connect(simulator.ws_public, max_queue=1) as slow,
        connect(simulator.ws_public) as quick,
    ):
        await simulator.wait_until(lambda: len(simulator.connections) == 2)
        sent = 0
        while len(simulator.connections) == 2:
            simulator.controls.garbage("x" * 5_000)
            sent += 1
            assert len(await quick.recv()) == 5_000
        read = 0
        with pytest.raises(ConnectionClosedError) as closed:  # noqa: PT012 - the end is behind the data
            while True:
                read += len(await slow.recv())
    assert closed.value.rcvd is None  # no room for a close frame, either
    assert 0 < read < 5_000 * sent


async def test_end_closes_connections(clock: ManualClock) -> None:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=0), _START_MS)
    async with asyncio.timeout(PATIENCE_S):
        async with Simulator(source, clock=clock) as simulator:
            socket = await connect(simulator.ws_public)
        with pytest.raises(Exception, match="1001"):
            await socket.recv()
    assert simulator.connections == []


async def test_port_in_use_is_an_os_error(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Simulator(simulator.source, port=simulator.port, clock=clock):
            pass


async def test_urls() -> None:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=0), _START_MS)
    async with Simulator(source, host="::1", clock=ManualClock(_START_MS)) as simulator:
        port = simulator.port
        assert simulator.rest == f"http://[::1]:{port}"
        assert simulator.ws_public == f"ws://[::1]:{port}/ws/v5/public"
        assert simulator.ws_business == f"ws://[::1]:{port}/ws/v5/business"
