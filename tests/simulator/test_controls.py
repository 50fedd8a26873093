import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.simulator.clock import ManualClock
from tests.simulator.faults_draw import draw_schedule
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.waiting import PATIENCE_S

_START_MS = 1_790_000_000_000
_BOOKS = {"channel": "books", "instId": "BTC-USDT"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START_MS)


@pytest.fixture
async def simulator(clock: ManualClock) -> AsyncIterator[Simulator[OkxSource]]:
    source = OkxSource(OkxOptions(instruments=("BTC-USDT", "ETH-USDT"), warmup_ms=1_000), _START_MS)
    async with asyncio.timeout(PATIENCE_S), Simulator(source, clock=clock) as simulator:
        yield simulator


async def _subscribe(simulator: Simulator[OkxSource], socket: ClientConnection, *args: dict[str, str]) -> list[Any]:
    """Subscribe and read the answers: an ack and a first frame each."""
    await socket.send(json.dumps({"op": "subscribe", "args": args}))
    return [json.loads(await socket.recv()) for _ in range(2 * len(args))]


def _do(simulator: Simulator[OkxSource], page: str, **query: str) -> Any:
    answer = simulator.controls.page(f"/sim/{page}", query)
    return json.loads(answer.body)


_DONE = {"code": "0", "msg": "", "data": []}


async def test_gap_makes_a_hole_that_a_new_subscription_closes(
    simulator: Simulator[OkxSource], clock: ManualClock
) -> None:
    async def update() -> Any:
        clock.move(100)
        return json.loads(await socket.recv())["data"][0]

    async with connect(simulator.ws_public) as socket:
        _, snapshot = await _subscribe(simulator, socket, _BOOKS)
        last = snapshot["data"][0]["seqId"]
        row = await update()
        assert row["prevSeqId"] == last
        assert _do(simulator, "do/gap", instId="BTC-USDT", n="2") == _DONE
        clock.move(200)
        after = await update()
        assert after["prevSeqId"] > row["seqId"]

        await socket.send(json.dumps({"op": "unsubscribe", "args": [_BOOKS]}))
        assert json.loads(await socket.recv())["event"] == "unsubscribe"
        _, snapshot = await _subscribe(simulator, socket, _BOOKS)
        assert (snapshot["action"], snapshot["data"][0]["prevSeqId"]) == ("snapshot", -1)
        assert (await update())["prevSeqId"] == snapshot["data"][0]["seqId"]


async def test_drop_cuts_without_a_close_frame(simulator: Simulator[OkxSource]) -> None:
    async with connect(simulator.ws_public) as first, connect(simulator.ws_business) as second:
        await simulator.wait_until(lambda: len(simulator.connections) == 2)
        one = next(row for row in simulator.connections if row["path"] == "/ws/v5/public")
        assert _do(simulator, "do/drop", id=str(one["id"])) == _DONE
        with pytest.raises(ConnectionClosedError) as lost:
            await first.recv()
        assert lost.value.rcvd is None
        await simulator.wait_until(lambda: [row["path"] for row in simulator.connections] == ["/ws/v5/business"])
        assert _do(simulator, "do/drop") == _DONE
        with pytest.raises(ConnectionClosedError):
            await second.recv()


async def test_notice_and_garbage_reach_everyone(simulator: Simulator[OkxSource]) -> None:
    async with connect(simulator.ws_public) as first, connect(simulator.ws_business) as second:
        await simulator.wait_until(lambda: len(simulator.connections) == 2)
        ids = {str(row["path"]): row["id"] for row in simulator.connections}
        assert _do(simulator, "do/notice") == _DONE
        assert _do(simulator, "do/garbage", text='{"a":') == _DONE

        for socket, path in ((first, "/ws/v5/public"), (second, "/ws/v5/business")):
            notice = json.loads(await socket.recv())
            assert (notice["event"], notice["code"], notice["connId"]) == ("notice", "64008", ids[path])
            assert await socket.recv() == '{"a":'


