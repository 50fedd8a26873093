"""What a connection needs from a socket, for any library."""

from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol
from urllib.parse import urljoin, urlsplit

from collector_worker.publish.buffer import BackPressure
from common.network.http_status import MOVED, meaning_of, seconds
from tickfleet._util.causes import cause_of
from tickfleet.errors import InvalidConfigurationError, TurnedAwayError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
"""A polite close must leave time to flush before supervisord's patience ends."""

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Far above any frame of market data; bounds what a broken server can make us hold. Fragments count together."""

MAX_UNSENT_BYTES = 256 * 1024
"""What may wait for a peer that does not read: far above all that we ever send, but a peer that pings and does not read
could make us keep as many answers as it likes."""

USER_AGENT = "tickfleet"

BROKEN = "the connection broke"
"""Why a connection ended that nobody has closed."""

UNREAD = "the exchange does not read what we send"
"""Why one ended whose answers would have filled our memory."""

_NO_CODE = 1005
"""RFC 6455, 7.1.5: in place of the code of a close frame that has none."""


class Socket(Protocol):
    """One open connection."""

    async def pump(self, on_frame: Callable[[bytes], None], back_pressure: BackPressure) -> NoReturn:
        """Pass every incoming frame to ``on_frame``, in order, until the connection ends; wait while ``paused``.

        A frame is a whole message: fragments are joined, text is its UTF-8. Frames that arrived before this call come
        first.

        Raises:
            ConnectionLostError: The connection ended. Errors of ``on_frame`` are raised unchanged.
        """
        ...

    async def send(self, text: str) -> None:
        """Send one text frame.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        ...

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """Send a ping of the WebSocket protocol; ``on_pong`` is called when it is answered.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        ...

    async def close(self) -> None:
        """Close with a handshake, within the time given to ``open_socket``; no effect on an ended connection."""
        ...


def host_of(url: str) -> str:
    """The host of a WebSocket's address.

    Raises:
        InvalidConfigurationError: ``url`` is not such an address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:  # a port or a host that cannot be one
        raise _no_address(url) from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.fragment:
        raise _no_address(url)
    return parts.hostname


def _no_address(url: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(f"{_without_secrets(url)} is not the address of a WebSocket")


def _without_secrets(url: str) -> str:
    """The address up to its path and without a password, for messages."""
    scheme, slashes, rest = url.partition("://")
    return scheme + slashes + rest.partition("/")[0].rpartition("@")[2]


def unreachable(host: str, error: BaseException, *, connected: bool) -> str:
    """The error of a failed connection: no server answers, or it does not speak WebSocket.

    Args:
        host: The server.
        error: What was raised.
        connected: Whether there was a TCP connection.
    """
    if isinstance(error, TimeoutError) and connected:
        return f"{host} cannot be reached: it connects, but does not answer in time ({type(error).__name__})"
    return f"{host} cannot be reached: {cause_of(error, 'it does not speak WebSocket')}"


def turned_away(url: str, status: int, headers: Mapping[str, str]) -> TurnedAwayError:
    """The error of a handshake that was answered with an HTTP status. Header names may be in any case."""
    host, known = host_of(url), {name.lower(): value for name, value in headers.items()}
    location = known.get("location", "")
    meaning = meaning_of(host, status, seconds(known.get("retry-after", "")), url, location)
    if meaning is None:
        return TurnedAwayError(f"{host} turned the connection away (HTTP {status})")
    moved_to = _followable(url, location) if status in MOVED else ""
    return TurnedAwayError(meaning.why, meaning.ban_s, moved_to, final=meaning.fatal)


def _followable(url: str, location: str) -> str:
    """The target of a redirect; empty if it is not a WebSocket, or lacks the TLS of the first address."""
    try:
        target = urljoin(url, location)
        host_of(target)
    except (ValueError, InvalidConfigurationError):
        return ""
    loses_tls = url.startswith("wss:") and not target.startswith("wss:")
    return "" if loses_tls or not location else target


def closed(code: int) -> str:
    """The error of a connection that the exchange closed; ``code`` is 0 if it gave none."""
    return f"the exchange closed the connection (code {code or _NO_CODE})"
