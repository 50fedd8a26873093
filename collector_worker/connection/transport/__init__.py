"""Sockets to an exchange: one small protocol, implemented by two libraries.

Only the chosen library is imported, when the first socket is opened: each costs every process about 4 MiB. Bytes come
in, whole messages come out; no code here knows what they mean.
"""

from collections.abc import Awaitable, Callable

from collector_worker.connection.transport.protocol import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, Socket
from common.config.collector import TRANSPORT_PICOWS
from common.process.log import get_logger
from tickfleet.errors import TurnedAwayError

_REDIRECTS = 3


async def _free() -> None:
    """A permit that is always free: connections are not counted."""


async def open_socket(
    transport: str,
    url: str,
    open_timeout_s: float = OPEN_TIMEOUT_S,
    close_timeout_s: float = CLOSE_TIMEOUT_S,
    *,
    permit: Callable[[], Awaitable[object]] = _free,
) -> Socket:
    """Connect, within ``open_timeout_s``; ``close`` will later take ``close_timeout_s`` at most.

    Compression is off: it would cost 50 KiB, and several times the CPU per frame. The library's pings are off: each
    exchange has its own keep-alive. Proxies of the environment are ignored, as for REST: both connect to the address in
    the fleet file. A ``wss`` server needs a certificate signed by the system's authorities.

    Args:
        transport: One of ``common.config.collector.TRANSPORTS``.
        url: ``ws://`` or ``wss://``.
        open_timeout_s: From the lookup of the name to the end of the handshake.
        close_timeout_s: See ``Socket.close``.
        permit: Waits until one more connection may be made; each followed redirect is one more.

    Raises:
        ConnectionLostError: No server answers, or it refused the handshake.
        InvalidConfigurationError: ``url`` is not an address.
    """
    for _ in range(_REDIRECTS):
        try:
            return await _open(transport, url, open_timeout_s, close_timeout_s)
        except TurnedAwayError as away:
            if not away.moved_to:
                raise
            get_logger().warning("feed_redirected", why=str(away))
            url = away.moved_to
        await permit()
    return await _open(transport, url, open_timeout_s, close_timeout_s)


async def _open(transport: str, url: str, open_timeout_s: float, close_timeout_s: float) -> Socket:
    if transport == TRANSPORT_PICOWS:
        from collector_worker.connection.transport.with_picows import open_picows

        return await open_picows(url, open_timeout_s, close_timeout_s)
    from collector_worker.connection.transport.with_websockets import open_websockets

    return await open_websockets(url, open_timeout_s, close_timeout_s)