async def test_a_stall_stops_data_but_not_pongs(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with connect(simulator.ws_public) as socket:
        await _subscribe(simulator, socket, _BOOKS)
        assert _do(simulator, "do/mute", on="1") == _DONE
        clock.move(10_000)
        simulator.tick()
        await socket.send("ping")
        assert await socket.recv() == "pong"
        assert _do(simulator, "do/mute", on="0") == _DONE
        clock.move(100)
        assert json.loads(await socket.recv())["action"] == "update"


async def test_views(simulator: Simulator[OkxSource]) -> None:
    async with connect(simulator.ws_public) as socket:
        answers = await _subscribe(simulator, socket, _BOOKS, {"channel": "tickers", "instId": "ETH-USDT"})
        conn_id = answers[0]["connId"]

        assert _do(simulator, "connections")["data"] == [
            {"id": conn_id, "path": "/ws/v5/public", "args": [_BOOKS, {"channel": "tickers", "instId": "ETH-USDT"}]}
        ]
        (stats,) = _do(simulator, "stats")["data"]
        (row,) = stats.pop("connections")
        assert row == {"id": conn_id, **stats, "finished": None}
        assert stats["frames"] == 4
        trades = simulator.source.ledger.trades("BTC-USDT")
        assert _do(simulator, "trades", instId="BTC-USDT")["data"] == trades


async def test_faults_by_name_and_by_seed(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    assert _do(simulator, "faults") == _DONE
    answer = _do(simulator, "do/fault", kind="rest_500", for_ms="500", status="502")
    first = {
        "seed": 0,
        "state": "active",
        "from_ms": _START_MS,
        "until_ms": _START_MS + 500,
        "faults": [
            {
                "state": "active",
                "from_ms": _START_MS,
                "until_ms": _START_MS + 500,
                "hits": 0,
                "fault": {"kind": "rest_500", "at_ms": 0, "for_ms": 500, "page": "", "status": 502},
            }
        ],
    }
    assert answer == {"code": "0", "msg": "", "data": [first]}

    query = {"seed": "9", "duration_s": "7.5", "kinds": "sequence_gap,cut", "instruments": "BTC-USDT,ETH-USDT"}
    (run,) = _do(simulator, "do/schedule", **query)["data"]
    expected = draw_schedule(9, 7_500, kinds=["cut", "sequence_gap"], instruments=("BTC-USDT", "ETH-USDT"))
    assert [row["fault"] for row in run["faults"]] == [msgspec.to_builtins(fault) for fault in expected.faults]
    assert _do(simulator, "faults")["data"] == [first, run]
    clock.move(7_500)
    simulator.tick()
    assert [run["state"] for run in _do(simulator, "faults")["data"]] == ["done", "done"]

    _do(simulator, "do/fault", kind="mute", for_ms="7000")
    _do(simulator, "do/fault", kind="mute", at_ms="7000", for_ms="7000")
    assert _do(simulator, "do/calm") == _DONE
    assert {run["state"] for run in _do(simulator, "faults")["data"]} == {"done"}
    assert simulator.faults.over

    (run,) = _do(simulator, "do/schedule", seed="9")["data"]
    assert [row["fault"] for row in run["faults"]] == [
        msgspec.to_builtins(fault) for fault in draw_schedule(9, 30_000).faults
    ]


async def test_state_is_pushed(simulator: Simulator[OkxSource], clock: ManualClock) -> None:
    async with connect(simulator.ws_public) as socket:
        await socket.send('{"op":"subscribe","args":[{"channel":"instruments","instType":"SPOT"}]}')
        await socket.recv()
        assert _do(simulator, "do/state", instId="BTC-USDT", state="suspend") == _DONE
        clock.move(10)
        (row,) = json.loads(await socket.recv())["data"]
        assert (row["instId"], row["state"]) == ("BTC-USDT", "suspend")


@pytest.mark.parametrize(
    ("page", "query", "code"),
    [
        ("do/gap", {}, "51000"),
        ("do/gap", {"instId": "BTC-USDT", "n": "x"}, "51000"),
        ("do/drop", {"id": "nobody"}, "51000"),
        ("do/state", {"instId": "NO-SUCH", "state": "live"}, "51001"),
        ("do/fault", {}, "51000"),
        ("do/fault", {"kind": "cut", "for_ms": "3"}, "51000"),
        ("do/schedule", {}, "51000"),
        ("do/schedule", {"seed": "1", "duration_s": "x"}, "51000"),
        ("do/schedule", {"seed": "1", "kinds": "cut,bite"}, "51000"),
        ("do/nonsense", {}, "404"),
        ("nonsense", {}, "404"),
    ],
)
async def test_bad_requests(simulator: Simulator[OkxSource], page: str, query: dict[str, str], code: str) -> None:
    assert _do(simulator, page, **query)["code"] == code
