"""REST GETs: one connection each, HTTP/1.1 through h11, nothing kept between calls.

A collector asks a handful of times in its life, so there is no pool and no client with one. The environment's proxies
are not used: an exchange that is reached through another host has that host's address in the fleet file.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from common.errors import ExchangeUnavailableError, InvalidConfigurationError

TIMEOUT_S = 10.0
MAX_BODY_BYTES = 32 * 1024 * 1024
_READ_BYTES = 65_536


class _Address(Struct, frozen=True):
    host: str
    port: int
    tls: bool
    host_header: str
    prefix: str


class Answer(Struct, frozen=True):
    """Status and body of an answer, whatever the status; ``retry_after_s`` where it asks to stay away for a time."""

    status: int
    body: bytes
    retry_after_s: float | None = None


async def get(root: str, path: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """GET ``root + path``.

    Args:
        root: ``https://host[:port][/prefix]``, or ``http://`` for a simulator.
        path: Path and query.
        timeout_s: For everything together.

    Raises:
        ExchangeUnavailableError: No connection, no answer in time, or an answer that is not HTTP.
        InvalidConfigurationError: ``root`` is not an address.
    """
    address = _parse(root)
    try:
        async with asyncio.timeout(timeout_s):
            return await _get(address, path)
    except UnicodeError as error:
        raise InvalidConfigurationError(f"REST of {address.host}: that cannot be the name of a host") from error
    except TimeoutError as error:
        raise ExchangeUnavailableError(f"REST of {address.host} did not answer within {timeout_s:g} s") from error
    except (OSError, h11.ProtocolError) as error:
        raise ExchangeUnavailableError(f"REST of {address.host} cannot be reached") from error


def _parse(root: str) -> _Address:
    try:
        parts = urlsplit(root)
        host, port, tls = parts.hostname, parts.port, parts.scheme == "https"
    except ValueError as error:
        raise InvalidConfigurationError("the REST address of the exchange is not one (host or port)") from error
    if not host:
        raise InvalidConfigurationError("the REST address of the exchange names no host")
    return _Address(
        host, port or (443 if tls else 80), tls, parts.netloc.rpartition("@")[2], parts.path.removesuffix("/")
    )


async def _get(address: _Address, path: str) -> Answer:
    context = ssl.create_default_context() if address.tls else None
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    try:
        http = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", address.host_header),
            ("User-Agent", "tickfleet"),
            ("Accept", "application/json"),
            ("Connection", "close"),
        ]
        request = h11.Request(method="GET", target=address.prefix + path, headers=headers)
        writer.write(http.send(request) + http.send(h11.EndOfMessage()))
        await writer.drain()
        return await _read_answer(http, reader)
    finally:
        writer.close()


async def _read_answer(http: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    status, body, retry_after_s = 0, bytearray(), None
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
            retry_after_s = _seconds(dict(event.headers).get(b"retry-after", b""))
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise ExchangeUnavailableError("REST answered more than any of its answers should hold")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, bytes(body), retry_after_s)
        elif not isinstance(event, h11.InformationalResponse):
            raise ExchangeUnavailableError("REST closed the connection in the middle of its answer")


def _seconds(text: bytes) -> float | None:
    """A header in seconds; its other form, a date, is not what exchanges send."""
    return float(text) if text.isdigit() and len(text) < 10 else None
