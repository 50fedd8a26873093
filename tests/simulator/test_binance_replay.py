import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.simulator.binance_replay import BinanceReplay
from tests.simulator.capture import Capture, CapturedAnswer, CaptureError, read_capture
from tests.simulator.server import Simulator
from tests.simulator.source import Answer
from tests.support.waiting import PATIENCE_S

_FILE = Path(__file__).parents[3] / "shared/captures/binance-spot-ethusdt-2024-08-08.jsonl.gz"
_STREAMS = ["ethusdt@trade", "ethusdt@bookTicker", "ethusdt@depth@100ms"]


@pytest.fixture(scope="module")
def recorded() -> Capture:
    if not _FILE.exists():
        pytest.skip(f"the capture is not here: {_FILE}")
    return read_capture(_FILE)


async def _receive(url: str, count: int, subscribe: list[str] | None = None) -> list[bytes]:
    """The first data frames of a connection; after them it is open and silent."""
    async with connect(url, compression=None) as socket:
        if subscribe:
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": subscribe, "id": 1}))
            assert json.loads(await socket.recv()) == {"result": None, "id": 1}
        frames = [await socket.recv(decode=False) for _ in range(count)]
        await socket.send('{"method":"GET_PROPERTY","params":["combined"],"id":2}')
        assert json.loads(await socket.recv())["id"] == 2
    return frames


async def test_capture_arrives_byte_for_byte_however_it_is_subscribed(recorded: Capture) -> None:
    expected = [text for _, text in recorded.frames]
    assert len(expected) == 33_617
    async with asyncio.timeout(PATIENCE_S), Simulator(BinanceReplay(recorded, 0)) as simulator:
        base, query = simulator.ws_public, "/".join(_STREAMS)
        async with asyncio.TaskGroup() as tasks:
            by_url = tasks.create_task(_receive(f"{base}/stream?streams={query}", len(expected)))
            by_request = tasks.create_task(_receive(f"{base}/stream", len(expected), _STREAMS))
            trades = tasks.create_task(_receive(f"{base}/ws/ethusdt@trade", 6_106))
    assert by_url.result() == expected
    assert by_request.result() == expected
    ids = [json.loads(text)["t"] for text in trades.result()]
    assert ids == list(range(ids[0], ids[0] + 6_106))


async def test_snapshot_lies_inside_the_diffs_and_is_there_from_the_start(recorded: Capture) -> None:
    replay = BinanceReplay(recorded, 0)
    answer = replay.rest("/api/v3/depth", {"symbol": "ETHUSDT", "limit": "1000"}, 0)
    assert (answer.status, answer.body) == (200, recorded.answers[0].body)
    snapshot: Any = json.loads(answer.body)

    diffs = [d for _, t in recorded.frames if (d := json.loads(t)["data"]).get("e") == "depthUpdate"]
    kept = [diff for diff in diffs if diff["u"] > snapshot["lastUpdateId"]]
    assert 0 < len(kept) < len(diffs)
    assert kept[0]["U"] <= snapshot["lastUpdateId"] + 1 <= kept[0]["u"]
    assert all(before["u"] + 1 == after["U"] for before, after in itertools.pairwise(diffs))


def _frame(stream: str, data: object) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


@pytest.fixture
def replay() -> BinanceReplay:
    capture = Capture([(1, b'{"result":null,"id":1}'), (2, _frame("ethusdt@trade", {})), (3, b"no json")])
    capture.frames.append((4, _frame("!miniTicker@arr", [])))
    body = b'{"lastUpdateId": 7, "bids": [["2.0", "1.0"], ["1.0", "1.0"]], "asks": []}'
    capture.answers.append(CapturedAnswer("/api/v3/depth", {"symbol": "ETHUSDT", "limit": "1000"}, body))
    return BinanceReplay(capture)


_USED = (("X-MBX-USED-WEIGHT-1M", "1"),)


@pytest.mark.parametrize(
    ("page", "query", "answer"),
    [
        ("time", {}, Answer(200, b'{"serverTime":77}', _USED)),
        ("ping", {}, Answer(200, b"{}", _USED)),
        ("klines", {"symbol": "ETHUSDT", "interval": "1m"}, Answer(200, b"[]", _USED)),
        ("trades", {"symbol": "BTCUSDT"}, Answer(400, b'{"code":-1121,"msg":"Invalid symbol."}', _USED)),
        ("exchangeInfo", {"symbol": "BTCUSDT"}, Answer(400, b'{"code":-1121,"msg":"Invalid symbol."}', _USED)),
        ("nothing", {}, Answer(404, b"{}")),
    ],
)
def test_rest(replay: BinanceReplay, page: str, query: dict[str, str], answer: Answer) -> None:
    assert replay.rest(f"/api/v3/{page}", query, 77) == answer


def test_depth_is_cut_to_what_is_asked_for(replay: BinanceReplay) -> None:
    def bids(**query: str) -> Any:
        return json.loads(replay.rest("/api/v3/depth", {"symbol": "ETHUSDT", **query}, 0).body)["bids"]

    assert [len(bids()), len(bids(limit="5000")), bids(limit="1")] == [2, 2, [["2.0", "1.0"]]]


def test_exchange_info_is_made_up_for_the_symbols_of_the_capture(replay: BinanceReplay) -> None:
    body = json.loads(replay.rest("/api/v3/exchangeInfo", {}, 77).body)

    assert [(row["symbol"], row["status"], row["baseAsset"]) for row in body["symbols"]] == [
        ("ETHUSDT", "TRADING", "ETH")
    ]


def test_has_nothing_of_its_own(replay: BinanceReplay) -> None:
    assert (replay.record("trades", {}), replay.next_ms(), list(replay.advance(10**15))) == (None, None, [])
    assert json.loads(replay.set_state("ETHUSDT", "HALT").body)["code"] == "51000"
    session = replay.open_session("/ws", "c0")
    session.due(55)
    assert json.loads(replay.notice("c0").text) == {"e": "serverShutdown", "E": 55}


def test_capture_without_combined_frames_is_refused() -> None:
    with pytest.raises(CaptureError, match="no frame of a combined Binance stream"):
        BinanceReplay(Capture([(1, b'{"e":"trade"}')]))


async def test_no_more_than_the_head_comes_before_a_snapshot_was_asked_for(recorded: Capture) -> None:
    head_s = 20.0
    started_ns = recorded.frames[0][0]
    head = [text for at_ns, text in recorded.frames if at_ns - started_ns <= head_s * 1e9]
    replay = BinanceReplay(recorded, 0, head_s=head_s)
    url = f"/stream?streams={'/'.join(_STREAMS)}"
    async with (
        asyncio.timeout(PATIENCE_S),
        Simulator(replay) as simulator,
        connect(f"{simulator.ws_public}{url}", compression=None) as socket,
    ):
        assert [await socket.recv(decode=False) for _ in head] == head
        (session,) = replay._sessions.values()
        assert session.next_due_ms() is not None
        assert (session.due(session.now_ms), session.finished) == ([], False)
        replay.rest("/api/v3/depth", {"symbol": "ETHUSDT", "limit": "1000"}, session.now_ms)
        assert await socket.recv(decode=False) == recorded.frames[len(head)][1]
