"""WebSocket frames by hand, against RFC 6455."""

from tests.bench.load import wire


def test_the_lengths_of_a_frame() -> None:
    heads = [wire.frame(bytes(size))[:-size] for size in (125, 126, 65_535, 65_536)]
    assert heads == [b"\x81\x7d", b"\x81\x7e\x00\x7e", b"\x81\x7e\xff\xff", b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"]


def test_the_masked_hello_of_the_rfc() -> None:
    hello = bytearray.fromhex("818537fa213d7f9f4d5158")  # section 5.7
    assert wire.take_client_frame(hello[:10]) is None
    assert (wire.take_client_frame(hello), hello) == ((wire.TEXT, b"Hello"), bytearray())


def test_what_a_client_sends_is_read_again() -> None:
    data = bytearray(wire.masked(b"a" * 5) + wire.masked(b"b" * 500))
    assert [wire.take_client_frame(data) for _ in range(3)] == [(1, b"a" * 5), (1, b"b" * 500), None]


def test_the_handshake_of_the_rfc() -> None:
    request = b"GET /chat HTTP/1.1\r\nHost: example\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    answer = wire.accepted(wire.headers_of(request)[b"sec-websocket-key"])
    assert wire.headers_of(answer)[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # section 1.3
