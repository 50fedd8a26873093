"""A name with an address that swallows what is sent to it, as where IPv6 is broken, and another one that answers."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

DEAD = "127.0.0.2"
"""The loopback network has more addresses than the one where servers of tests listen (Linux)."""

_CALLERS = 8
"""More than a queue of one takes."""


@contextmanager
def swallowing(port: int, host: str = DEAD) -> Iterator[str]:
    """An address whose queue of new connections is full: who knocks hears nothing, not even a refusal."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen(0)
        for _ in range(_CALLERS):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex((host, port))
        yield host


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, *hosts: str) -> None:
    """Have a name stand for these addresses, in this order."""
    truly = socket.getaddrinfo

    def answer(host: Any, port: Any, *more: Any, **options: Any) -> list[Any]:
        if host != name:
            return truly(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
