import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import PROFILES, Endpoints, Region
from manager.cli.doctor import visits
from manager.cli.doctor.exchange_places import Place, places
from manager.cli.doctor.visits import visit_all
from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.clock import SystemClock as ExchangeClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.dead_address import resolve, swallowing
from tests.support.waiting import PATIENCE_S
from tickfleet._util.clock import SystemClock
from tickfleet.contract.identity import DataType


class _Exchange(BaseHTTPRequestHandler):
    """A socket at /ws, an answer at /api/v5/public/time, and each status under its own number."""

    def do_GET(self) -> None:
        status = 101 if self.path == "/ws" and self.headers["Upgrade"] == "websocket" else 404
        if self.path.removesuffix("/api/v5/public/time") == "":
            status = 200
        elif self.path[1:4].isdigit():
            status = int(self.path[1:4])
        self.send_response(status)  # sets Date
        self.send_header("Location", "https://elsewhere.example.com/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Exchange) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


@contextmanager
def refused_port() -> Iterator[int]:
    """One that nobody listens on, as long as it is held."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


def rest(url: str) -> Place:
    return Place(exchange="okx", field="rest", url=url, probe="/api/v5/public/time")


def ws(url: str) -> Place:
    return Place(exchange="okx", field="ws_public", url=url, probe="")


def troubles(*wanted: Place) -> list[str]:
    return [found.trouble for found in visit_all(wanted, SystemClock())]


def test_an_answer_tells_the_time(server: int) -> None:
    (found,) = visit_all([rest(f"http://127.0.0.1:{server}")], SystemClock())
    assert (found.trouble, found.ahead_s is not None and abs(found.ahead_s) <= 2) == ("", True)


def test_a_socket_is_opened_at_its_path(server: int) -> None:
    assert troubles(ws(f"ws://127.0.0.1:{server}/ws"), ws(f"ws://127.0.0.1:{server}/wss")) == [
        "",
        "HTTP 404: it has nothing at this path",
    ]


def test_what_cannot_be_reached_is_told_by_its_cause(server: int) -> None:
    with refused_port() as port:
        found = troubles(
            rest(f"http://127.0.0.1:{port}"),
            ws(f"ws://127.0.0.1:{port}"),
            ws(f"wss://127.0.0.1:{server}/ws"),
            rest("https://name.invalid"),
            rest("https://a..b"),
            rest(f"http://127.0.0.1:{server}/451"),
            ws(f"ws://127.0.0.1:{server}/403"),
            rest(f"http://127.0.0.1:{server}/301"),
        )
        assert found[0] == "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
        without_codes = [each.partition(" (")[0].removesuffix(": the name server does not answer") for each in found]
        assert without_codes == [
            "it refuses the connection",
            "it refuses the connection",
            "it does not agree on TLS",
            "its name cannot be resolved",
            "that cannot be the name of a host",
            "HTTP 451: it does not serve the place that this machine calls from",
            "HTTP 403: it forbids us to ask, as a firewall does",
            "HTTP 301: it has moved to https://elsewhere.example.com",
        ]


def test_one_that_says_nothing_or_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.create_server(("127.0.0.1", 0)) as other:

        def hang_up() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert troubles(rest(f"http://127.0.0.1:{mute.getsockname()[1]}")) == ["no answer in time (TimeoutError)"]
        assert troubles(rest(f"http://127.0.0.1:{other.getsockname()[1]}")) == ["its answer is no HTTP (BadStatusLine)"]
        thread.join()


def test_an_address_that_swallows_all_hides_none_that_answers(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "LIMIT_S", PATIENCE_S)  # what one dead address would take alone
    with swallowing(server) as dead, swallowing(server, "127.0.0.3") as dead_too:
        resolve(monkeypatch, "exchange.test", dead, dead_too, "127.0.0.1")
        found = visit_all(
            [rest(f"http://exchange.test:{server}"), ws(f"ws://exchange.test:{server}/ws")], SystemClock()
        )
    assert [(visit.trouble, visit.took_s < PATIENCE_S) for visit in found] == [("", True), ("", True)]


def test_where_one_fails_another_that_answers_is_named(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused_port() as port:

        def region(number: int) -> Region:
            endpoints = Endpoints(ws_public=f"ws://127.0.0.1:{number}/ws", rest=f"http://localhost:{number}")
            return Region(endpoints=endpoints, checked="2026-11", source="here")

        regions = {"global": region(port), "eea": region(server)}
        monkeypatch.setitem(PROFILES, "okx", replace(PROFILES["okx"], regions=regions))
        wanted = [ws(f"ws://127.0.0.1:{port}/ws"), rest(f"http://127.0.0.1:{port}"), ws(f"ws://127.0.0.1:{server}/ws")]
        found = visit_all(wanted, SystemClock())
        assert [other and (other.setting, other.known) for other in (visit.instead for visit in found)] == [
            (f'ws_public = "ws://127.0.0.1:{server}/ws"', "as of 2026-11: here"),
            None,  # it is not the exchange's: its REST is at localhost here
            None,
        ]


async def test_simulated_exchanges_are_reached_as_collectors_reach_them() -> None:
    now_ms = ExchangeClock().now_ms()
    okx = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=1), now_ms)
    binance = BinanceSource(BinanceOptions(instruments=("BTCUSDT",), warmup_ms=1), now_ms)
    async with Simulator(okx) as one, Simulator(binance) as two:
        endpoints = {
            "okx": Endpoints(ws_public=one.ws_public, ws_business=one.ws_business, rest=one.rest),
            "binance": Endpoints(ws_public=f"ws://127.0.0.1:{two.port}", rest=two.rest),
        }
        wanted = places(
            ExchangeCollectorConfig(name, "BTC-USDT", (DataType.TRADE,), endpoints=each)
            for name, each in endpoints.items()
        )
        found = await asyncio.to_thread(visit_all, wanted, SystemClock())
    assert [(visit.place.field, visit.trouble) for visit in found] == [
        ("ws_public", ""), ("ws_business", ""), ("rest", ""), ("ws_public", ""), ("rest", ""),
    ]  # fmt: skip
