import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.simulator.__main__ import main

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
        async with asyncio.timeout(20):
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
            async with asyncio.timeout(1):
                rest, errors = await process.communicate()

    assert [frame.get("event") or frame["action"] for frame in frames] == ["subscribe", "snapshot", "update"]
    assert (process.returncode, rest, errors) == (0, b"", b"")


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
        (["--instruments", "BTC"], "simulator: not an OKX instrument id: 'BTC'\n"),
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
    for word in ("--replay", "--speed", "--seed", "--no-book-snapshot", "/sim/do/gap", '"ready": true'):
        assert word in text
