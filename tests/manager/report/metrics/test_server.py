import socket
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from structlog.testing import capture_logs

from manager.report.metrics import server as module
from manager.report.metrics.pages import Page
from manager.report.metrics.server import CLIENTS_MAX, HOST, MetricsServer, read_port
from tests.support.ports import free_port, wait_until
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import InvalidConfigurationError

LARGE = b"x" * 20_000_000
"""More than any buffer of the system takes, so that whoever does not read keeps it waiting."""


def answer(path: str, accept: str) -> Page:
    return Page(200, "text/plain", f"{path} {accept}".encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsServer]:
    monkeypatch.setattr(module, "CLIENT_LIMIT_S", 0.3)
    with MetricsServer(free_port(), answer) as server:
        yield server


def ask(server: MetricsServer, method: str = "GET", path: str = "/a?b") -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPConnection(HOST, server.port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers={"Accept": "text/plain"})
        got = connection.getresponse()
        return got.status, got.read(), dict(got.getheaders())
    finally:
        connection.close()


def raw(server: MetricsServer, sent: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection((HOST, server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(sent)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def test_a_page(server: MetricsServer) -> None:
    headers = {
        "Content-Type": "text/plain",
        "Content-Length": "15",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    assert ask(server) == (200, b"/a?b text/plain", headers)
    assert ask(server, "HEAD") == (200, b"", headers)


@pytest.mark.parametrize(
    ("sent", "first_line"),
    [
        (b"POST /a HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"GET /a HTTP/2\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"\x16\x03\x01\x02\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /a HTTP/1.1\r\nX: " + b"y" * 20_000, b""),
        (b"GET /a HTTP/1.1\r\n", b""),
        (b"", b""),
    ],
)
def test_what_is_no_request_is_turned_away(sent: bytes, first_line: bytes, server: MetricsServer) -> None:
    try:
        got = raw(server, sent)
    except ConnectionResetError:
        got = b""
    assert got.partition(b"\r\n")[0] == first_line
    assert ask(server)[0] == 200


def test_clients_that_do_not_read_are_cut_off_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = list[str]()

    def answer_all(path: str, _: str) -> Page:
        requests.append(path)
        return Page(200, "text/plain", LARGE if path == "/large" else b"small")

    monkeypatch.setattr(module, "CLIENT_LIMIT_S", 0.3)
    with ExitStack() as stack:
        server = stack.enter_context(MetricsServer(free_port(), answer_all))
        slow = [stack.enter_context(socket.create_connection((HOST, server.port))) for _ in range(CLIENTS_MAX)]
        for connection in slow:
            connection.sendall(b"GET /large HTTP/1.1\r\n\r\n")

        wait_until(lambda: requests.count("/large") == CLIENTS_MAX, 5, "they hold all places")
        wait_until(lambda: not server._clients, 5, "their time is over")
        assert ask(server)[0] == 200
        for connection in slow:
            connection.settimeout(5)
            assert len(until_closed(connection)) < len(LARGE)


def test_a_port_in_use_is_told_and_taken_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with capture_logs() as logs, MetricsServer(port, answer) as server:
            why = f"port {port} of the metrics is in use; TICKFLEET_METRICS_PORT names another, or off"
            assert (server.trouble, server.port) == (why, 0)
            other.close()
            wait_until(lambda: server.port, 5, "it listens")
            assert (server.trouble, ask(server)[0]) == ("", 200)
    assert [log["event"] for log in logs] == ["metrics_not_served", "metrics_served"]


def test_at_the_end_the_port_is_free() -> None:
    with MetricsServer(free_port(), answer) as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


@pytest.mark.parametrize(("text", "port"), [("9464", 9464), ("0", 0), ("off", 0), ("65535", 65535)])
def test_ports(text: str, port: int) -> None:
    assert read_port(text) == port


@pytest.mark.parametrize("text", ["65536", "-1", "http", "٣", "1" * 5000, ""])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="neither a port nor off"):
        read_port(text)
