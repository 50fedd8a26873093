import asyncio
import errno
import socket
from typing import Any

import pytest

from tests.support.dead_address import resolve, swallowing
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S
from tickfleet._util import dial as dialling
from tickfleet._util.dial import dial, in_turn


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
    begun = asyncio.Event()

    async def connect(line: socket.socket, _: object) -> None:
        dialled.append(line)
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    attempt = asyncio.create_task(dial("127.0.0.1", 1))
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert [line.fileno() for line in dialled] == [-1]


async def test_an_address_that_swallows_all_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    with swallowing(port) as dead, swallowing(port, "127.0.0.3") as dead_too:
        resolve(monkeypatch, "exchange.test", dead, dead_too, "127.0.0.1", "127.0.0.4")
        began_s = loop.time()
        async with server, asyncio.timeout(PATIENCE_S):
            with await dial("exchange.test", port) as line:
                assert line.getpeername() == ("127.0.0.1", port)
    assert 2 * dialling.ATTEMPT_DELAY_S <= loop.time() - began_s < PATIENCE_S / 2


async def test_what_came_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answer in the same moment; one of them is taken, and the other does not stay open."""
    made: list[socket.socket] = []
    go = asyncio.Event()

    async def connect(line: socket.socket, _: object) -> None:
        made.append(line)
        if len(made) == 2:
            go.set()
        await go.wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    resolve_to(monkeypatch, place(1), place(2))
    async with asyncio.timeout(PATIENCE_S):
        with await dial("exchange.test", 1) as taken:
            assert sorted(line.fileno() == -1 for line in made) == [False, True]
            assert taken in made
    assert len(made) == 2


async def test_a_dial_that_is_cancelled_closes_all_that_it_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with swallowing(port := free_port()) as dead, swallowing(port, "127.0.0.3") as dead_too:
        resolve(monkeypatch, "exchange.test", dead, dead_too)
        made: list[socket.socket] = []
        truly = asyncio.get_running_loop().sock_connect

        async def connect(line: socket.socket, address: Any) -> None:
            made.append(line)
            await truly(line, address)

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * dialling.ATTEMPT_DELAY_S):
                await dial("exchange.test", port)
        assert [line.fileno() for line in made] == [-1, -1]


@pytest.mark.parametrize(
    ("families", "order"), [("66644", "64646"), ("4446", "4644"), ("444", "444"), ("", "")], ids=str
)
def test_families_alternate_beginning_with_the_resolvers_choice(families: str, order: str) -> None:
    kinds = {"4": socket.AF_INET, "6": socket.AF_INET6}
    given = [(kinds[each], number) for number, each in enumerate(families)]
    assert [next(name for name in kinds if kinds[name] == each[0]) for each in in_turn(given)] == list(order)
    assert sorted(in_turn(given)) == sorted(given)


async def test_a_resolver_that_is_away_is_told_from_a_host_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    monkeypatch.setattr(dialling, "LOOKUP_TIMEOUT_S", 0.01)
    with pytest.raises(socket.gaierror) as away:
        await dial("exchange.test", 1)
    assert away.value.errno == socket.EAI_AGAIN


async def test_what_a_machine_has_no_way_to_hides_no_news_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter((ConnectionRefusedError(errno.ECONNREFUSED, "no"), OSError(errno.ENETUNREACH, "no way")))

    async def connect(*_: object) -> None:
        raise next(errors)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    resolve_to(monkeypatch, place(1), place(2))
    with pytest.raises(ConnectionRefusedError):
        await dial("exchange.test", 1)


async def test_a_fault_of_ours_comes_out_as_it_is_from_one_address_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> None:
        raise OverflowError("port must be 0-65535")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    for count in (1, 2):
        resolve_to(monkeypatch, *[place(1)] * count)
        with pytest.raises(OverflowError):
            await dial("exchange.test", 1)
