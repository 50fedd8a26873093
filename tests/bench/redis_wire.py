"""A blocking connection to Redis that costs what must be and no more: packed commands out, hiredis' replies in."""

import socket
import time
from collections.abc import Callable
from typing import Any

import hiredis

_READ_BYTES = 262_144
Word = str | int | float | bytes

pack_command: Callable[[tuple[Word, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: 1-tuple
"""One command in Redis' protocol."""


class RedisWire:
    """One connection; not safe for several threads.

    Args:
        port: On 127.0.0.1.
        timeout_s: How long a reply may take.
    """

    def __init__(self, port: int, timeout_s: float = 60.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        self.arrived_ns = 0
        """When the last bytes could be read (ns of ``CLOCK_MONOTONIC``), before anything was done with them."""

    def send(self, packed: bytes) -> None:
        """Send packed commands."""
        self._socket.sendall(packed)

    def reply(self) -> Any:
        """The next reply.

        Raises:
            hiredis.ReplyError: It is a refusal.
            TimeoutError: There was none in time.
            ConnectionError: Redis has closed the connection.
        """
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(_READ_BYTES)
            self.arrived_ns = time.monotonic_ns()
            if not data:
                raise ConnectionError("Redis has closed the connection")
            self._reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def call(self, *command: Word) -> Any:
        """Send one command; its reply. Raises as ``reply``."""
        self.send(pack_command(command))
        return self.reply()

    def facts(self, key: str) -> dict[bytes, Any]:
        """What XINFO says of a stream; nothing where there is none."""
        if not self.call("EXISTS", key):
            return {}
        reply = self.call("XINFO", "STREAM", key)
        return dict(zip(reply[::2], reply[1::2], strict=True))

    def close(self) -> None:
        """Close it."""
        self._socket.close()
