"""A socket of the ``picows`` library, and the only owner of it.

Frames are passed on inside the event loop's callback that has read them: no task, queue or future per frame. So this
file must do the work of a queue. While the pump does not read (before it begins, under back pressure, after it was
cancelled) the transport is paused. Frames that the library has already parsed from the last read are held; they are
less than one read buffer.

It uses the event loop's own transports. With TLS, uvloop's transport drops received bytes that were not passed on yet
when the other side ends the connection. That loss is handled as after any end: data is fetched again or begins anew.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NoReturn
from urllib.parse import urlsplit

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSProtocolError,
    WSTransport,
    ws_connect,
)

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
from common.process.log import get_logger
from tickfleet._util.dial import dial
from tickfleet.errors import ConnectionLostError

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE, _PONG = WSMsgType.CLOSE, WSMsgType.PONG

_PLAIN_RECEIVE_BYTES = 128 * 1024
"""What the kernel may hold of a connection without TLS, as a simulator's. The library's buffer doubles whenever one
read fills it, up to all that the kernel had, and never shrinks; and what comes in one read is handled in one go, while
Redis waits for work. With TLS the reads are small, whatever the kernel has."""

_SILENCED = logging.getLogger("tickfleet.picows")
_SILENCED.setLevel(logging.CRITICAL + 1)
"""For the library's own lines, which would stand between ours: what they say of an end is raised or logged here."""


async def open_picows(url: str, open_timeout_s: float, close_timeout_s: float) -> "PicowsSocket":
    """See ``open_socket``."""
    host = host_of(url)
    tls: dict[str, Any] = {}
    if urlsplit(url).scheme == "wss":
        tls = {"ssl_context": ssl.create_default_context(), "ssl_shutdown_timeout": close_timeout_s}
    dialled = list[socket.socket]()
    try:
        async with asyncio.timeout(open_timeout_s):
            return PicowsSocket(await _connect(url, tls, dialled), close_timeout_s)
    except WSInvalidStatusError as error:
        status, headers = (error.response.status.value, error.response.headers) if error.response else (0, {})
        raise turned_away(url, status, headers) from error
    except (OSError, ValueError, WSError) as error:  # ValueError and WSError: an answer that is no WebSocket
        raise ConnectionLostError(unreachable(host, error, connected=bool(dialled))) from error


async def _connect(url: str, tls: dict[str, Any], dialled: list[socket.socket]) -> "_Listener":
    """Connect and do the handshake; nothing stays open if that fails or is cancelled.

    The library gives us nothing to close before the handshake has succeeded. So the TCP connection is made here, and
    added to ``dialled``.
    """
    listener = _Listener()

    async def dial_at(at: WSParsedURL) -> socket.socket:
        dialled.append(await dial(at.host, at.port, receive_bytes=0 if at.is_secure else _PLAIN_RECEIVE_BYTES))
        return dialled[-1]

    try:
        await ws_connect(
            lambda *_: listener,
            url,
            websocket_handshake_timeout=None,  # the whole is limited, not only this part
            max_frame_size=MAX_FRAME_BYTES,
            extra_headers={"User-Agent": USER_AGENT},
            logger_name=_SILENCED,
            socket_factory=dial_at,
            max_redirects=0,
            use_aiofastnet=False,
            **tls,
        )
        listener.check_connected()
    except BaseException:
        listener.abort()
        for each in dialled:
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)  # whoever of asyncio holds it now sees its end, and closes it
        raise
    return listener


class PicowsSocket:
    """One open connection."""

    def __init__(self, listener: "_Listener", close_timeout_s: float) -> None:
        self._listener = listener
        self._transport = listener.transport
        self._close_timeout_s = close_timeout_s
        self._pings = count()

    async def pump(self, on_frame: Callable[[bytes], None], back_pressure: BackPressure) -> NoReturn:
        """See ``Socket.pump``."""
        held = self._listener.held
        while True:
            while held:
                on_frame(held.popleft())
                if back_pressure.paused:
                    await back_pressure.resumed()
            await self._listener.read_frames(on_frame, back_pressure)
            if back_pressure.paused:
                await back_pressure.resumed()

    async def send(self, text: str) -> None:
        """See ``Socket.send``."""
        self._listener.check_open()
        self._transport.send(_TEXT, text.encode())

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """See ``Socket.ping``."""
        self._listener.check_open()
        payload = b"%d" % next(self._pings)
        self._listener.pings[payload] = on_pong
        self._transport.send_ping(payload)

    async def close(self) -> None:
        """See ``Socket.close``."""
        transport = self._transport
        self._listener.discard()
        try:
            transport.send_close(WSCloseCode.OK)
            transport.underlying_transport.resume_reading()  # for the answer
            with suppress(TimeoutError, WSProtocolError):
                async with asyncio.timeout(self._close_timeout_s):
                    await transport.wait_disconnected()
        finally:
            transport.disconnect(graceful=False)
        try:
            await transport.wait_disconnected()
        except WSProtocolError as error:
            get_logger().warning("frame_malformed", why=str(error))


