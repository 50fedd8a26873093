"""The shell of the simulator: one loopback port for WebSocket and REST."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from http import HTTPStatus
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from tests.simulator.clock import Clock, SystemClock
from tests.simulator.controls import Controls
from tests.simulator.gate import Gate
from tests.simulator.hub import Hub
from tests.simulator.source import Answer, Source

MAX_FRAME_BYTES = 65_536
"""A larger request is closed with 1009 (OKX sheet, section 2)."""
_CLOSE_TIMEOUT_S = 0.3
"""Clients that do not answer a close frame are cut after this, so that the end takes less than a second."""

_log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Source)


class Simulator(Generic[_S]):
    """Serves one source; an asynchronous context manager.

    Args:
        source: The exchange.
        host: A loopback address.
        port: 0 for a free one.
        clock: The time; a ManualClock makes it a test's own.

    Entering raises OSError if the port cannot be used.
    """

    def __init__(self, source: _S, *, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None) -> None:
        self.source = source
        self.gate = Gate()
        self._clock = clock or SystemClock()
        self._hub = Hub(source, self.gate, self._clock, _encode)
        self.controls = Controls(self._hub, self.gate, source)
        """What a test can see and do."""
        self._host = host
        self.port = port
        self._stack = AsyncExitStack()

    @property
    def ws_public(self) -> str:
        """URL of the public socket."""
        return f"ws://{self._authority}{self.source.ws_paths[0]}"

    @property
    def ws_business(self) -> str:
        """URL of the second market-data socket."""
        return f"ws://{self._authority}{self.source.ws_paths[1]}"

    @property
    def rest(self) -> str:
        """Base URL of REST, without a path."""
        return f"http://{self._authority}"

    @property
    def connections(self) -> list[dict[str, object]]:
        """The open sockets: id, path and args subscribed."""
        return self.controls.connections()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on `connections` or on finished replays; use it under a timeout."""
        while not condition():
            await self._hub.changed.wait()

    def tick(self) -> None:
        """Send what is due by the clock. It happens by itself; after moving a ManualClock it may be done at once."""
        self._hub.publish(self.source.advance(self._clock.now_ms()))
        self._hub.end_idle()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(
                serve(
                    self._serve_socket,
                    self._host,
                    self.port,
                    process_request=self._answer,
                    compression=None,  # lets one encoded frame serve all receivers
                    max_size=MAX_FRAME_BYTES,
                    ping_interval=None,  # the exchange's keep-alive is text (OKX sheet, section 2)
                    close_timeout=_CLOSE_TIMEOUT_S,
                    server_header=None,
                )
            )
            self.port = next(iter(server.sockets)).getsockname()[1]
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            driver = tasks.create_task(self._drive(), name="simulator-clock")
            stack.callback(driver.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    async def _drive(self) -> None:
        never = asyncio.Event()
        while True:
            self.tick()
            await self._clock.wait(self.source.next_ms(), never)

    async def _serve_socket(self, socket: ServerConnection) -> None:
        path = urlsplit(socket.request.path).path if socket.request else ""
        connection = self._hub.open(path, _Peer(socket))
        _log.info("opened %s %s", connection.id, path)
        try:
            async with asyncio.TaskGroup() as tasks:
                player = tasks.create_task(self._hub.play(connection), name=f"play-{connection.id}")
                try:
                    async for text in socket:
                        _log.info("received %s %.200s", connection.id, text)
                        self._hub.receive(connection, text)
                except ConnectionClosed as closed:
                    _log.info("lost %s %s", connection.id, closed)
                player.cancel()
        finally:
            self._hub.forget(connection)
            _log.info("closed %s", connection.id)

    async def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path in self.source.ws_paths:
            return None
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path.startswith("/sim/"):
            return _response(self.controls.page(url.path, query))
        _log.info("asked %s", request.path)
        answer = self.source.rest(url.path, query, self._clock.now_ms())
        return _response(self.gate.answer(url.path, answer))


class _Peer:
    """A websockets connection as the hub sees it. Writes whole frames straight to the transport."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    def write(self, wire: bytes) -> int:
        if self._socket.state is not State.OPEN:
            return 0
        self._socket.transport.write(wire)
        return self._socket.transport.get_write_buffer_size()

    async def drain(self) -> None:
        await asyncio.sleep(0)
        with suppress(ConnectionError):  # a lost connection is the reader's business
            await self._socket.drain()

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    def abort(self) -> None:
        self._socket.transport.abort()


def _encode(text: bytes) -> bytes:
    return WireFrame(Opcode.TEXT, text).serialize(mask=False)


def _response(answer: Answer) -> Response:
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
        }
    )
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
