"""A Redis of canned answers, for refusals that a real one gives only in rare states."""

import asyncio
import re
from types import TracebackType

_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n(?:\$\d+\r\n[^\r]*\r\n)*")


class CannedRedis:
    """Answers ``+OK`` to each command, except to those that it has an answer for. Short text commands only."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._answers = answers
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> "CannedRedis":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while received := await reader.read(65_536):
                for name in _COMMAND.findall(received):
                    writer.write(self._answers.get(name.decode(), b"+OK\r\n"))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
