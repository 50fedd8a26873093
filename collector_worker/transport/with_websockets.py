"""A socket of the ``websockets`` library, and the only owner of it."""

import asyncio
from collections.abc import Callable
from typing import NoReturn, cast

import websockets
from websockets.asyncio.client import ClientConnection, connect

from collector_worker.transport.contract import (
    BROKEN,
    MAX_FRAME_BYTES,
    USER_AGENT,
    Pace,
    closed,
    host_of,
    turned_away,
    unreachable,
)
from common.errors import ConnectionLostError


async def open_websockets(url: str, open_timeout_s: float, close_timeout_s: float) -> "WebsocketsSocket":
    """See ``open_socket``."""
    host = host_of(url)
    try:
        connection = await connect(
            url,
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=open_timeout_s,
            close_timeout=close_timeout_s,
            max_size=MAX_FRAME_BYTES,
            user_agent_header=USER_AGENT,
        )
    except websockets.InvalidStatus as error:
        raise ConnectionLostError(turned_away(host, error.response.status_code)) from error
    except (OSError, TimeoutError, ValueError, websockets.WebSocketException) as error:
        # ValueError and InvalidURI: a redirect to somewhere that is no WebSocket, as during maintenance
        raise ConnectionLostError(unreachable(host)) from error
    return WebsocketsSocket(connection)


class WebsocketsSocket:
    """One open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def pump(self, on_frame: Callable[[bytes], None], pace: Pace) -> NoReturn:
        """See ``Socket.pump``."""
        recv = self._connection.recv
        try:
            while True:
                on_frame(await recv(decode=False))
                if pace.congested:
                    await pace.relief()
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error

    async def send(self, text: str) -> None:
        """See ``Socket.send``."""
        try:
            await self._connection.send(text)
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """See ``Socket.ping``."""
        try:
            answered = cast("asyncio.Future[float]", await self._connection.ping())
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(error)) from error
        answered.add_done_callback(lambda pong: None if pong.cancelled() or pong.exception() else on_pong())

    async def close(self) -> None:
        """See ``Socket.close``."""
        try:
            await self._connection.close()
        finally:
            self._connection.transport.abort()  # it stays open where the wait for the answer is cancelled


def _how_closed(error: websockets.ConnectionClosed) -> str:
    return BROKEN if error.rcvd is None else closed(int(error.rcvd.code))
