import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from common.process import event_loop
from tests.support.waiting import PATIENCE_S, until

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]


class Resolver:
    """Answers when it is ordered to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.lookups: list[tuple[Any, ...]] = []
        self.answer: list[Any] | Exception = ANSWER
        self.go = threading.Event()

    def getaddrinfo(self, *question: object) -> list[Any]:
        self.lookups.append(question)
        self.go.wait(PATIENCE_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    return made


async def look_up(host: str = "exchange.test") -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)


def test_it_answers_as_the_resolver_does() -> None:
    async def main() -> None:
        assert await look_up("localhost") == socket.getaddrinfo("localhost", 443, type=socket.SOCK_STREAM)

    event_loop.run(main())


def test_equal_lookups_share_one_query_that_survives_a_cancelled_caller(resolver: Resolver) -> None:
    async def main() -> None:
        asking = [asyncio.ensure_future(look_up(host)) for host in ("a.test", "a.test", "b.test", "a.test")]
        await until(lambda: len(resolver.lookups) == 2)
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        resolver.go.set()
        assert await asyncio.gather(*asking[1:]) == [ANSWER] * 3
        assert asking[0].cancelled()
        assert await look_up("a.test") == ANSWER

    event_loop.run(main())
    assert sorted(question[:4] for question in resolver.lookups) == [
        (host, 443, 0, socket.SOCK_STREAM) for host in ("a.test", "a.test", "b.test")
    ]


@pytest.mark.parametrize(
    ("host", "wanted", "answer"),
    [
        ("127.0.0.1", 0, [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 443))]),
        ("::1", socket.AF_INET6, [(socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 443, 0, 0))]),
        ("127.0.0.1", socket.AF_INET6, ANSWER),  # not of this kind: the resolver may say so
        ("fe80::1%lo", 0, ANSWER),  # the link is part of it
        ("fe80::1", 0, ANSWER),
        ("exchange.test", 0, ANSWER),
    ],
)
def test_an_address_needs_no_resolver(resolver: Resolver, host: str, wanted: int, answer: list[Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo(host, 443, family=wanted, type=socket.SOCK_STREAM) == answer

    resolver.go.set()
    event_loop.run(main())
    assert bool(resolver.lookups) is (answer is ANSWER)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_what_the_resolver_raises_reaches_who_asks(resolver: Resolver, error: Exception) -> None:
    async def main() -> None:
        with pytest.raises(type(error)):
            await look_up()

    resolver.answer = error
    resolver.go.set()
    event_loop.run(main())


def test_an_error_that_nobody_waits_for_is_no_error(resolver: Resolver, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await look_up()
        resolver.go.set()
        await until(lambda: not [thread for thread in threading.enumerate() if thread.name == "lookup"])

    resolver.answer = OSError("late")
    event_loop.run(main())
    assert caplog.records == []


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_loop_ends_while_a_lookup_hangs(resolver: Resolver) -> None:
    async def main() -> None:
        async with asyncio.timeout(0.01):
            await look_up()

    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        event_loop.run(main())
    assert time.monotonic() - began_s < PATIENCE_S / 2
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "lookup"]
    assert thread.daemon
    resolver.go.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
