import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.simulator.__main__ import main
from tests.simulator.faults_draw import draw_schedule
from tests.support.waiting import PATIENCE_S

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def _program(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The simulator as a process; killed if the test fails before it ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.simulator", *options),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _ready(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    line = json.loads(await process.stdout.readline())
    assert sorted(line) == ["port", "ready"]
    assert line["ready"] is True
    port = line["port"]
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ready_line_service_and_end_by_signal(number: signal.Signals) -> None:
    async with _program("--instruments", "BTC-USDT,BTC-USD-270326", "--warmup-s", "1") as process:
        port = await _ready(process)
        async with connect(f"ws://127.0.0.1:{port}/ws/v5/public") as client:
            await client.send('{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USD-270326"}]}')
            frames: list[Any] = [json.loads(await client.recv()) for _ in range(3)]
            process.send_signal(number)
            async with asyncio.timeout(PATIENCE_S):
                rest, errors = await process.communicate()

    assert [frame.get("event") or frame["action"] for frame in frames] == ["subscribe", "snapshot", "update"]
    assert (process.returncode, rest, errors) == (0, b"", b"")


async def test_faults_run_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_bytes(b'{"seed":3,"faults":[{"kind":"refuse_connect","for_ms":60000,"status":502}]}')
    for options in (["--schedule", str(path)], ["--faults", "42", "--fault-duration-s", "60"]):
        async with _program("--warmup-s", "0", *options) as process:
            url = f"http://127.0.0.1:{await _ready(process)}/sim/faults"
            with await asyncio.to_thread(urlopen, url, timeout=PATIENCE_S) as answer:
                (run,) = json.loads(answer.read())["data"]
            process.terminate()
            await process.communicate()
        if options[0] == "--schedule":
            assert (run["seed"], run["faults"][0]["fault"]["status"]) == (3, 502)
        else:
            assert run["seed"] == 42
            assert [row["fault"] for row in run["faults"]] == [
                msgspec.to_builtins(fault) for fault in draw_schedule(42, 60_000).faults
            ]


async def test_binance_with_its_own_limits() -> None:
    options = ("--instruments", "BTCUSDT", "--max-life-s", "1", "--weight-limit", "1", "--connect-limit", "1")
    async with _program("--exchange", "binance", *options) as process:
        base = f"127.0.0.1:{await _ready(process)}"
        frames: list[Any] = []
        async with connect(f"ws://{base}/ws/btcusdt@depth@100ms") as client:
            with pytest.raises(ConnectionClosedError) as cut:
                await _collect(client, frames)
        with pytest.raises(InvalidStatus, match="429"):
            await connect(f"ws://{base}/ws")
        with await asyncio.to_thread(urlopen, f"http://{base}/api/v3/ping", timeout=PATIENCE_S) as answer:
            assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "1"

    assert cut.value.rcvd is None
    assert {(frame["e"], frame["s"]) for frame in frames} == {("depthUpdate", "BTCUSDT")}


async def _collect(client: ClientConnection, frames: list[Any]) -> None:
    """Receive until the connection ends."""
    while True:
        frames.append(json.loads(await client.recv()))


async def test_binance_capture() -> None:
    capture = _ROOT.parent / "shared/captures/binance-spot-ethusdt-2024-08-08.jsonl.gz"
    if not capture.exists():
        pytest.skip(f"the capture is not here: {capture}")
    async with _program("--exchange", "binance", "--replay", str(capture), "--speed", "0") as process:
        port = await _ready(process)
        async with connect(f"ws://127.0.0.1:{port}/stream?streams=ethusdt@trade") as client:
            ids = [json.loads(await client.recv())["data"]["t"] for _ in range(6_106)]

    assert ids == list(range(ids[0], ids[0] + 6_106))


async def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with _program("--port", str(port), "--warmup-s", "0") as process:
            out, errors = await process.communicate()

    assert (process.returncode, out, errors) == (2, b"", f"simulator: port {port} is in use\n".encode())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--replay", "no-such-file.jsonl.gz"], "simulator: cannot read capture no-such-file.jsonl.gz: "),
        (["--schedule", "no-such-file.json"], "simulator: cannot read schedule no-such-file.json: "),
        (["--instruments", "BTC"], "simulator: not an OKX instrument id: 'BTC'\n"),
        (["--exchange", "binance", "--instruments", "BTC"], "simulator: not a Binance spot symbol: 'BTC'\n"),
    ],
)
def test_one_line_for_what_cannot_be_served(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert errors.startswith(message)


@pytest.mark.parametrize(
    "options",
    [
        ["--host", "0.0.0.0"],  # noqa: S104 - refused, that is the point
        ["--host", "example.org"],
        ["--port", "65536"],
        ["--port", "x"],
        ["--trades-per-s", "-1"],
        ["--speed", "nan"],
        ["--exchange", "other"],
        ["--max-life-s", "0"],
        ["--weight-limit", "0"],
        ["--faults", "1", "--schedule", "x.json"],
        ["--faults", "x"],
        ["--fault-duration-s", "0"],
        ["--nonsense"],
    ],
)
def test_bad_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(options)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "--replay",
        "--speed",
        "--seed",
        "--no-book-snapshot",
        "/sim/do/gap",
        "/sim/faults",
        "--faults",
        '"ready": true',
    ):
        assert word in text
