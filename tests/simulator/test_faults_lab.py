import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.simulator import faults
from tests.simulator.clock import ManualClock
from tests.simulator.faults import Schedule
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.waiting import PATIENCE_S, until

_START_MS = 1_790_000_000_000
_BOOKS = {"channel": "books", "instId": "BTC-USDT"}
_TICKERS = {"channel": "tickers", "instId": "BTC-USDT"}
_TIME = "/api/v5/public/time"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START_MS)


@pytest.fixture
async def simulator(clock: ManualClock) -> AsyncIterator[Simulator[OkxSource]]:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT", "ETH-USDT"), warmup_ms=1_000), _START_MS)
    async with asyncio.timeout(PATIENCE_S), Simulator(source, clock=clock) as simulator:
        yield simulator


async def _subscribed(simulator: Simulator[OkxSource], *args: dict[str, str]) -> ClientConnection:
    """A connection whose acks and first frames have been read."""
    socket = await connect(simulator.ws_public, max_queue=None)  # nobody reads all that is sent
    await socket.send(json.dumps({"op": "subscribe", "args": args or [_BOOKS]}))
    for _ in range(2 * max(1, len(args))):
        await socket.recv()
    return socket


async def _frame(socket: ClientConnection) -> Any:
    return json.loads(await socket.recv())


def _states(simulator: Simulator[OkxSource]) -> list[tuple[str, int]]:
    rows: Any = simulator.faults.rows()
    return [(row["state"], row["hits"]) for run in rows for row in run["faults"]]


