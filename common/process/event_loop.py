"""The event loop of a process that must be able to end at any time, even during a name lookup.

Collectors and the manager run in it, and so do commands that wait for several things at once. All its connections to
host names go through ``tickfleet._util.dial``, including those of libraries.

Why uvloop: a process that wakes up for each frame runs with cold caches each time, and uvloop has only a third of the
code to run (docs/adr/0012-uvloop.md).

Event loops do lookups in threads, and wait for these threads at their end (asyncio before Python 3.12 without a limit,
libuv always). So a hanging resolver would keep the process until it is killed. Here lookups run in daemon threads, and
nothing waits for them. A collector uses threads for nothing else.
"""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any

import uvloop

from tickfleet._util.dial import dial

_Question = tuple[Any, ...]
"""The arguments of ``getaddrinfo``, in its order."""

_Answer = list[Any]


class EventLoop(uvloop.Loop):
    """uvloop's event loop with its own lookups.

    A name that is already being looked up is not looked up again: there are never more threads than names.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[_Question, asyncio.Future[_Answer]] = {}

    async def create_connection(
        self, protocol_factory: Any, host: str | None = None, port: int | None = None, **options: Any
    ) -> Any:
        """See ``asyncio.loop.create_connection``. uvloop's own version looks names up without ``getaddrinfo``."""
        if host is None or port is None or options.get("sock") is not None:
            return await super().create_connection(protocol_factory, host, port, **options)  # type: ignore[arg-type]
        if options.get("ssl") and not options.get("server_hostname"):
            options["server_hostname"] = host
        options["sock"] = await dial(host, port)
        return await super().create_connection(protocol_factory, **options)

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> _Answer:
        """See ``asyncio.loop.getaddrinfo``; raises what ``socket.getaddrinfo`` does."""
        if isinstance(host, str) and isinstance(port, int) and (known := _literal(host, port, family, type, proto)):
            return known
        question = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(question)
        if lookup is None:
            lookup = self._lookups[question] = self.create_future()
            Thread(target=self._look_up, args=(question, lookup), name="lookup", daemon=True).start()
        await asyncio.wait((lookup,))  # unlike ``await lookup`` it does not end for all when one is cancelled
        return lookup.result()

    def _look_up(self, question: _Question, lookup: "asyncio.Future[_Answer]") -> None:
        """Looks a name up in a thread."""
        answer: _Answer | Exception
        try:
            answer = socket.getaddrinfo(*question)
        except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
            answer = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self.call_soon_threadsafe(self._looked_up, question, lookup, answer)

    def _looked_up(self, question: _Question, lookup: "asyncio.Future[_Answer]", answer: _Answer | Exception) -> None:
        del self._lookups[question]
        if isinstance(answer, Exception):
            lookup.set_exception(answer)
            lookup.exception()  # nobody may be waiting any more: that is no error of ours
        else:
            lookup.set_result(answer)


def _literal(host: str, port: int, wanted: int, kind: int, protocol: int) -> _Answer:
    """The answer for a literal address, which needs no resolver; None for a name, or an address with a link."""
    for family, place in ((socket.AF_INET, (host, port)), (socket.AF_INET6, (host, port, 0, 0))):
        with suppress(OSError, ValueError):  # ValueError: not even a text for an address
            socket.inet_pton(family, host)
            local = host.lower().startswith("fe80:")
            return [] if local or wanted not in (0, family) else [(family, kind, protocol, "", place)]
    return []


def run(main: Coroutine[Any, Any, None]) -> None:
    """``asyncio.run`` in this event loop."""
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(main)
