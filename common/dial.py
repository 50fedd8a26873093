"""A TCP connection whose name is looked up as ``loop.getaddrinfo`` does it."""

import asyncio
import socket


async def dial(host: str, port: int, *, receive_bytes: int = 0) -> socket.socket:
    """Connect to the first address of a host that answers.

    Args:
        host: Its name or address.
        port: Its port.
        receive_bytes: Bound of what the operating system holds for us unread; 0: its own choice.

    Raises:
        OSError: There is none.
        ValueError: The host is no name that can be looked up.
    """
    loop = asyncio.get_running_loop()
    trouble = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            line = socket.socket(family, kind, protocol)
        except OSError as error:  # a kind of address that this machine does not have
            trouble = error
            continue
        try:
            line.setblocking(False)
            if receive_bytes:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            await loop.sock_connect(line, address)
        except OSError as error:
            trouble = error
            line.close()
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise trouble
