"""Looks whether exchanges can be reached: a connection per address, with TLS where it has it, and the time they tell.

Nothing is asked for that counts against a limit: no subscription, and of REST only the head of the root.
"""

import http.client
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from msgspec.structs import replace

from common.clock import Clock
from common.config import ExchangeCollectorConfig
from common.exchanges import PROFILES, Endpoints
from manager.cli.doctor.exchange_checks import Visit
from manager.settings import NS_PER_S

LIMIT_S = 5.0
AT_ONCE = 16
_TLS = frozenset({"https", "wss"})


def addresses(collectors: Iterable[ExchangeCollectorConfig]) -> list[tuple[str, str]]:
    """Pure: exchange and root address of all that the collectors connect to, each once."""
    found = dict[tuple[str, str], None]()
    for config in collectors:
        usual, own = PROFILES[config.exchange].endpoints, config.endpoints
        for name in Endpoints.__struct_fields__:
            if url := getattr(own, name) or getattr(usual, name):
                parts = urlsplit(url)
                found[config.exchange, f"{parts.scheme}://{parts.netloc}"] = None
    return list(found)


def visit_all(wanted: Iterable[tuple[str, str]], clock: Clock) -> list[Visit]:
    """Visit each address, many at a time; takes as long as the slowest, at most some seconds."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda each: _visit(each[0], each[1], clock), wanted))


def _visit(exchange: str, address: str, clock: Clock) -> Visit:
    parts, began_s = urlsplit(address), clock.monotonic_s()
    shown = Visit(exchange=exchange, address=address)
    try:
        ahead_s = _look(parts, clock)
    except TimeoutError:
        return replace(shown, trouble=f"no answer within {LIMIT_S:g} s")
    except ssl.SSLError:
        return replace(shown, trouble="its certificate or TLS is not accepted")
    except socket.gaierror:
        return replace(shown, trouble="its name cannot be resolved")
    except (OSError, http.client.HTTPException):
        return replace(shown, trouble="it does not answer")
    return replace(shown, took_s=clock.monotonic_s() - began_s, ahead_s=ahead_s)


def _look(parts: SplitResult, clock: Clock) -> float | None:
    host, secure = parts.hostname or "", parts.scheme in _TLS
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=LIMIT_S)
    try:
        connection.connect()
        if parts.scheme not in ("http", "https"):
            return None
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
        return None if date is None else _ahead_s(date, clock.now_ns())
    finally:
        connection.close()


def _ahead_s(date: str, now_ns: int) -> float | None:
    """How far our clock is ahead of an HTTP date, whose second may have just begun or be nearly over."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return now_ns / NS_PER_S - (theirs.timestamp() + 0.5)
