"""The way to an exchange's socket: one small protocol, two libraries that can stand behind it.

Only the chosen library is imported, when the first socket is opened: each costs every process about 4 MiB. In come
bytes, out come whole messages; nothing that knows what they mean may come in.
"""

from collections.abc import Awaitable, Callable

from collector_worker.connection.transport.protocol import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, Socket
from common.config.collector import TRANSPORT_PICOWS
from common.process.log import get_logger
from tickfleet.errors import TurnedAwayError

_REDIRECTS = 3


async def _free() -> None:
    """Nobody counts connections."""


async def open_socket(
    transport: str,
    url: str,
    open_timeout_s: float = OPEN_TIMEOUT_S,
    close_timeout_s: float = CLOSE_TIMEOUT_S,
    *,
    permit: Callable[[], Awaitable[object]] = _free,
) -> Socket:
    """Connect, within ``open_timeout_s``; ``close`` will later take ``close_timeout_s`` at most.

    Without compression: it would cost 50 KiB and several times the CPU per frame. Without pings of the library: each
    exchange has a keep-alive of its own. Without the proxies of the environment, as REST: both go where the fleet file
    says. A ``wss`` address must show a certificate that the system's authorities have signed.

    Args:
        transport: One of ``common.config.collector.TRANSPORTS``.
        url: ``ws://`` or ``wss://``.
        open_timeout_s: From the lookup of the name to the end of the handshake.
        close_timeout_s: See ``Socket.close``.
        permit: Waits until one more connection may be made: each redirect that is followed is one.

    Raises:
        ConnectionLostError: Nobody there, or the handshake was turned away.
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
