"""Why an exchange cannot be reached is reported alike by REST and both socket libraries, in a collector's loop."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from collector_worker.connection.transport import open_socket
from collector_worker.rest import http as rest
from common.config.collector import TRANSPORTS
from common.process import event_loop
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import ConnectionLostError, ExchangeUnavailableError

AUTHORITY = trustme.CA()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Place = AbstractAsyncContextManager[tuple[str, int]]


@asynccontextmanager
async def served(certificate: trustme.LeafCert | None) -> AsyncIterator[tuple[str, int]]:
    """Somebody who hangs up; over TLS with a certificate."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
        yield "127.0.0.1", server.sockets[0].getsockname()[1]


@asynccontextmanager
async def nowhere(host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    """Nobody."""
    yield host, free_port()


def no_name(*_: object) -> None:
    """A resolver that knows the name of nothing."""
    raise socket.gaierror(socket.EAI_NONAME, "hunter2")


def no_socket(*_: object) -> None:
    """A machine that gives no socket."""
    raise OSError(errno.EMFILE, "hunter2")


CAUSES: dict[str, tuple[Callable[[], Place], str]] = {
    "expired": (
        lambda: served(AUTHORITY.issue_cert("127.0.0.1", not_after=LONG_AGO)),
        "its certificate has expired (SSLCertVerificationError, code 10)",
    ),
    "another host": (
        lambda: served(AUTHORITY.issue_cert("127.0.0.2")),
        "its certificate is for another host (SSLCertVerificationError, code 64)",
    ),
    "another authority": (
        lambda: served(trustme.CA().issue_cert("127.0.0.1")),
        "its certificate comes from an authority that this machine does not trust (SSLCertVerificationError, code 20)",
    ),
    "no TLS": (lambda: served(None), "it does not agree on TLS (SSLError, WRONG_VERSION_NUMBER)"),
    "refused": (nowhere, "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"),
    "no name": (lambda: nowhere("no.test"), "its name cannot be resolved (gaierror, EAI_NONAME)"),
    "no descriptors": (
        nowhere,
        "this process may open no more files or sockets (its limit of file descriptors) (OSError, EMFILE)",
    ),
}


async def ask(way: str, place: str) -> None:
    """Try to reach somebody."""
    if way == "rest":
        await rest.get(f"https://{place}", "/")
    else:
        await open_socket(way, f"wss://{place}/")


@pytest.mark.parametrize("way", ["rest", *TRANSPORTS])
@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_is_told_apart(cause: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = tmp_path / "authorities.pem"
    AUTHORITY.cert_pem.write_to_path(str(authorities))
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    place, says = CAUSES[cause]

    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S), place() as (host, port):
            if cause == "no name":
                monkeypatch.setattr(socket, "getaddrinfo", no_name)
            if cause == "no descriptors":
                monkeypatch.setattr(
                    "tickfleet._util.dial.socket", SimpleNamespace(**{**vars(socket), "socket": no_socket})
                )
            with pytest.raises((ConnectionLostError, ExchangeUnavailableError)) as lost:
                await ask(way, f"{host}:{port}")
            monkeypatch.undo()
        who = f"REST of {host}" if way == "rest" else host
        assert str(lost.value) == f"{who} cannot be reached: {says}"

    event_loop.run(main())
