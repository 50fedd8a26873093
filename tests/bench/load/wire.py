"""What of WebSocket and HTTP the load needs, written by hand: a library would cost per frame."""

import base64
import hashlib
import json
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT, _LONG = 126, 1 << 16


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A frame as a server sends it: whole, and not masked (RFC 6455, section 5.2)."""
    size, first = len(payload), bytes((0x80 | opcode,))
    if size < _SHORT:
        return first + bytes((size,)) + payload
    if size < _LONG:
        return first + b"\x7e" + struct.pack(">H", size) + payload
    return first + b"\x7f" + struct.pack(">Q", size) + payload


def masked(payload: bytes) -> bytes:
    """A short text frame as a client sends it; with a mask of zeros, so the payload stays as it is."""
    if len(payload) >= _SHORT:
        return b"\x81\xfe" + struct.pack(">H", len(payload)) + bytes(4) + payload
    return b"\x81" + bytes((0x80 | len(payload),)) + bytes(4) + payload


def take_client_frame(data: bytearray) -> tuple[int, bytes] | None:
    """Take opcode and payload of the first frame of a client off ``data``; None where it is not whole yet.

    Requests are short: neither fragments nor lengths of eight bytes are understood.
    """
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size == _SHORT:
        size, at = int.from_bytes(data[2:4], "big"), 4
    if len(data) < at + 4 + size:
        return None
    mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
    opcode = data[0] & 0x0F
    del data[: at + 4 + size]
    return opcode, bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))


def headers_of(request: bytes) -> dict[bytes, bytes]:
    """The headers of an HTTP request, names in lower case."""
    pairs = (line.partition(b":") for line in request.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def accepted(key: bytes) -> bytes:
    """The answer that makes of an HTTP connection a WebSocket (RFC 6455, section 4.2.2)."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def rest_answer(data: object) -> bytes:
    """An answer of OKX' REST that ends its connection."""
    body = json.dumps({"code": "0", "msg": "", "data": data}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
