"""Looks whether exchanges can be reached, as a collector would do it: by the handshake of a socket, by a call of REST.

That takes a connection per address, and of REST the cheapest call; nothing is subscribed to.
"""

import asyncio
import base64
import http.client
import os
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from msgspec.structs import replace

from common.process.event_loop import EventLoop
from manager.cli.doctor.exchange_checks import Visit, trouble_of
from manager.cli.doctor.exchange_places import REST, Place, others
from manager.settings import NS_PER_S
from tickfleet._util.causes import cause_of
from tickfleet._util.clock import Clock
from tickfleet._util.dial import LOOKUP_TIMEOUT_S, dial

LIMIT_S = 5.0
_DIAL_LIMIT_S = LOOKUP_TIMEOUT_S + 2.0
"""For all addresses of a name. Longer than a lookup, so that one can tell a missing resolver from a missing host."""

AT_ONCE = 16
_GRANTED = range(200, 300)
_OPENED = range(101, 102)


def visit_all(wanted: Iterable[Place], clock: Clock) -> list[Visit]:
    """Visit each address, many at a time, and where one fails the exchange's others, one after the other."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda place: _visit_or_other(place, clock), wanted))


def _visit_or_other(place: Place, clock: Clock) -> Visit:
    found = _visit(place, clock)
    if not found.trouble:
        return found
    answering = (other for other in others(place) if not _visit(other.place, clock).trouble)
    return replace(found, instead=next(answering, None))


def _visit(place: Place, clock: Clock) -> Visit:
    began_s = clock.monotonic_s()
    try:
        trouble, ahead_s = _probe(place, clock)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        return Visit(place=place, trouble=cause_of(error, "its answer is no HTTP"))
    return Visit(place=place, trouble=trouble, took_s=clock.monotonic_s() - began_s, ahead_s=ahead_s)


def _probe(place: Place, clock: Clock) -> tuple[str, float | None]:
    """Ask; what is wrong with the answer, and how far our clock is ahead of the time it tells."""
    parts = urlsplit(place.url)
    kind = http.client.HTTPSConnection if place.tls else http.client.HTTPConnection
    connection = kind(parts.hostname or "", place.port, timeout=LIMIT_S)
    path = parts.path.removesuffix("/") + place.probe or "/"
    query = f"?{parts.query}" if parts.query else ""
    try:
        connection.sock = _connected(connection.host, place)  # http.client goes from one address to the next by itself
        connection.request("GET", path + query, headers={} if place.field == REST else _handshake())
        answer = connection.getresponse()
        wanted = _GRANTED if place.field == REST else _OPENED
        trouble = trouble_of(answer.status, wanted, place.url, answer.getheader("Location") or "")
        date = answer.getheader("Date")
        return trouble, None if date is None else _ahead_s(date, clock.now_ns())
    finally:
        connection.close()


def _connected(host: str, place: Place) -> socket.socket:
    """Connect to the address of a host name that answers first, as collectors do."""

    async def dial_in_time() -> socket.socket:
        async with asyncio.timeout(_DIAL_LIMIT_S):
            return await dial(host, place.port)

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        line = runner.run(dial_in_time())
    try:
        line.settimeout(LIMIT_S)
        return ssl.create_default_context().wrap_socket(line, server_hostname=host) if place.tls else line
    except BaseException:
        line.close()
        raise


def _handshake() -> dict[str, str]:
    """What asks for a WebSocket (RFC 6455, section 4.1)."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }


def _ahead_s(date: str, now_ns: int) -> float | None:
    """How far our clock is ahead of an HTTP date, whose second may have just begun or be nearly over."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return now_ns / NS_PER_S - (theirs.timestamp() + 0.5)
