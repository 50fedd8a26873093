"""A socket of the ``websockets`` library, and the only owner of it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, cast

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.uri import parse_uri

from collector_worker.connection.transport.protocol import (
    BROKEN,
    MAX_FRAME_BYTES,
    MAX_UNSENT_BYTES,
    UNREAD,
    USER_AGENT,
    closed,
    host_of,
    turned_away,
    unreachable,
)
from collector_worker.publish.buffer import BackPressure
from tickfleet._util.dial import dial
from tickfleet.errors import ConnectionLostError


async def open_websockets(url: str, open_timeout_s: float, close_timeout_s: float) -> "WebsocketsSocket":
    """See ``open_socket``."""
    host, dialled = host_of(url), list[socket.socket]()
    try:
        async with asyncio.timeout(open_timeout_s):
            return WebsocketsSocket(await _connect(url, dialled, close_timeout_s))
    except websockets.InvalidStatus as error:
        headers = dict(error.response.headers.raw_items())
        raise turned_away(url, error.response.status_code, headers) from error
    except (OSError, TimeoutError, ValueError, websockets.WebSocketException) as error:
        raise ConnectionLostError(unreachable(host, error, connected=bool(dialled))) from error


async def _connect(url: str, dialled: list[socket.socket], close_timeout_s: float) -> ClientConnection:
    """Connect and do the handshake; the TCP connection is made here, and added to ``dialled``."""
    place = parse_uri(url)
    dialled.append(await dial(place.host, place.port))
    try:
        return await _Connect(
            url,
            sock=dialled[-1],
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=None,  # the whole is limited, not only this part
            close_timeout=close_timeout_s,
            max_size=MAX_FRAME_BYTES,
            write_limit=MAX_UNSENT_BYTES,
            create_connection=_Connection,
            user_agent_header=USER_AGENT,
        )
    except BaseException:
        with suppress(OSError):  # it is closed already
            dialled[-1].shutdown(socket.SHUT_RDWR)  # whoever of asyncio holds it now sees its end, and closes it
        raise


class _Connect(connect):
    """Follows no redirect, because each connection needs a permit."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """See the library."""
        return exc


class _Connection(ClientConnection):
    """Ends if the peer does not read."""

    unread = False

    def pause_writing(self) -> None:
        """More bytes wait than we ever send: the peer sends pings but does not read."""
        super().pause_writing()
        self.unread = True
        self.transport.abort()


class WebsocketsSocket:
    """One open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def pump(self, on_frame: Callable[[bytes], None], back_pressure: BackPressure) -> NoReturn:
        """See ``Socket.pump``."""
        recv = self._connection.recv
        try:
            while True:
                on_frame(await recv(decode=False))
                if back_pressure.paused:
                    await back_pressure.resumed()
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(self._connection, error)) from error

    async def send(self, text: str) -> None:
        """See ``Socket.send``."""
        try:
            await self._connection.send(text)
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(self._connection, error)) from error

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """See ``Socket.ping``."""
        try:
            answered = cast("asyncio.Future[float]", await self._connection.ping())
        except websockets.ConnectionClosed as error:
            raise ConnectionLostError(_how_closed(self._connection, error)) from error
        answered.add_done_callback(lambda pong: None if pong.cancelled() or pong.exception() else on_pong())

    async def close(self) -> None:
        """See ``Socket.close``."""
        try:
            await self._connection.close()
        finally:
            self._connection.transport.abort()  # it stays open where the wait for the answer is cancelled


def _how_closed(connection: ClientConnection, error: websockets.ConnectionClosed) -> str:
    if isinstance(connection, _Connection) and connection.unread:
        return UNREAD
    return BROKEN if error.rcvd is None else closed(int(error.rcvd.code))
