"""The server of the load: a thread a connection, blocking sockets, no event loop.

A connection that subscribes to the channel of the load gets its frames; all others are answered and stay silent.
"""

import json
import select
import socket
import ssl
import threading
import time
from array import array
from collections.abc import Callable, Iterator

from msgspec import Struct

from tests.bench.load import wire
from tests.bench.load.frames import acknowledged, payload_of, rest_data

_CHUNK_FRAMES = 500
_READ_BYTES = 65_536
_IDLE_S = 3600.0
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class Load(Struct, frozen=True):
    """What to send.

    Attributes:
        channel: The channel whose first subscriber gets the frames.
        count: How many frames.
        rate: Frames a second, evenly; 0: as fast as the client reads.
    """

    channel: str
    count: int
    rate: float = 0.0

    def joined(self) -> list[bytes]:
        """All frames of a burst, many joined at a time."""
        payload, now_ms = payload_of(self.channel), time.time_ns() // _NS_PER_MS
        starts = range(1, self.count + 1, _CHUNK_FRAMES)
        ends = (min(start + _CHUNK_FRAMES, self.count + 1) for start in starts)
        spans = zip(starts, ends, strict=True)
        return [b"".join(wire.frame(payload(at, now_ms)) for at in range(*span)) for span in spans]


class Server:
    """Listens on a free loopback port.

    Args:
        tls: The context of a server that speaks TLS, else None.
        begun: Called before the first frame is sent.
        done: Called with the times at which paced frames were sent (ns of ``CLOCK_MONOTONIC``, by number less one) when
            the last has been, or the client has gone.
    """

    def __init__(
        self,
        load: Load,
        tls: ssl.SSLContext | None,
        begun: Callable[[], None],
        done: Callable[["array[int]"], None],
    ) -> None:
        self._load = load
        self._tls = tls
        self._on_begin = begun
        self._done = done
        self._burst = [] if load.rate else load.joined()
        self._taken = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(client, server_side=True) if self._tls else client as stream:
                _Conversation(stream, self._load, self._send).run()
        except (OSError, EOFError):  # it has gone
            return

    def _send(self, talk: "_Conversation") -> None:
        """Send the load, once: to whom asks for it first."""
        if not self._taken.acquire(blocking=False):
            return
        stamps = array("Q")
        self._on_begin()
        try:
            if self._load.rate:
                self._send_paced(talk, stamps)
            else:
                for chunk in self._burst:
                    talk.send(chunk)
                    talk.listen(0.0)
        finally:
            self._done(stamps)

    def _send_paced(self, talk: "_Conversation", stamps: "array[int]") -> None:
        payload, period_ns = payload_of(self._load.channel), _NS_PER_S / self._load.rate
        began_ns = time.monotonic_ns()
        for number in range(1, self._load.count + 1):
            data = wire.frame(payload(number, time.time_ns() // _NS_PER_MS))
            while (early_ns := began_ns + number * period_ns - time.monotonic_ns()) > 0:
                talk.listen(early_ns / _NS_PER_S)
            stamps.append(time.monotonic_ns())
            talk.send(data)


class _Conversation:
    """One connection: a request of REST, or a WebSocket. One thread does all: a TLS socket allows no more."""

    def __init__(self, stream: socket.socket, load: Load, send_load: Callable[["_Conversation"], None]) -> None:
        self._stream = stream
        self._load = load
        self._send_load = send_load
        self._received = bytearray()
        self._wanted = False

    def run(self) -> None:
        """Until it ends."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        key = wire.headers_of(head).get(b"sec-websocket-key")
        if key is None:
            path = head.split(b" ", 2)[1].decode()
            self.send(wire.rest_answer(rest_data(path, time.time_ns() // _NS_PER_MS)))
            return
        self._received = bytearray(rest)
        self.send(wire.accepted(key))
        while True:
            if self._wanted:
                self._wanted = False
                self._send_load(self)
            self.listen(_IDLE_S)

    def send(self, data: bytes) -> None:
        """Send all of it, however long the client takes to read."""
        self._stream.sendall(data)

    def listen(self, patience_s: float) -> None:
        """Answer what comes in within a time; returns early where something does."""
        pending = isinstance(self._stream, ssl.SSLSocket) and self._stream.pending()
        if pending or select.select([self._stream], [], [], patience_s)[0]:
            self._receive()
            for opcode, body in self._requests():
                self._answer(opcode, body)

    def _receive(self) -> None:
        data = self._stream.recv(_READ_BYTES)
        if not data:
            raise EOFError
        self._received += data

    def _requests(self) -> Iterator[tuple[int, bytes]]:
        while (request := wire.take_client_frame(self._received)) is not None:
            yield request

    def _answer(self, opcode: int, body: bytes) -> None:
        if opcode == wire.CLOSE:
            self.send(wire.frame(body, wire.CLOSE))
            raise EOFError
        if opcode == wire.PING:
            self.send(wire.frame(body, wire.PONG))
        elif body == b"ping":
            self.send(wire.frame(b"pong"))
        elif opcode == wire.TEXT:
            request = json.loads(body)
            for arg in request.get("args", []) if request.get("op") == "subscribe" else []:
                self.send(wire.frame(acknowledged(arg)))
                self._wanted = self._wanted or (arg.get("channel") == self._load.channel and self._load.count > 0)
