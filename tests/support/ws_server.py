"""A WebSocket server that does what a test wrote down: one script per connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.waiting import PATIENCE_S

_CLOSE_TIMEOUT_S = 0.2


class Peer:
    """One connection as the server sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.path = socket.request.path if socket.request else ""

    async def receive(self) -> str:
        """The next frame of the client."""
        text = await self._socket.recv()
        return text if isinstance(text, str) else text.decode()

    async def request(self) -> Any:
        """The next frame of the client, decoded."""
        return json.loads(await self.receive())

    async def send(self, *frames: str | bytes) -> None:
        """Send frames; ``str`` as text, ``bytes`` as binary."""
        for frame in frames:
            await self._socket.send(frame)

    async def settle(self) -> None:
        """Wait until the client, in this same event loop, has handled all that was sent to it.

        Its library answers a protocol ping after the frames before it have woken their reader.
        """
        await (await self._socket.ping())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a code."""
        await self._socket.close(code, reason)

    def cut(self) -> None:
        """End the connection without a close frame."""
        self._socket.transport.abort()

    def freeze(self) -> None:
        """Read nothing any more: a host that hangs, or a network that swallows."""
        self._socket.transport.pause_reading()

    async def gone(self) -> None:
        """Wait until the connection has ended."""
        await self._socket.wait_closed()


Play = Callable[[Peer], Awaitable[None]]


class Refuse(NamedTuple):
    """A script that turns the handshake away."""

    status: int


Script = Play | Refuse


async def drop(peer: Peer) -> None:
    """A script: accept, then drop."""
    peer.cut()


async def hold(peer: Peer) -> None:
    """A script: accept, say nothing."""


class ScriptedServer:
    """Gives each connection to the next script, and the last script to all that come after it.

    A script that ends leaves its connection open until the client ends it; one that is not at its end when the test
    is, is broken off. One that fails makes the test fail.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self.opened = 0
        """Connections so far, the refused ones included."""
        self._errors: list[Exception] = []
        self._plays: set[asyncio.Future[None]] = set()
        self._server: Server | None = None
        self.url = ""

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._server.connections) if self._server else 0

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._play,
            "127.0.0.1",
            0,
            process_request=self._answer,
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=_CLOSE_TIMEOUT_S,
        )
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for play in self._plays:
            play.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._errors:
            raise self._errors[0]

    def _answer(self, connection: ServerConnection, _: Request) -> Response | None:
        script = self._scripts[min(self.opened, len(self._scripts) - 1)]
        self.opened += 1
        if isinstance(script, Refuse):
            return connection.respond(script.status, "")
        connection.script = script  # type: ignore[attr-defined]  # handed on to the handler of this connection
        return None

    async def _play(self, socket: ServerConnection) -> None:
        play = asyncio.ensure_future(self._perform(socket.script, Peer(socket)))  # type: ignore[attr-defined]
        self._plays.add(play)
        await asyncio.wait([play])
        await socket.wait_closed()

    async def _perform(self, script: Play, peer: Peer) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await script(peer)
        except ConnectionClosed:
            pass  # the client may leave at any time
        except Exception as error:  # noqa: BLE001 - raised where the test ends
            self._errors.append(error)


@asynccontextmanager
async def silent_listener() -> AsyncIterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()
