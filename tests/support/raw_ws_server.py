"""A WebSocket server of bare bytes, for what a library that keeps to the protocol would never send."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.waiting import PATIENCE_S

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = False) -> bytes:
    """One frame (RFC 6455, 5.2); ``reserved`` are the three bits of extensions."""
    size = len(payload)
    mask = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 1 << 16:
        head += bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros leaves the payload as it is


def closing(code: int, reason: str = "") -> bytes:
    """The close frame of a code."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


class Sent(NamedTuple):
    """A frame of the client."""

    opcode: int
    payload: bytes


class RawPeer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.request = ""
        """The head of the client's handshake."""

    async def shake_hands(self, also: bytes = b"") -> None:
        """Answer the handshake, with ``also`` in the same bytes."""
        await self.read_request()
        key = next(line for line in self.request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        digest = hashlib.sha1(key.partition(":")[2].strip().encode() + _GUID).digest()  # noqa: S324 - the protocol's
        accept = base64.b64encode(digest).decode()
        await self.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            + also
        )

    async def read_request(self) -> None:
        """Read the head of the handshake."""
        self.request = (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def write(self, *pieces: bytes) -> None:
        """Send bytes, each piece by itself."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def receive(self) -> Sent:
        """The next frame of the client, which are all short."""
        head = await self._reader.readexactly(2)
        mask = await self._reader.readexactly(4)
        body = await self._reader.readexactly(head[1] & 0x7F)
        return Sent(head[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(body)))

    async def farewell(self) -> None:
        """Wait until the client says farewell or has gone; a server ends the connection then (RFC 6455, 7.1.1)."""
        with suppress(asyncio.IncompleteReadError):
            while (await self.receive()).opcode != CLOSE:
                pass

    async def gone(self) -> None:
        """Wait until the client has ended the connection, whatever it still sends."""
        with suppress(ConnectionError):
            while await self._reader.read(1 << 16):
                pass

    def end(self) -> None:
        """End the connection."""
        self._writer.close()

    def freeze(self) -> None:
        """Read nothing any more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads, too

    def thaw(self) -> None:
        """Read on."""
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]  # it reads, too


RawPlay = Callable[[RawPeer], Awaitable[None]]


class RawServer:
    """Gives every connection to the script; one that fails makes the test fail."""

    def __init__(self, script: RawPlay, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._errors: list[Exception] = []
        self._plays: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.opened = 0
        """Connections so far."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._play, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        if self._plays:
            _, late = await asyncio.wait(self._plays, timeout=0 if error else PATIENCE_S)
            for play in late:
                play.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            assert error or not late, "a script did not come to its end"
        if self._errors:
            raise self._errors[0]

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._plays.add(task)
        self.opened += 1
        try:
            if self._tls is not None:
                await writer.start_tls(self._tls)
            await self._script(RawPeer(reader, writer))
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client may leave at any time
        except Exception as error:  # noqa: BLE001 - raised where the test ends
            self._errors.append(error)
        finally:
            writer.transport.abort()
