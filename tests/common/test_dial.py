import asyncio
import socket
from typing import Any

import pytest

from common.dial import dial
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S


def place(port: int, host: str = "127.0.0.1") -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *places: tuple[Any, ...]) -> None:
    async def answer(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return list(places)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)


async def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolve_to(monkeypatch, place(free_port()), place(port), place(free_port()))
    async with server, asyncio.timeout(PATIENCE_S):
        line = await dial("exchange.test", 1, receive_bytes=64 * 1024)
        with line:
            assert line.getpeername() == ("127.0.0.1", port)
            assert (
                line.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 64 * 1024
            )  # Linux counts its own part, too


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, place(free_port()), place(free_port()))
    with pytest.raises(ConnectionRefusedError):
        await dial("exchange.test", 1)
    resolve_to(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        await dial("exchange.test", 1)


async def test_nothing_stays_open_where_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[socket.socket] = []

    async def connect(line: socket.socket, _: object) -> None:
        dialled.append(line)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await dial("127.0.0.1", 1)
    assert [line.fileno() for line in dialled] == [-1]
