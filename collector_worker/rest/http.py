"""REST GETs: HTTP/1.1 through h11, one connection per request, or for several requests that belong together.

A collector makes a few requests in its life, so it needs no connection pool. The environment's proxies are not used: to
reach an exchange through another host, put that host's address into the fleet file.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from common.network.http_status import seconds
from tickfleet._util.causes import cause_of
from tickfleet._util.dial import dial
from tickfleet.errors import ExchangeUnavailableError, InvalidConfigurationError

TIMEOUT_S = 10.0
MAX_BODY_BYTES = 32 * 1024 * 1024
_READ_BYTES = 65_536
_OK = 200

_Found = TypeVar("_Found")


class _Address(Struct, frozen=True):
    host: str
    port: int
    tls: bool
    host_header: str
    prefix: str


class HttpAnswer(Struct, frozen=True):
    """Status and body of an answer, whatever the status.

    Attributes:
        retry_after_s: For how long the answer asks to stay away.
        location: Where it sends us; empty if it does not.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None
    location: str = ""

    def read(self, reader: Callable[[bytes], _Found]) -> _Found:
        """The result of the exchange's reader for the body; if the reader refuses it, its error gets the status added.

        Raises:
            ExchangeUnavailableError: The reader's own error: ``OKX answered with error code 50011 (HTTP 400)``.
        """
        try:
            return reader(self.body)
        except ExchangeUnavailableError as error:
            if self.status == _OK:
                raise
            raise ExchangeUnavailableError(f"{error} (HTTP {self.status})") from error


async def get(root: str, path: str, timeout_s: float = TIMEOUT_S) -> HttpAnswer:
    """GET ``root + path``.

    Args:
        root: ``https://host[:port][/prefix]``, or ``http://`` for a simulator.
        path: Path and query.
        timeout_s: For everything together.

    Raises:
        ExchangeUnavailableError: No connection, no answer in time, or an answer that is not HTTP.
        InvalidConfigurationError: ``root`` is not an address.
    """
    async with opened(root, timeout_s) as line:
        return await line.get(path)


class HttpConnection:
    """An open connection for calls one after the other."""

    def __init__(self, address: _Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._address, self._reader, self._writer = address, reader, writer
        self._http = h11.Connection(h11.CLIENT)

    async def get(self, path: str, *, last: bool = True) -> HttpAnswer:
        """GET a path; ``last`` asks the server to close the connection then.

        Raises:
            ExchangeUnavailableError: An answer that is too long or breaks off.
        """
        address, http = self._address, self._http
        headers = [
            ("Host", address.host_header),
            ("User-Agent", "tickfleet"),
            ("Accept", "application/json"),
            ("Connection", "close" if last else "keep-alive"),
        ]
        request = h11.Request(method="GET", target=address.prefix + path, headers=headers)
        self._writer.write(http.send(request) + http.send(h11.EndOfMessage()))
        await self._writer.drain()
        answer = await _read_answer(http, self._reader)
        if http.our_state is http.their_state is h11.DONE:
            http.start_next_cycle()
        return answer

    @property
    def goes_on(self) -> bool:
        """Whether one more request can be sent."""
        return self._http.our_state is h11.IDLE

    def close(self) -> None:
        """Drop it."""
        self._writer.close()


@asynccontextmanager
async def opened(root: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[HttpConnection]:
    """A connection that is closed at the end.

    Args:
        root: As for ``get``.
        timeout_s: For opening it and for all its requests.

    Raises:
        ExchangeUnavailableError: As ``get``, also if it happens later.
        InvalidConfigurationError: As ``get``.
    """
    address = _parse(root)
    line = None
    try:
        async with asyncio.timeout(timeout_s):
            line = await _open(address)
            yield line
    except UnicodeError as error:
        raise InvalidConfigurationError(f"REST of {address.host}: {cause_of(error)}") from error
    except TimeoutError as error:
        if line is not None:
            raise ExchangeUnavailableError(f"REST of {address.host} did not answer within {timeout_s:g} s") from error
        raise ExchangeUnavailableError(f"REST of {address.host} cannot be reached: {cause_of(error)}") from error
    except (OSError, h11.ProtocolError) as error:
        cause = cause_of(error, "its answer is no HTTP")
        raise ExchangeUnavailableError(f"REST of {address.host} cannot be reached: {cause}") from error
    finally:
        if line is not None:
            line.close()


def host_of(root: str) -> str:
    """The host that ``root`` names.

    Raises:
        InvalidConfigurationError: It is not an address.
    """
    return _parse(root).host


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


async def _open(address: _Address) -> HttpConnection:
    context = ssl.create_default_context() if address.tls else None
    name = None if context is None else address.host
    line = await dial(address.host, address.port)
    return HttpConnection(address, *await asyncio.open_connection(sock=line, ssl=context, server_hostname=name))


async def _read_answer(http: h11.Connection, reader: asyncio.StreamReader) -> HttpAnswer:
    status, body, headers = 0, bytearray(), dict[bytes, bytes]()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, dict(event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise ExchangeUnavailableError("REST answered more than any of its answers should hold")
        elif isinstance(event, h11.EndOfMessage):
            retry_after, location = (headers.get(name, b"").decode("latin-1") for name in (b"retry-after", b"location"))
            return HttpAnswer(status, bytes(body), seconds(retry_after), location)
        elif not isinstance(event, h11.InformationalResponse):
            raise ExchangeUnavailableError("REST closed the connection in the middle of its answer")
