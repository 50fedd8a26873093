"""A TCP proxy in front of a Redis server that breaks connections in all the ways that connections break."""

import asyncio
import re
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_SETUP = re.compile(rb"\*\d+\r\n\$\d+\r\n(HELLO|AUTH|CLIENT|SELECT|READONLY|PING)\r\n", re.IGNORECASE)
_CHUNK_BYTES = 65_536
_CALL_TIMEOUT_S = 40.0
_QUIET_S = 0.02
"""After so long without a byte in either direction a command and its answer are complete."""


class RedisProxy:
    """A TCP proxy on a loopback port, in a thread of its own. Each method has taken effect when it returns.

    Args:
        upstream_port: Port of the server on this machine.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="redis-proxy", daemon=True)
        # Bound but never listening: keeps the port ours while connections are refused.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._links: dict[_Link, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._doom_next = False
        self._delay_s = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.cuts = 0
        """Connections cut so far, by any of the faults."""

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._links)

    def start(self) -> "RedisProxy":
        """Listen; returns itself."""
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """End all connections and the thread. Does nothing the second time."""
        if not self._thread.is_alive():
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._place.close()

    def cut(self) -> None:
        """Cut all connections now."""
        self._call(self._cut_all())

    def cut_after_next_command(self) -> None:
        """Cut the connection that sends the next command once Redis has carried it out: the answer is lost.

        What a client sends in one go, such as a pipeline, counts as one command. What it says to set up a connection,
        and PING, do not count.
        """
        self._doom_next = True  # read by the other thread: one assignment needs no lock

    def refuse(self, *, on: bool) -> None:
        """Refuse new connections, or accept them again. Those that are open stay."""
        self._call(self._close_door() if on else self._listen())

    def slow(self, chunk_ms: int) -> None:
        """Let each chunk of up to 64 KiB wait for a time, in both directions; 0 ends it."""
        self._delay_s = chunk_ms / 1_000

    def hang(self, *, on: bool) -> None:
        """Pass nothing on, or go on; connections stay open, and new ones are accepted."""
        self._call(self._hang(on=on))

    def point_to(self, upstream_port: int) -> None:
        """Lead to another server from now on, as after a failover: all connections are cut."""
        self._upstream_port = upstream_port
        self.cut()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)

    # --- in the thread of the proxy ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bound(self.port))

    async def _close_door(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _hang(self, *, on: bool) -> None:
        if on:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _cut_all(self) -> None:
        for link in [*self._links]:
            link.cut()

    async def _end(self) -> None:
        await self._close_door()
        await self._cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(asyncio.current_task(), writer)
        self._links[link] = None
        try:
            await self._flowing.wait()
            upstream, link.upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, reader, link.upstream, to_redis=True))
                tasks.create_task(self._pump(link, upstream, writer, to_redis=False))
        except* OSError:
            pass  # one end is gone: the other one goes, too
        finally:
            self.cuts += link.is_cut
            link.close()
            del self._links[link]

    async def _pump(
        self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_redis: bool
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flowing.wait()
            if to_redis and self._doom_next and not _SETUP.match(chunk):
                self._doom_next, link.doomed = False, True
            if link.doomed:
                link.pass_doomed(self._loop, to_redis=to_redis)
            if to_redis or not link.doomed:
                writer.write(chunk)
                await writer.drain()
        raise ConnectionResetError("one end closed the connection")


class _Link:
    """A connection and the one behind it."""

    def __init__(self, task: asyncio.Task[None] | None, client: asyncio.StreamWriter) -> None:
        self._task = task
        self._client = client
        self.upstream: asyncio.StreamWriter | None = None
        self.doomed = False
        """The answer to its last command is kept from the client; then it is cut."""
        self.is_cut = False
        self._answered = False
        self._last: asyncio.TimerHandle | None = None

    def pass_doomed(self, loop: asyncio.AbstractEventLoop, *, to_redis: bool) -> None:
        """Note a chunk after the doom: the end comes once Redis has begun to answer and nothing more moves."""
        self._answered = self._answered or not to_redis
        if self._last is not None:
            self._last.cancel()
        if self._answered:
            self._last = loop.call_later(_QUIET_S, self.cut)

    def cut(self) -> None:
        """End it without a word."""
        self.is_cut = True
        for writer in (self._client, self.upstream):
            if writer is not None:
                writer.transport.abort()
        if self._task is not None:  # it may wait for something else than the connection
            self._task.cancel()

    def close(self) -> None:
        """End it in an orderly way."""
        if self._last is not None:
            self._last.cancel()
        for writer in (self._client, self.upstream):
            if writer is not None:
                writer.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
