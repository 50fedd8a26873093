import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace

from common.clock import SystemClock
from common.config import ExchangeCollectorConfig
from common.exchanges import Endpoints
from common.identity import DataType
from manager.cli.doctor.visits import addresses, visit_all


class _Dated(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(404)  # sets Date; what the root answers does not matter
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Dated) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


def config(exchange: str = "okx", **endpoints: str) -> ExchangeCollectorConfig:
    return ExchangeCollectorConfig(exchange, "BTC-USDT", (DataType.TRADE,), endpoints=Endpoints(**endpoints))


def test_addresses_are_named_once_and_the_fleet_files_own_come_first() -> None:
    collectors = [
        config(rest="http://127.0.0.1:1/x"),
        replace(config(rest="http://127.0.0.1:1/y"), symbol="ETH-USDT"),
        config("binance"),
    ]
    assert addresses(collectors) == [
        ("okx", "wss://ws.okx.com"),
        ("okx", "http://127.0.0.1:1"),
        ("binance", "wss://stream.binance.com:9443"),
        ("binance", "https://api.binance.com"),
    ]


def test_an_answer_tells_the_time(server: int) -> None:
    (found,) = visit_all([("okx", f"http://127.0.0.1:{server}")], SystemClock())
    assert (found.trouble, found.ahead_s is not None and abs(found.ahead_s) <= 2) == ("", True)


def test_a_socket_is_only_connected_to(server: int) -> None:
    (found,) = visit_all([("okx", f"ws://127.0.0.1:{server}")], SystemClock())
    assert (found.trouble, found.ahead_s) == ("", None)


def test_what_cannot_be_reached(server: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        wanted = [
            ("okx", f"http://127.0.0.1:{port}"),
            ("okx", f"wss://127.0.0.1:{server}"),
            ("okx", "https://name.invalid"),
        ]
        assert [found.trouble for found in visit_all(wanted, SystemClock())] == [
            "it does not answer",
            "its certificate or TLS is not accepted",
            "its name cannot be resolved",
        ]
