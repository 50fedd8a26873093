"""The socket, seen through three calls: open, pump, send. The only owner of the ``websockets`` library."""

import asyncio
from collections.abc import Callable
from typing import NoReturn, Protocol, cast

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.uri import parse_uri

from common.errors import ConnectionLostError, InvalidConfigurationError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
"""A polite close must leave time to flush before supervisord's patience ends."""

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Far above any frame of market data; bounds what a broken server can make us hold."""

_USER_AGENT = "tickfleet"


class Pace(Protocol):
    """What is behind the reader, and may need time."""

    @property
    def congested(self) -> bool:
        """Whether to wait before reading on."""
        ...

    async def relief(self) -> None:
        """Wait until reading may go on."""
        ...


class WebSocket:
    """One open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(
        cls, url: str, open_timeout_s: float = OPEN_TIMEOUT_S, close_timeout_s: float = CLOSE_TIMEOUT_S
    ) -> "WebSocket":
        """Connect, within ``open_timeout_s``; ``close`` will later take ``close_timeout_s`` at most.

        Without compression: it would cost 50 KiB and several times the CPU per frame. Without the library's pings:
        each exchange has a keep-alive of its own. Without the proxies of the environment, as REST: both go where the
        fleet file says.

        Raises:
            ConnectionLostError: Nobody there, or the handshake was turned away.
            InvalidConfigurationError: ``url`` is not an address.
        """
        try:
            host = parse_uri(url).host
        except (websockets.InvalidURI, ValueError) as error:  # ValueError: a port or a host that cannot be one
            raise InvalidConfigurationError(f"{_without_secrets(url)} is not the address of a WebSocket") from error
        try:
            connection = await connect(
                url,
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=open_timeout_s,
                close_timeout=close_timeout_s,
                max_size=MAX_FRAME_BYTES,
                user_agent_header=_USER_AGENT,
            )
        except websockets.InvalidStatus as error:
            status = error.response.status_code
            raise ConnectionLostError(f"{host} turned the connection away (HTTP {status})") from error
        except (OSError, TimeoutError, ValueError, websockets.WebSocketException) as error:
            # ValueError and InvalidURI: a redirect to somewhere that is no WebSocket, as during maintenance
            raise ConnectionLostError(f"{host} cannot be reached") from error
        return cls(connection)

    async def pump(self, on_frame: Callable[[bytes], None], pace: Pace) -> NoReturn:
        """Hand every incoming frame to ``on_frame``, in order, until the connection ends; read no faster than ``pace``.

        Raises:
            ConnectionLostError: It ended. Errors of ``on_frame`` come through as they are.
        """
        recv = self._connection.recv
        try:
            while True:
                on_frame(await recv(decode=False))
                if pace.congested:
                    await pace.relief()
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error

    async def send(self, text: str) -> None:
        """Send one text frame.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        try:
            await self._connection.send(text)
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """Send a ping of the WebSocket protocol; ``on_pong`` is called when it is answered.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        try:
            answered = cast("asyncio.Future[float]", await self._connection.ping())
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error
        answered.add_done_callback(lambda pong: None if pong.cancelled() or pong.exception() else on_pong())

    async def close(self) -> None:
        """Close politely, within the time given to ``open``; a connection that has ended stays so."""
        await self._connection.close()


def _without_secrets(url: str) -> str:
    """The address up to its path and without a password, for messages."""
    scheme, slashes, rest = url.partition("://")
    return scheme + slashes + rest.partition("/")[0].rpartition("@")[2]


def _how_closed(error: websockets.ConnectionClosed) -> str:
    if error.rcvd is None:
        return "the connection broke"
    return f"the exchange closed the connection (code {int(error.rcvd.code)})"
