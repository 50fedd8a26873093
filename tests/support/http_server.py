"""An HTTP server that answers what a test wrote down, byte for byte."""

import asyncio
from types import TracebackType
from typing import Self

from tests.support.serving import Serving

STALL = b"never sent"
"""An answer that never comes."""


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class HttpServer:
    """Answers each connection with the next of the answers (the last one for all after it), then closes it."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        """What was asked: each request's head, line by line."""
        self._serving = Serving(self._serve)
        self._ended = asyncio.Event()
        self.port = 0

    @property
    def root(self) -> str:
        """Address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """The paths that were asked for."""
        return [request.split(" ")[1] for request in self.requests]

    async def __aenter__(self) -> Self:
        self.port = await self._serving.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        await self._serving.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        reply = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(head.decode())
        if reply is STALL:
            await self._ended.wait()
        writer.write(reply)
        await writer.drain()
