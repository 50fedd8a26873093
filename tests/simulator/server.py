"""The shell of the simulator: one loopback port for WebSocket and REST."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from http import HTTPStatus
from socket import SO_SNDBUF, SOL_SOCKET
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State

from tests.simulator.clock import Clock, SystemClock
from tests.simulator.controls import Controls
from tests.simulator.faults_dialect import Request as RestRequest
from tests.simulator.faults_dialects import dialect_of
from tests.simulator.faults_lab import FaultLab
from tests.simulator.gate import Gate
from tests.simulator.hub import MAX_BACKLOG_BYTES, Hub
from tests.simulator.source import Answer, Source

MAX_FRAME_BYTES = 65_536
"""A larger request is closed with 1009 (OKX sheet, section 2)."""
_CLOSE_TIMEOUT_S = 0.3
"""Clients that do not answer a close frame are cut after this, so that the end takes less than a second."""

_SMALL_BUFFER_BYTES = 32 * 1024
"""Else the system takes several MiB for a reader that has stopped."""

_OPEN_TIMEOUT_S = 70.0
"""For a request and its answer; longer than a fault may delay an answer."""

_log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Source)


class Simulator(Generic[_S]):
    """Serves one source; an asynchronous context manager.

    Args:
        source: The exchange.
        host: A loopback address.
        port: 0 for a free one.
        clock: The time; a ManualClock makes it a test's own.
        backlog_bytes: Unsent bytes above which a reader is too slow; below the default the system's own buffers
            are kept small, too.

    Entering raises OSError if the port cannot be used.
    """

    def __init__(
        self,
        source: _S,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        backlog_bytes: int = MAX_BACKLOG_BYTES,
    ) -> None:
        self.source = source
        self.gate = Gate()
        self._clock = clock or SystemClock()
        binary = partial(_encode, opcode=Opcode.BINARY)
        self._hub = Hub(source, self.gate, self._clock, _encode, binary, backlog_bytes)
        self._small_buffers = backlog_bytes < MAX_BACKLOG_BYTES
        self.faults = FaultLab(self._hub, self.gate, source, self._clock, dialect_of(source))
        """Runs schedules of faults."""
        self.controls = Controls(self._hub, self.gate, source, self.faults)
        """What a test can see and do."""
        self._host = host
        self.port = port
        self._ending = asyncio.Event()
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
        self.faults.tick()
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
                    ping_interval=None,  # keep-alive is the exchange's: text (OKX), or by LineRules
                    create_connection=_Socket,
                    open_timeout=_OPEN_TIMEOUT_S,
                    close_timeout=_CLOSE_TIMEOUT_S,
                    server_header=None,
                )
            )
            listening = next(iter(server.sockets))
            if self._small_buffers:  # inherited by every connection
                listening.setsockopt(SOL_SOCKET, SO_SNDBUF, _SMALL_BUFFER_BYTES)
            self.port = listening.getsockname()[1]
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            driver = tasks.create_task(self._drive(), name="simulator-clock")
            stack.callback(driver.cancel)
            stack.callback(tasks.create_task(self.faults.drive(), name="simulator-faults").cancel)
            stack.callback(self._ending.set)
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
        path = (self.source.socket_path(socket.request.path) if socket.request else None) or ""
        if self.gate.drops(path):
            socket.transport.abort()
            return
        connection = self._hub.open(path, _Peer(socket))
        if isinstance(socket, _Socket):
            socket.on_control = partial(self._hub.control, connection)
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

    async def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if (path := self.source.socket_path(request.path)) is not None:
            refusal = self.gate.refuses(path) or self.source.refuse_socket(self._clock.now_ms())
            return None if refusal is None else _response(refusal)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path.startswith("/sim/"):
            return _response(self.controls.page(url.path, query))
        _log.info("asked %s", request.path)
        return await self._serve_rest(socket, RestRequest(url.path, query, self._clock.now_ms()))

    async def _serve_rest(self, socket: ServerConnection, request: RestRequest) -> Response:
        answer, delay_ms = self.gate.answer(request, lambda request: self.source.rest(*request))
        if delay_ms:
            await self._clock.wait(request.now_ms + delay_ms, self._ending)
        if answer is None:
            socket.transport.abort()
            return _response(Answer(HTTPStatus.GATEWAY_TIMEOUT, b""))  # goes nowhere
        return _response(answer)


class _Socket(ServerConnection):
    """Tells of incoming pings and pongs; the library answers pings by itself."""

    on_control: Callable[[bytes | None], None] | None = None
    """Called with the payload of each pong, and with None for each ping."""

    def process_event(self, event: Event) -> None:
        """See ServerConnection."""
        if self.on_control and isinstance(event, WireFrame) and event.opcode in (Opcode.PING, Opcode.PONG):
            self.on_control(bytes(event.data) if event.opcode is Opcode.PONG else None)
        super().process_event(event)


class _Peer:
    """A websockets connection as the hub sees it. Writes whole frames straight to the transport."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._frozen = False
        self._held: bytearray | None = None

    def write(self, wire: bytes) -> int:
        if self._frozen or self._socket.state is not State.OPEN:
            return 0
        if self._held is not None:
            self._held += wire
            return len(self._held)
        self._socket.transport.write(wire)
        return self._socket.transport.get_write_buffer_size()

    def ping(self, payload: bytes) -> None:
        self.write(WireFrame(Opcode.PING, payload).serialize(mask=False))

    async def drain(self) -> None:
        await asyncio.sleep(0)
        with suppress(ConnectionError):  # a lost connection is the reader's business
            await self._socket.drain()

    async def close(self, code: int, reason: str) -> None:
        if self._frozen:
            return
        if self._held is not None and self._socket.state is State.OPEN:
            self._socket.transport.write(self._held)
        try:
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT_S):
                await self._socket.close(code, reason)
        except TimeoutError:  # it does not even read: the library would wait for ever to send the close frame
            self._socket.transport.abort()

    def abort(self) -> None:
        self._socket.transport.abort()

    def freeze(self) -> None:
        self._frozen = True
        self._socket.transport.pause_reading()

    def hold(self) -> None:
        self._held = bytearray()


def _encode(text: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return WireFrame(opcode, text).serialize(mask=False)


def _response(answer: Answer) -> Response:
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
            **dict(answer.headers),
        }
    )
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
