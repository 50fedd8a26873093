"""The least a Python process can do with the frames: ``python -m tests.bench.bare``. It reads them, and notes when.

A blocking socket, plain or TLS; frame headers are walked, payloads not looked at (the load numbers its frames from 1).
With ``--redis`` it also writes an entry for each frame and waits for the answer: the least from socket to stream.
Tells ``{"ready": true}`` when it has subscribed, and at the end what it took from then to the last frame.
"""

import argparse
import gc
import json
import socket
import ssl
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from tests.bench.load import wire
from tests.bench.redis_wire import RedisWire, pack_command

_READ_BYTES = 262_144
_SHORT_FRAME, _MIDDLE_FRAME = 126, 127


def whole_frames(data: bytearray) -> int:
    """Take all whole frames of a server off ``data``; how many there were."""
    at, count, size = 0, 0, len(data)
    while size - at >= 10:
        length, head = data[at + 1], 2
        if length == _SHORT_FRAME:
            length, head = data[at + 2] << 8 | data[at + 3], 4
        elif length == _MIDDLE_FRAME:
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        if at + head + length > size:
            break
        at += head + length
        count += 1
    del data[:at]
    return count


def connect(port: int, channel: str, *, tls: bool) -> socket.socket:
    """A connection that has sent its subscription, its handshake answered."""
    stream = socket.create_connection(("127.0.0.1", port), timeout=60)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        stream = ssl.create_default_context().wrap_socket(stream, server_hostname="127.0.0.1")
    stream.sendall(
        b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += stream.recv(1)
    request = {"op": "subscribe", "args": [{"channel": channel, "instId": "BTC-USDT"}]}
    stream.sendall(wire.masked(json.dumps(request).encode()))
    return stream


def arrivals(stream: socket.socket, frames: int) -> Iterator[tuple[int, int]]:
    """How many frames have been read whole, and when (ns of ``CLOCK_MONOTONIC``), after each read that brought some."""
    data, read = bytearray(), -1  # the first one is the answer to the subscription
    while read < frames:
        data += stream.recv(_READ_BYTES)
        count = whole_frames(data)
        if count:
            read += count
            yield read, time.monotonic_ns()


class Writer:
    """Writes an entry of the fields of a trade for each frame; the number is the only one that is true."""

    def __init__(self, port: int, key: str) -> None:
        self._redis = RedisWire(port)
        self._key = key
        self._written = 0

    def write(self, last: int) -> None:
        """Write those up to a number, and wait until Redis has them."""
        numbers = range(self._written + 1, last + 1)
        self._redis.send(b"".join(map(self._packed, numbers)))
        for _ in numbers:
            self._redis.reply()
        self._written = last

    def _packed(self, number: int) -> bytes:
        fields = ("type", "trade", "ts_event", time.time_ns(), "ts_recv", time.time_ns(), "trade_id", number)
        rest = ("price", "42219.9", "size", "0.12060306", "side", "buy", "origin", "live")
        return pack_command(("XADD", self._key, "*", *fields, *rest))


def main() -> int:
    """Read so many frames."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bare", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--channel", default="trades-all")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, help="where to write when each frame was read")
    parser.add_argument("--redis", type=int, help="port of a Redis to write to")
    parser.add_argument("--key", default="bare", help="of the stream that is written")
    options = parser.parse_args()
    seen_ns = array("Q")
    gc.disable()
    writer = Writer(options.redis, options.key) if options.redis else None
    stream = connect(options.port, options.channel, tls=options.tls)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    began_ns, used_ns, now_ns = time.monotonic_ns(), time.process_time_ns(), 0
    for read, now_ns in arrivals(stream, options.count):
        if writer:
            writer.write(read)
        if options.out:
            seen_ns.extend([now_ns] * (read - len(seen_ns)))
    used_ns = time.process_time_ns() - used_ns
    if options.out:
        options.out.write_bytes(seen_ns.tobytes())
    took = {"frames": options.count, "wall_ns": now_ns - began_ns, "cpu_ns": used_ns}
    sys.stdout.write(json.dumps(took) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