class _Listener(WSListener):
    """The callbacks for the library. No error leaves them: the library would log and drop it."""

    transport: WSTransport

    def __init__(self) -> None:
        self.held: deque[bytes] = deque()
        """Frames that were read and not yet handed on."""
        self.pings: dict[bytes, Callable[[], None]] = {}
        """By payload, in the order sent: who waits for an answer."""
        self._on_frame: Callable[[bytes], None] | None = None
        self._back_pressure: BackPressure | None = None
        self._fragments: bytearray | None = None
        self._lost = ""
        self._failure: BaseException | None = None
        self._discarding = False
        self._wake: asyncio.Future[None] | None = None

    # --- for the socket ------------------------------------------------------------------------------------------

    async def read_frames(self, on_frame: Callable[[bytes], None], back_pressure: BackPressure) -> None:
        """Pass on every frame as it is read, until ``back_pressure`` is paused.

        Raises:
            ConnectionLostError: The connection has ended, and all its frames were passed on.
        """
        if not self._lost and self._failure is None:
            self._on_frame, self._back_pressure = on_frame, back_pressure
            self._wake = asyncio.get_running_loop().create_future()
            self.transport.underlying_transport.resume_reading()
            try:
                await self._wake
            finally:
                self._hold()
        if self._failure is not None:
            raise self._failure
        if not self.held:
            self.check_open()

    def check_open(self) -> None:
        """Raise ``ConnectionLostError`` if the connection has ended."""
        if self._lost:
            raise ConnectionLostError(self._lost)

    def check_connected(self) -> None:
        """Raise ``ConnectionResetError`` if the server closed during the handshake, which the library hides."""
        if not hasattr(self, "transport"):
            raise ConnectionResetError("closed within the handshake")

    def discard(self) -> None:
        """Drop all further frames."""
        self._discarding = True
        self._on_frame = None
        self.held.clear()

    def abort(self) -> None:
        """End the connection at once, if there is one."""
        if hasattr(self, "transport"):
            self.transport.disconnect(graceful=False)

    # --- for the library -----------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done; the same bytes may already have frames."""
        self.transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._hold()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame was read: the hottest path of a collector."""
        try:
            kind = frame.msg_type
            if (
                (kind is _TEXT or kind is _BINARY)
                and frame.fin
                and self._fragments is None
                and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
                and frame.payload_size <= MAX_FRAME_BYTES
            ):
                on_frame = self._on_frame
                if on_frame is None:
                    self._put_aside(frame.get_payload_as_bytes())
                    return
                on_frame(frame.get_payload_as_bytes())
                if self._back_pressure.paused:  # type: ignore[union-attr]  # it comes with on_frame
                    self._hold()
            else:
                self._on_unusual(transport, frame)
        except BaseException as error:  # noqa: BLE001 - raised in the pump, as it is
            self._failure = error
            self._hold()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The transport has gone."""
        self._end(BROKEN)

    def pause_writing(self) -> None:
        """More bytes wait than we ever send: the peer sends pings but does not read."""
        self._end(UNREAD)
        self.transport.disconnect(graceful=False)

    def resume_writing(self) -> None:
        """See ``pause_writing``."""

    # --- inside --------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Pass on nothing for now, and stop reading (except for the answer to our close frame)."""
        self._on_frame = None
        if not self._discarding:
            self.transport.underlying_transport.pause_reading()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _put_aside(self, payload: bytes) -> None:
        if not (self._discarding or self._lost or self._failure):
            self.held.append(payload)

    def _end(self, why: str) -> None:
        self._lost = self._lost or why
        self._hold()

    def _on_unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        """A control frame, a fragment, or a forbidden frame; the library answers pings."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:  # of extensions, and there are none
            self._refuse(transport, WSCloseCode.PROTOCOL_ERROR)
        elif kind is _CLOSE:
            code = frame.get_close_code()
            transport.send_close(WSCloseCode.OK if code is WSCloseCode.NO_INFO else code)
            self._end(closed(code.value))
        elif kind is _PONG:
            self._on_pong(frame.get_payload_as_bytes())
        else:
            self._on_fragment(transport, frame, first=kind is not _CONTINUATION)

    def _on_fragment(self, transport: WSTransport, frame: WSFrame, *, first: bool) -> None:
        if first != (self._fragments is None):
            self._refuse(transport, WSCloseCode.PROTOCOL_ERROR)
            return
        joined = self._fragments = self._fragments or bytearray()
        if len(joined) + frame.payload_size > MAX_FRAME_BYTES:
            self._refuse(transport, WSCloseCode.MESSAGE_TOO_BIG)
            return
        joined += frame.get_payload_as_memoryview()
        if not frame.fin:
            return
        self._fragments = None
        if self._on_frame is None or self._back_pressure is None:
            self._put_aside(bytes(joined))
            return
        self._on_frame(bytes(joined))
        if self._back_pressure.paused:
            self._hold()

    def _on_pong(self, payload: bytes) -> None:
        """A pong also answers all earlier pings (RFC 6455, 5.5.3); a pong without a ping is allowed."""
        if payload not in self.pings:
            return
        for sent in list(self.pings):
            self.pings.pop(sent)()
            if sent == payload:
                break

    def _refuse(self, transport: WSTransport, code: WSCloseCode) -> None:
        self._fragments = None
        transport.send_close(code)
        self._end(BROKEN)
