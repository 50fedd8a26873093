"""A small HTTP server in a thread of its own: it answers while the manager's loop hangs, and costs nothing at rest.

It takes GET and HEAD, reads no body, closes each connection after its answer, and gives each client a few seconds. More
clients at a time than a few are turned away, so that nobody can fill our memory or our file descriptors.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from http import HTTPStatus

from common.process.log import get_logger
from manager.report.metrics.pages import Page
from tickfleet.errors import InvalidConfigurationError

HOST = "127.0.0.1"
CLIENTS_MAX = 16
CLIENT_LIMIT_S = 5.0
HEAD_MAX_BYTES = 8192
RETRY_S = 10.0
"""Between two attempts to listen: the port may be another manager's, which ends some day."""

Answer = Callable[[str, str], Page]
"""Path and ``Accept`` of a request to its page."""


def read_port(text: str) -> int:
    """The port that the environment asks for; 0 for none.

    Raises:
        InvalidConfigurationError: It is no port.
    """
    if text == "off":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise InvalidConfigurationError(f"TICKFLEET_METRICS_PORT is {text!r}, neither a port nor off")
    return int(text)


class MetricsServer:
    """Serves the pages from a thread. Use it as a context manager.

    Attributes:
        trouble: Why it does not listen, a phrase; empty while it does.
        port: Where it listens; 0 while it does not.
    """

    def __init__(self, port: int, answer: Answer) -> None:
        self._wanted, self._answer = port, answer
        self._clients = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        context = copy_context()  # what is on every line of the log
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="metrics", daemon=True)
        self.trouble, self.port = "", 0

    def __enter__(self) -> "MetricsServer":
        self._thread.start()
        self._ready.wait(CLIENT_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CLIENT_LIMIT_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        while not self._stop.is_set():
            try:
                server = await asyncio.start_server(self._client, HOST, self._wanted, limit=HEAD_MAX_BYTES)
            except OSError as error:
                self._cannot_listen(error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._stop.wait()
                continue
            self.trouble, self.port = "", server.sockets[0].getsockname()[1]
            get_logger().info("metrics_served", port=self.port)
            self._ready.set()
            await self._stop.wait()
            server.close()

    def _cannot_listen(self, error: OSError) -> None:
        if not self.trouble:
            taken = "is in use" if error.errno == errno.EADDRINUSE else "cannot be had"
            self.trouble = f"port {self._wanted} of the metrics {taken}; TICKFLEET_METRICS_PORT names another, or off"
            get_logger().warning("metrics_not_served", why=self.trouble, exc_info=error)
        self._ready.set()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= CLIENTS_MAX:
            writer.transport.abort()
            return
        self._clients += 1
        try:
            async with asyncio.timeout(CLIENT_LIMIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._respond(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            return  # whatever it wanted, it does not get it
        finally:
            writer.transport.abort()
            self._clients -= 1

    def _respond(self, head: bytes) -> bytes:
        line, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = line.partition(" ")
        path, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            return _packed(Page(400, "text/plain", b"this is not HTTP/1.1\n"), body=True)
        if method not in ("GET", "HEAD"):
            return _packed(Page(405, "text/plain", b"only GET and HEAD\n"), body=True)
        accept = next((value.strip() for name, _, value in _headers(fields) if name.lower() == "accept"), "")
        return _packed(self._answer(path, accept), body=method == "GET")


def _headers(fields: list[str]) -> list[tuple[str, str, str]]:
    return [field.partition(":") for field in fields]


def _packed(page: Page, *, body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(head).encode("latin-1") + (page.body if body else b"")