async def _closed(socket: ClientConnection) -> tuple[int, str] | None:
    """Read to the end; the close frame received, or None if the connection was cut."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


async def _get(simulator: Simulator[OkxSource], target: str) -> bytes:
    """One GET, read to the end of the connection: empty if it was cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_schedule_runs_by_the_clock(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    schedule = Schedule(seed=8, faults=(faults.Rest500(at_ms=500, for_ms=200), faults.RestSlow(at_ms=100, for_ms=500)))
    simulator.faults.run(schedule)
    assert _states(simulator) == [("waiting", 0), ("waiting", 0)]
    clock.move(100)
    simulator.tick()
    assert _states(simulator) == [("active", 0), ("waiting", 0)]
    clock.move(400)
    simulator.tick()
    assert _states(simulator) == [("active", 0), ("active", 0)]
    clock.move(100)
    simulator.tick()
    assert _states(simulator) == [("done", 0), ("active", 0)]
    assert b"500 Internal Server Error" in await _get(simulator, _TIME)

    waiting = asyncio.create_task(simulator.faults.wait_over())
    clock.move(100)
    await waiting
    assert b"200 OK" in await _get(simulator, _TIME)
    assert simulator.faults.over
    assert simulator.faults.rows() == [
        {
            "seed": 8,
            "state": "done",
            "from_ms": _START_MS,
            "until_ms": _START_MS + 700,
            "faults": [
                {
                    "state": "done",
                    "from_ms": _START_MS + 100,
                    "until_ms": _START_MS + 600,
                    "hits": 0,
                    "fault": {"kind": "rest_slow", "at_ms": 100, "for_ms": 500, "page": "", "delay_ms": 1_000},
                },
                {
                    "state": "done",
                    "from_ms": _START_MS + 500,
                    "until_ms": _START_MS + 700,
                    "hits": 1,
                    "fault": {"kind": "rest_500", "at_ms": 500, "for_ms": 200, "page": "", "status": 500},
                },
            ],
        }
    ]


async def test_connections_are_cut(simulator: Simulator[OkxSource]) -> None:
    socket, other = await _subscribed(simulator), await connect(simulator.ws_business)
    simulator.faults.start(faults.Cut())
    assert [await _closed(socket), await _closed(other)] == [None, None]
    assert _states(simulator) == [("done", 2)]


async def _said(socket: ClientConnection) -> tuple[list[Any], tuple[int, str] | None]:
    """The frames up to the end, and the close frame."""
    frames = []
    try:
        while True:
            frames.append(await _frame(socket))
    except ConnectionClosed as closed:
        return frames, None if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


async def test_a_slow_reader_gets_all_at_once_and_late_then_the_close_frame(
    simulator: Simulator[OkxSource], clock: ManualClock
) -> None:
    slow = await _subscribed(simulator)
    simulator.faults.start(faults.SlowReaderClosed(for_ms=1_000))
    quick = await _subscribed(simulator)
    for _ in range(9):
        clock.move(100)
        assert (await _frame(quick))["action"] == "update"
    with pytest.raises(TimeoutError):  # the one time that nothing has to come
        await asyncio.wait_for(slow.recv(), 0.05)
    clock.move(100)
    assert (await _frame(quick))["action"] == "update"
    frames, close = await _said(slow)
    assert ([frame["action"] for frame in frames[:9]], close) == (["update"] * 9, (4005, "Write buffer is full."))
    assert _states(simulator) == [("done", 1)]
    await quick.close()


async def test_the_patience_with_a_slow_reader_ends_where_too_much_waits(
    simulator: Simulator[OkxSource], clock: ManualClock
) -> None:
    slow = await _subscribed(simulator)
    simulator.faults.start(faults.SlowReaderClosed(for_ms=60_000, backlog_bytes=1))
    clock.move(100)
    frames, close = await _said(slow)
    assert (len(frames), close) == (1, (4005, "Write buffer is full."))
    assert _states(simulator) == [("active", 1)]


async def test_only_sockets_of_a_path_are_cut(simulator: Simulator[OkxSource]) -> None:
    socket, other = await _subscribed(simulator), await connect(simulator.ws_business)
    simulator.faults.start(faults.Cut(path="business"))
    assert await _closed(other) is None
    await socket.send("ping")
    assert await socket.recv() == "pong"


async def test_accepted_and_dropped(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    open_before = await _subscribed(simulator)
    simulator.faults.start(faults.DropOnAccept(for_ms=1_000))
    assert await _closed(open_before) is None
    for _ in range(2):
        assert await _closed(await connect(simulator.ws_public)) is None
    clock.move(1_000)
    simulator.tick()
    async with await _subscribed(simulator):
        assert _states(simulator) == [("done", 3)]


async def test_refused(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    simulator.faults.start(faults.RefuseConnect(for_ms=1_000))
    with pytest.raises(InvalidStatus, match="503"):
        await connect(simulator.ws_public)
    assert b"200 OK" in await _get(simulator, _TIME)
    clock.move(1_000)
    simulator.tick()
    async with await _subscribed(simulator):
        assert _states(simulator) == [("done", 1)]


async def test_half_open_says_nothing_and_answers_nothing(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    dead = await _subscribed(simulator)
    simulator.faults.start(faults.HalfOpen(for_ms=5_000))
    alive = await _subscribed(simulator)
    await dead.send("ping")
    pong = asyncio.ensure_future(await dead.ping())
    for _ in range(20):
        clock.move(100)
        assert (await _frame(alive))["action"] == "update"
    assert not pong.done()
    assert dead.close_code is None

    clock.move(3_000)
    assert await _closed(dead) is None
    await alive.send("ping")
    await alive.close()


async def test_notice_then_the_end_of_those_told(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    told = await _subscribed(simulator, _TICKERS)
    simulator.faults.start(faults.Notice(for_ms=2_000))
    assert (await _frame(told))["code"] == "64008"
    successor = await _subscribed(simulator, _TICKERS)
    clock.move(2_000)
    assert await _closed(told) == (1001, "service upgrade")
    assert (await _frame(successor))["arg"] == _TICKERS
    await successor.close()


async def test_planned_cut_by_age(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    old = await _subscribed(simulator)
    clock.move(600)
    young = await _subscribed(simulator)
    simulator.faults.start(faults.PlannedCut(for_ms=2_000, life_ms=1_000))
    clock.move(400)
    assert await _closed(old) is None
    assert young.close_code is None
    clock.move(600)
    assert await _closed(young) is None
    assert _states(simulator) == [("active", 2)]


async def test_one_channel_is_silent_and_others_flow(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with await _subscribed(simulator, _BOOKS, _TICKERS) as socket:
        simulator.faults.start(faults.StalledChannel(for_ms=1_000, channel="orderbook", instrument="BTC-USDT"))
        clock.move(900)
        simulator.tick()
        await socket.send("ping")
        heard = []
        while (text := await socket.recv()) != "pong":
            heard.append(json.loads(text)["arg"])
        assert heard
        assert _BOOKS not in heard
        clock.move(100)
        simulator.tick()
        clock.move(100)
        while (await _frame(socket))["arg"] != _BOOKS:
            pass


async def test_a_stalled_socket_answers_pings_alone(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with await _subscribed(simulator) as socket:
        simulator.faults.start(faults.StalledSocket(for_ms=1_000))
        clock.move(500)
        await socket.send(json.dumps({"op": "subscribe", "args": [_TICKERS]}))
        await socket.send("ping")
        assert await socket.recv() == "pong"
        clock.move(500)
        simulator.tick()
        clock.move(100)
        assert (await _frame(socket))["arg"] in (_BOOKS, _TICKERS)


async def test_late_ack_after_its_data(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with connect(simulator.ws_public) as socket:
        simulator.faults.start(faults.LateAck(for_ms=5_000, delay_ms=700))
        await socket.send(json.dumps({"op": "subscribe", "args": [_BOOKS]}))
        assert (await _frame(socket))["action"] == "snapshot"
        clock.move(699)
        assert [(await _frame(socket))["action"] for _ in range(6)] == ["update"] * 6
        clock.move(1)
        assert (await _frame(socket))["event"] == "subscribe"


@pytest.mark.parametrize("fault", [faults.LateAck(cut_first=True), faults.RefuseSubscription(cut_first=True)])
async def test_who_is_connected_has_to_ask_again(simulator: Simulator[OkxSource], fault: faults.Fault) -> None:
    socket = await _subscribed(simulator)
    simulator.faults.start(fault)
    assert await _closed(socket) is None


async def test_refused_subscription_can_be_asked_again(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with connect(simulator.ws_public) as socket:
        request = json.dumps({"id": "a", "op": "subscribe", "args": [_BOOKS]})
        simulator.faults.start(faults.RefuseSubscription(for_ms=1_000, code="63999"))
        await socket.send(request)
        refusal = await _frame(socket)
        assert (refusal["id"], refusal["event"], refusal["code"]) == ("a", "error", "63999")
        assert simulator.connections[0]["args"] == []
        clock.move(1_000)
        simulator.tick()
        await socket.send(request)
        assert [(await _frame(socket)).get("event") for _ in range(2)] == ["subscribe", None]


async def test_a_binary_frame_and_a_swap(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with await _subscribed(simulator) as socket:
        simulator.faults.run(
            Schedule(seed=5, faults=(faults.Malformed(style="binary"), faults.Reorder(channel="orderbook")))
        )
        clock.move(300)
        binary = await socket.recv()
        rows = [(await _frame(socket))["data"][0] for _ in range(3)]
    assert isinstance(binary, bytes)
    assert rows[1]["seqId"] == rows[0]["prevSeqId"]
    assert rows[2]["prevSeqId"] == rows[0]["seqId"]


async def test_same_seed_same_bytes(clock: ManualClock) -> None:
    async def noise() -> bytes:
        source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=0), _START_MS)
        clock = ManualClock(_START_MS)
        async with (
            asyncio.timeout(PATIENCE_S),
            Simulator(source, clock=clock) as simulator,
            await _subscribed(simulator) as socket,
        ):
            simulator.faults.start(faults.Malformed(style="binary"), seed=77)
            clock.move(100)
            return await socket.recv(decode=False)

    assert await noise() == await noise()


async def test_the_record_is_the_truth(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    """Whatever is said, what happened is what happened; /sim/ pages pass no gate."""
    simulator.faults.run(
        Schedule(faults=(faults.RestLost(for_ms=5_000), faults.ClockOff(), faults.Rest500(), faults.StalledSocket()))
    )
    clock.move(5_000)
    simulator.tick()
    body = (await _get(simulator, "/sim/trades?instId=BTC-USDT")).partition(b"\r\n\r\n")[2]
    trades = json.loads(body)["data"]
    assert trades == simulator.source.ledger.trades("BTC-USDT")
    ids = [int(trade["id"]) for trade in trades]
    assert ids == [*range(ids[0], ids[-1] + 1)]

    body = (await _get(simulator, "/api/v5/market/trades?instId=BTC-USDT&limit=500")).partition(b"\r\n\r\n")[2]
    left = [trade["id"] for trade in trades if not _START_MS <= int(trade["ts"]) < _START_MS + 5_000]
    assert [row["tradeId"] for row in reversed(json.loads(body)["data"])] == left  # for good, after the fault
    assert len(left) < len(ids)


async def test_slow_and_missing_answers(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with asyncio.TaskGroup() as tasks:
        simulator.faults.start(faults.RestSlow(for_ms=100, delay_ms=2_000))
        slow = tasks.create_task(_get(simulator, _TIME))
        await _until_hit(simulator, 1)
        clock.move(1_999)
        simulator.faults.start(faults.RestTimeout(for_ms=1_000))
        never = tasks.create_task(_get(simulator, _TIME))
        await _until_hit(simulator, 2)
        assert not slow.done()
        clock.move(1)
        assert b'"ts":"%d"' % _START_MS in await slow
        assert not never.done()
        clock.move(999)
        assert await never == b""


async def _until_hit(simulator: Simulator[OkxSource], count: int) -> None:
    """Wait until so many requests have met a fault."""
    await until(lambda: sum(hits for _, hits in _states(simulator)) >= count)


async def test_only_what_is_over_is_forgotten(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    simulator.faults.start(faults.RestSlow(for_ms=60_000), seed=1)
    for seed in range(2, 500):
        simulator.faults.start(faults.Cut(), seed=seed)
    assert len(simulator.faults.rows()) == 499
    clock.move(60_000)
    simulator.faults.start(faults.Cut(), seed=500)
    simulator.faults.start(faults.Cut(), seed=501)
    assert [row["seed"] for row in simulator.faults.rows()] == [*range(302, 502)]


async def test_retry_after_is_said(simulator: Simulator[OkxSource]) -> None:
    simulator.faults.start(faults.Rest429(retry_after_s=7))
    answer = await _get(simulator, _TIME)
    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"Retry-After: 7\r\n" in answer


async def test_the_end_does_not_wait_for_answers_that_never_come(clock: ManualClock) -> None:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=0), _START_MS)
    async with asyncio.timeout(PATIENCE_S):
        async with Simulator(source, clock=clock) as simulator:
            simulator.faults.start(faults.RestTimeout(for_ms=60_000))
            reply = asyncio.create_task(_get(simulator, _TIME))
            await _until_hit(simulator, 1)
        assert await reply == b""
