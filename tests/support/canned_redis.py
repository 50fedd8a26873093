"""A Redis of canned answers, for refusals that a real one gives only in rare states."""

import asyncio
import re
import ssl
from types import TracebackType

from tests.support.serving import Serving

_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n(?:\$\d+\r\n[^\r]*\r\n)*")


class CannedRedis:
    """Answers ``+OK`` to each command, except to those that it has an answer for. Short text commands only."""

    def __init__(self, answers: dict[str, bytes], tls: ssl.SSLContext | None = None) -> None:
        self._answers = answers
        self._serving = Serving(self._serve, tls)
        self.url = ""
        self.port = 0
        self.connections = 0
        """How many came so far."""
        self.heard = b""
        """What they said, one after the other."""

    async def __aenter__(self) -> "CannedRedis":
        self.port = await self._serving.listen()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while received := await reader.read(65_536):
            self.heard += received
            for name in _COMMAND.findall(received):
                writer.write(self._answers.get(name.decode(), b"+OK\r\n"))
            await writer.drain()
