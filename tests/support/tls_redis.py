"""A Redis that speaks TLS, from a configuration as a person writes it."""

import asyncio
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Thread

from deploy.redis_server import find_server
from tests.support.ports import free_port, wait_until
from tests.support.waiting import PATIENCE_S

_NO_TLS = "Failed finding TLS support"


class TlsRedis:
    """The server of this machine, and before it, where it was built without TLS, a front that speaks it.

    Args:
        conf: Its configuration. Of its lines on TLS the front obeys those on port, certificate and key; others end it.
    """

    def __init__(self, conf: Path) -> None:
        server = find_server()
        if server is None:
            raise AssertionError("no Redis server: make setup installs one")
        self._front: _Front | None = None
        self._log = conf.with_suffix(".log").open("wb+")
        lines = dict(line.split(" ", 1) for line in conf.read_text(encoding="utf-8").splitlines())
        self._start_server(server, conf)
        if self._has_ended:
            plain_port = free_port()
            tls = {name: lines.pop(name) for name in list(lines) if name.startswith("tls-")}
            plain = conf.with_suffix(".plain")
            plain.write_text("".join(f"{name} {value}\n" for name, value in {**lines, "port": plain_port}.items()))
            self._start_server(server, plain)
            self._front = _Front(tls, plain_port)

    def _start_server(self, server: Path, conf: Path) -> None:
        self._log.truncate(0)
        self._process = subprocess.Popen([str(server), str(conf)], stdout=self._log, stderr=self._log)
        wait_until(lambda: self._has_ended or "Ready to accept" in self._said(), PATIENCE_S, "it has started")
        if self._has_ended and _NO_TLS not in self._said():
            raise AssertionError(self._said())

    @property
    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def _said(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._front is not None:
            self._front.stop()
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        self._log.close()


class _Front:
    """Hands on what comes by TLS, in a thread of its own."""

    def __init__(self, tls: dict[str, str], plain_port: int) -> None:
        if tls.pop("tls-auth-clients") != "no":
            raise AssertionError("clients are not asked for certificates here")
        tls.pop("tls-ca-cert-file")
        self._port, self._plain_port = int(tls.pop("tls-port")), plain_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(tls.pop("tls-cert-file"), tls.pop("tls-key-file"))
        if tls:
            raise AssertionError(f"unknown here: {sorted(tls)}")
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = asyncio.Event(), asyncio.Event()
        self._thread = Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._ready.wait(), self._loop).result(PATIENCE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _run(self) -> None:
        running = set[asyncio.Task[None]]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._end.is_set():  # it has shaken hands meanwhile
                writer.transport.abort()
                return
            running.add(task := self._loop.create_task(self._serve(reader, writer)))
            task.add_done_callback(running.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", self._port, ssl=self._context)
        self._ready.set()
        await self._end.wait()
        server.close()
        await asyncio.sleep(0)  # what was accepted in this turn of the loop begins
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ = [writer]
        try:
            with suppress(OSError):  # the server behind has gone
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._plain_port)
                open_.append(inner_writer)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_hand_on(reader, inner_writer))
                    tasks.create_task(_hand_on(inner_reader, writer))
        finally:
            for each in open_:
                each.transport.abort()
            for each in open_:
                with suppress(OSError):
                    await each.wait_closed()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it has ended, as by its last byte
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
