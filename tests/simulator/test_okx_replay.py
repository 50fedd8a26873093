import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.simulator.capture import Capture, CapturedAnswer, CaptureError, read_capture
from tests.simulator.okx_channels import PUBLIC, Arg
from tests.simulator.okx_replay import OkxReplay
from tests.simulator.server import Simulator
from tests.simulator.source import Answer, Frame, Kind
from tests.support.waiting import PATIENCE_S

_FILE = Path(__file__).parents[3] / "shared/captures/okx-2022-05-13.jsonl.gz"
_ARGS = [
    {"channel": channel, "instId": inst_id}
    for channel in ("tickers", "trades", "books")
    for inst_id in ("BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP")
]
_MS = 1_000_000


@pytest.fixture(scope="module")
def recorded() -> Capture:
    if not _FILE.exists():
        pytest.skip(f"the capture is not here: {_FILE}")
    return read_capture(_FILE)


def _data_of(capture: Capture) -> list[bytes]:
    return [text for _, text in capture.frames if "event" not in json.loads(text)]


async def _receive(url: str, args: list[dict[str, str]], count: int) -> tuple[list[bytes], list[Any]]:
    """Subscribe everything; returns the first `count` data frames as bytes, and the acks."""
    data: list[bytes] = []
    acks: list[Any] = []
    async with connect(url) as socket:
        await socket.send(json.dumps({"id": "1", "op": "subscribe", "args": args}))
        while len(data) < count:
            text = await socket.recv(decode=False)
            parsed = json.loads(text)
            if "event" in parsed:
                acks.append(parsed)
            else:
                data.append(text)
        await socket.send("ping")
        assert await socket.recv() == "pong"  # open after the end, and nothing follows
    return data, acks


@pytest.mark.parametrize("speed", [0.0, 100.0])
async def test_capture_arrives_byte_for_byte(recorded: Capture, speed: float) -> None:
    expected = _data_of(recorded)
    assert len(expected) == 392
    async with asyncio.timeout(PATIENCE_S), Simulator(OkxReplay(recorded, speed)) as simulator:
        async with asyncio.TaskGroup() as tasks:  # each connection has its own timeline
            clients = [tasks.create_task(_receive(simulator.ws_public, _ARGS, len(expected))) for _ in range(3)]
        for client in clients:
            data, acks = client.result()
            assert data == expected
            assert [(ack["event"], ack["arg"], ack["id"]) for ack in acks] == [("subscribe", arg, "1") for arg in _ARGS]


async def test_stats_tell_when_a_replay_has_finished(recorded: Capture) -> None:
    def finished() -> bool:
        connections: Any = simulator.controls.stats()["connections"]
        return [row["finished"] for row in connections] == [True]

    async with (
        asyncio.timeout(PATIENCE_S),
        Simulator(OkxReplay(recorded, 0)) as simulator,
        connect(simulator.ws_public, max_queue=None) as ws,  # nobody reads here
    ):
        await simulator.wait_until(lambda: len(simulator.connections) == 1)
        assert not finished()
        await ws.send(json.dumps({"op": "subscribe", "args": _ARGS}))
        await simulator.wait_until(finished)

        stats = simulator.controls.stats()
        assert stats["frames"] == len(_ARGS) + 392


def _capture(*frames: tuple[int, object]) -> Capture:
    return Capture([(at_ms * _MS, json.dumps(frame).encode()) for at_ms, frame in frames])


def _books(action: str, inst_id: str = "A-B") -> dict[str, object]:
    return {"arg": {"channel": "books", "instId": inst_id}, "action": action, "data": []}


def test_only_data_of_subscribed_args_is_replayed() -> None:
    capture = _capture(
        (1, {"event": "subscribe", "arg": {"channel": "books", "instId": "A-B"}}),
        (2, {"event": "error", "code": "60018"}),
        (3, _books("snapshot")),
        (4, _books("update", "C-D")),
        (5, _books("update")),
    )
    capture.frames.append((6 * _MS, b"pong"))
    session = OkxReplay(capture).open_session(PUBLIC, "c0")
    request = {"op": "subscribe", "args": [{"channel": "books", "instId": "A-B"}, {"channel": "books", "instId": "X"}]}
    answers = [json.loads(frame.text) for frame in session.on_text(json.dumps(request), 1_000)]
    assert [answer["event"] for answer in answers] == ["subscribe", "error"]

    topic = Arg("books", inst_id="A-B")
    assert session.due(1_001) == [Frame(capture.frames[2][1], Kind.DATA, topic)]
    assert session.next_due_ms() == 1_002
    assert session.due(1_002) == [Frame(capture.frames[4][1], Kind.BOOK_UPDATE, topic, "A-B")]
    assert session.finished


def test_capture_without_okx_data_is_refused() -> None:
    with pytest.raises(CaptureError, match="no OKX data frame"):
        OkxReplay(_capture((1, {"type": "ticker"}), (2, {"event": "subscribe", "arg": {"channel": "x"}})))


@pytest.fixture
def replay() -> OkxReplay:
    capture = _capture((1, _books("snapshot")))
    rows = [{"instId": "A-B", "tickSz": "0.10"}, {"instId": "C-D", "tickSz": "0.5"}]
    spot = json.dumps({"code": "0", "data": rows})
    path = "/api/v5/public/instruments"
    capture.answers.append(CapturedAnswer(path, {"instType": "SPOT"}, spot.encode()))
    capture.answers.append(CapturedAnswer(path, {"instType": "SWAP"}, b'{"code":"0", "data":[]}'))
    return OkxReplay(capture)


@pytest.mark.parametrize(
    ("page", "query", "body"),
    [
        ("public/instruments", {"instType": "SWAP"}, b'{"code":"0", "data":[]}'),
        (
            "public/instruments",
            {"instType": "SPOT", "instId": "A-B"},
            b'{"code":"0","msg":"","data":[{"instId": "A-B", "tickSz": "0.10"}]}',
        ),
        (
            "public/instruments",
            {"instType": "SPOT", "instId": "X"},
            b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}',
        ),
        ("public/instruments", {"instType": "FUTURES"}, b'{"code":"0","msg":"","data":[]}'),
        ("market/books", {"instId": "A-B"}, b'{"code":"0","msg":"","data":[]}'),
        ("public/time", {}, b'{"code":"0","msg":"","data":[{"ts":"77"}]}'),
    ],
)
def test_rest_answers_from_the_recording(replay: OkxReplay, page: str, query: dict[str, str], body: bytes) -> None:
    assert replay.rest(f"/api/v5/{page}", query, 77) == Answer(200, body)


def test_recorded_body_comes_verbatim(recorded: Capture) -> None:
    replay = OkxReplay(recorded)
    spot = next(answer for answer in recorded.answers if answer.params == {"instType": "SPOT"})

    assert replay.rest(spot.path, {"instType": "SPOT"}, 0).body == spot.body
    one = json.loads(replay.rest(spot.path, {"instType": "SPOT", "instId": "BTC-USDT"}, 0).body)
    assert one["data"] == [row for row in json.loads(spot.body)["data"] if row["instId"] == "BTC-USDT"]


def test_has_nothing_of_its_own(replay: OkxReplay) -> None:
    assert (replay.record("trades", {}), replay.next_ms(), list(replay.advance(10**15))) == (None, None, [])
    assert replay.rest("/other", {}, 0).status == 404
    assert json.loads(replay.set_state("A-B", "live").body)["code"] == "51000"
