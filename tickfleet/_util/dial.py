"""Connects by TCP to the first address of a host name that answers: RFC 8305, "happy eyeballs".

The addresses of a name are tried in turn, IPv6 and IPv4 alternating. Each attempt starts a quarter of a second after
the previous one, or at once if that one failed; the first address that answers wins. So an address that never answers,
e.g. because IPv6 is broken, costs a quarter of a second and not the whole timeout. All our connections are made here,
except those of blocking commands to Redis: there redis-py tries one address after the other by itself.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from tickfleet._util.task_groups import worst_of

ATTEMPT_DELAY_S = 0.25
"""RFC 8305, sections 5 and 8: the recommended Connection Attempt Delay."""

LOOKUP_TIMEOUT_S = 8.0
"""Less than who dials waits, so that a resolver that is away can be told from a host that is; longer than resolvers
wait for the first of their name servers, which is five seconds (``man resolv.conf``)."""

_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What a machine says of a kind of address that it does not have: no news of the host."""

_Place = tuple[Any, ...]
"""Family, kind, protocol, name and address, as ``getaddrinfo`` gives them."""


async def dial(host: str, port: int, *, receive_bytes: int = 0) -> socket.socket:
    """Connect to the first address of a host that answers.

    Args:
        host: Its name or address.
        port: Its port.
        receive_bytes: Limit of unread bytes that the operating system buffers for us; 0: its own choice.

    Raises:
        OSError: No address answers: the last error that tells something about the host. A ``gaierror`` if the name
            cannot be resolved, or not in time.
        ValueError: The host is not a name that can be looked up.
    """
    places = in_turn(await _look_up(host, port))
    if len(places) == 1:
        return await _connect(places[0], receive_bytes)
    return await _race(places, receive_bytes)


async def _look_up(host: str, port: int) -> list[_Place]:
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except TimeoutError as error:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver") from error


def in_turn(places: Sequence[_Place]) -> list[_Place]:
    """The resolver's order, with the address families alternating (RFC 8305, section 4)."""
    families = list(dict.fromkeys(place[0] for place in places))
    rows = [[place for place in places if place[0] == family] for family in families]
    return [place for place in chain.from_iterable(zip_longest(*rows)) if place is not None]


async def _race(places: Iterable[_Place], receive_bytes: int) -> socket.socket:
    won, troubles, attempted = list[socket.socket](), [OSError("no address")], asyncio.Event()

    async def attempt(place: _Place) -> None:
        try:
            won.append(await _connect(place, receive_bytes))
        except OSError as error:
            troubles.append(error)
        attempted.set()

    try:
        async with asyncio.TaskGroup() as group:
            attempts = []
            for place in places:
                attempted.clear()
                attempts.append(group.create_task(attempt(place)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(ATTEMPT_DELAY_S):
                        await attempted.wait()
                if won:
                    break
            while not won and not all(each.done() for each in attempts):
                attempted.clear()
                await attempted.wait()
            for each in attempts:
                each.cancel()
    except BaseException as error:
        for line in won:
            line.close()
        if isinstance(error, BaseExceptionGroup):  # what is no news of the host: as where there is one address
            raise worst_of(error) from error
        raise
    for line in won[1:]:  # too late
        line.close()
    if not won:
        raise next((each for each in reversed(troubles[1:]) if each.errno not in _NO_WAY), troubles[-1])
    return won[0]


async def _connect(place: _Place, receive_bytes: int) -> socket.socket:
    family, kind, protocol, _, address = place
    line = socket.socket(family, kind, protocol)
    try:
        line.setblocking(False)
        if receive_bytes:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(line, address)
    except BaseException:
        line.close()
        raise
    return line
