"""A name one of whose addresses swallows all that is sent to it: everything still connects, on any event loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from collector_worker.connection.transport import open_socket
from collector_worker.rest import http as rest
from common.process import event_loop
from tests.support.dead_address import resolve, swallowing
from tests.support.http_server import HttpServer, answer
from tests.support.raw_ws_server import RawPeer, RawServer

NAME = "exchange.test"
WITHIN_S = 5.0
"""Less than the system takes to give up an address, which is minutes."""


def in_each_loop(main: Coroutine[Any, Any, None], loop: str) -> None:
    """Run it in a loop of the standard library, or in ours."""
    (asyncio.run if loop == "asyncio" else event_loop.run)(main)


@pytest.mark.parametrize("loop", ["asyncio", "ours"])
def test_rest(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with HttpServer(answer(b"{}")) as server:
            with swallowing(server.port) as dead:
                resolve(monkeypatch, NAME, dead, "127.0.0.1")
                found = await rest.get(f"http://{NAME}:{server.port}", "/time", WITHIN_S)
        assert (found.status, found.body) == (200, b"{}")

    in_each_loop(main(), loop)


@pytest.mark.parametrize("loop", ["asyncio", "ours"])
def test_sockets(each_transport: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.gone()

    async def main() -> None:
        async with RawServer(script) as server:
            with swallowing(server.port) as dead:
                resolve(monkeypatch, NAME, dead, "127.0.0.1")
                socket = await open_socket(each_transport, f"ws://{NAME}:{server.port}", WITHIN_S, 0.05)
                await socket.close()

    in_each_loop(main(), loop)
