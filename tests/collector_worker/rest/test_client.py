import asyncio
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.adapter import ExchangeCollector
from collector_worker.rest.client import RestClient
from collector_worker.rest.http import HttpAnswer
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.telemetry.recorder import FrameRecorder
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Rate
from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.capture import Capture, CapturedAnswer, read_capture
from tests.simulator.faults import Rest418, Rest429, Schedule
from tests.simulator.faults_dialect import Request
from tests.simulator.faults_rest import Ask, Served
from tests.simulator.server import Simulator
from tests.support.clock import ManualClock
from tests.support.http_server import HttpServer, answer
from tests.support.waiting import PATIENCE_S
from tests.support.ways import FREE, FreePermits
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import ExchangeUnavailableError, PlaceRefusedError, UnknownSymbolError
from tickfleet.redis.config import RedisConfig

RATE = Rate(per_s=80.0, burst=800.0)
OKX, BINANCE = (
    ExchangeFactory.create_collector(ExchangeCollectorConfig(exchange, "BTC-USDT", (DataType.TRADE,)))
    for exchange in ("okx", "binance")
)


class Counting(FreePermits):
    """Keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.acquired: list[tuple[str, Rate, float]] = []

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        self.acquired.append((kind, rate, units))
        return 0.0


async def fetched(*replies: bytes) -> tuple[str, list[float]]:
    """Why an answer is refused, and the bans that follow from it."""
    rate_limiter = FreePermits()
    async with HttpServer(*replies) as server:
        with pytest.raises(ExchangeUnavailableError) as caught:
            await RestClient(server.root, rate_limiter, FREE).fetch("/path")
    return str(caught.value), rate_limiter.bans_s


async def test_a_call_costs_its_units_and_brings_its_body() -> None:
    rate_limiter = Counting()
    async with HttpServer(answer(b'{"a":1}')) as server:
        client = RestClient(server.root, rate_limiter, RATE)
        answers = await client.fetch("/depth?x=1", 50.0), await client.fetch("/time")
    assert answers == (HttpAnswer(200, b'{"a":1}'), HttpAnswer(200, b'{"a":1}'))
    assert (server.targets, rate_limiter.acquired) == (
        ["/depth?x=1", "/time"],
        [("rest", RATE, 50.0), ("rest", RATE, 1.0)],
    )


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found"])
async def test_an_error_of_the_exchange_is_worth_reading(status: str) -> None:
    async with HttpServer(answer(b'{"code":-1121}', status)) as server:
        assert await RestClient(server.root, FreePermits(), FREE).fetch("/path") == HttpAnswer(
            int(status[:3]), b'{"code":-1121}'
        )


@pytest.mark.parametrize(
    ("reader", "body", "status", "says"),
    [
        (OKX, b"[]", "400 Bad Request", "OKX answered something that is not its protocol (HTTP 400)"),
        (OKX, b'{"x":1}', "401 Unauthorized", "OKX answered something that is not its protocol (HTTP 401)"),
        (OKX, b'{"code":"404","data":[]}', "404 Not Found", "OKX answered with error code 404 (HTTP 404)"),
        (OKX, b'{"code":"0","data":[]}', "404 Not Found", "OKX answered no time (HTTP 404)"),
        (OKX, b"[]", "300 Multiple Choices", "OKX answered something that is not its protocol (HTTP 300)"),
        (OKX, b"[]", "200 OK", "OKX answered something that is not its protocol"),
        (BINANCE, b"[]", "400 Bad Request", "Binance answered with something that is not its protocol (HTTP 400)"),
        (BINANCE, b'{"code":-1003}', "401 Unauthorized", "Binance answered with error code -1003 (HTTP 401)"),
        (BINANCE, b"{}", "407 Proxy", "Binance answered with something that is not its protocol (HTTP 407)"),
        (BINANCE, b'{"code":-1003}', "200 OK", "Binance answered with error code -1003"),
    ],
)
async def test_what_a_reader_refuses_is_told_with_its_status(
    reader: ExchangeCollector, body: bytes, status: str, says: str
) -> None:
    async with HttpServer(answer(body, status)) as server:
        got = await RestClient(server.root, FreePermits(), FREE).fetch("/path")
    with pytest.raises(ExchangeUnavailableError) as refused:
        got.read(reader.read_time_ms)
    assert str(refused.value) == says


def test_an_unlisted_symbol_is_that_with_any_status() -> None:
    unlisted = HttpAnswer(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    with pytest.raises(UnknownSymbolError, match=r"^Binance lists no instrument for symbol BTC-USDT$"):
        unlisted.read(BINANCE.read_instruments)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"])
async def test_trouble_of_the_server(status: str) -> None:
    says = f"REST of 127.0.0.1 has trouble of its own (HTTP {status[:3]})"
    assert await fetched(answer(b"<html>", status)) == (says, [])


@pytest.mark.parametrize(
    ("status", "headers", "ban_s"),
    [
        ("429 Too Many Requests", [], 10.0),
        ("418 I'm a teapot", [], 120.0),
        ("429 Too Many Requests", ["Retry-After: 17"], 17.0),
        ("418 I'm a teapot", ["retry-after: 86400"], 86_400.0),
        ("418 I'm a teapot", ["Retry-After: 999999999"], 3 * 86_400.0),
        ("418 I'm a teapot", ["Retry-After: 99999999999999999999"], 120.0),
        ("429 Too Many Requests", ["Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"], 10.0),
        ("429 Too Many Requests", ["Retry-After: -1"], 10.0),
        ("429 Too Many Requests", ["Retry-After: 0"], 0.0),
        ("429 Too Many Requests", ["Retry-After: 259200"], 3_600.0),
    ],
)
async def test_who_is_turned_away_stays_away(status: str, headers: list[str], ban_s: float) -> None:
    says = f"REST of 127.0.0.1 turned us away for {ban_s:g} s (HTTP {status[:3]})"
    assert await fetched(answer(b"{}", status, *headers)) == (says, [ban_s])


async def test_a_ban_is_one_for_all_processes_of_the_machine(redis_config: RedisConfig) -> None:
    mine, other = (RateLimiter(redis_config, "binance", Random(1)) for _ in range(2))
    async with HttpServer(answer(b"{}", "429 Too Many Requests", "Retry-After: 3000")) as server:
        with capture_logs(), pytest.raises(ExchangeUnavailableError):
            await RestClient(server.root, mine, RATE).fetch("/path")
    waits_s = [(await other._reserve(kind, RATE, 1.0)).pause_s for kind in ("rest", "connect")]
    assert waits_s == pytest.approx([3_000.0, 3_000.0], abs=10.0)


async def test_a_ban_of_one_collector_pauses_all_collectors_of_that_exchange(
    redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two collectors that share nothing but Redis: 429 for a second, then 418 for two; the other one waits as well."""
    heard: list[tuple[float, int]] = []

    async def collector(root: str, number: int) -> None:
        client = RestClient(root, RateLimiter(redis_config, "binance", Random(number)), Rate(per_s=2.0))
        while True:
            try:
                await client.fetch("/api/v3/time")
            except ExchangeUnavailableError:
                continue
            return

    source = BinanceSource(BinanceOptions(instruments=("BTCUSDT",), warmup_ms=1_000), time.time_ns() // 1_000_000)
    faults = (Rest429(for_ms=1_000, retry_after_s=1), Rest418(at_ms=1_000, for_ms=1_900, retry_after_s=2))
    async with asyncio.timeout(PATIENCE_S), Simulator(source) as simulator:
        answer = simulator.gate.answer

        def hear(request: Request, ask: Ask) -> Served:
            served = answer(request, ask)
            heard.append((time.monotonic(), served.answer.status if served.answer else 0))
            return served

        monkeypatch.setattr(simulator.gate, "answer", hear)
        simulator.faults.run(Schedule(seed=1, faults=faults))
        with capture_logs():
            await asyncio.gather(*(collector(simulator.rest, number) for number in range(2)))
    assert [status for _, status in heard] == [429, 418, 200, 200]
    pauses_s = [later - earlier for (earlier, _), (later, _) in pairwise(heard)]
    assert pauses_s[0] >= 1.0
    assert pauses_s[1] >= 2.0


async def test_an_answer_got_another_way_is_heeded_the_same() -> None:
    rate_limiter = FreePermits()
    client = RestClient("http://h", rate_limiter, FREE)
    await client.heed(HttpAnswer(400, b"{}"))
    with pytest.raises(ExchangeUnavailableError, match=r"HTTP 418"):
        await client.heed(HttpAnswer(418, b"{}", 5.0))
    assert rate_limiter.bans_s == [5.0]


async def test_no_answer_at_all() -> None:
    says = "REST of 127.0.0.1 cannot be reached: its answer is no HTTP (RemoteProtocolError)"
    assert await fetched(b"") == (says, [])


@pytest.mark.parametrize(
    ("reply", "says", "bans_s"),
    [
        pytest.param(answer(b"<html>", "403 Forbidden"),
                     "forbids us to ask, as a firewall does; we stay away for 30 s (HTTP 403)", [30.0], id="403"),
        pytest.param(answer(b"{}", "403 Forbidden", "Retry-After: 60"),
                     "forbids us to ask, as a firewall does; we stay away for 60 s (HTTP 403)", [60.0], id="60 s"),
        pytest.param(answer(b"", "301 Moved Permanently", "Location: https://api2.test/api/v3?key=secret"),
                     "has moved to https://api2.test (HTTP 301)", [], id="moved"),
        pytest.param(answer(b"<p>", "302 Found", "location: //user:secret@eea.test:8443/"),
                     "has moved to http://eea.test:8443 (HTTP 302)", [], id="another host"),
        pytest.param(answer(b"", "307 Temporary Redirect", "Location: http://a b/"),
                     "has moved to nowhere (HTTP 307)", [], id="no place"),
        pytest.param(answer(b"", "308 Permanent Redirect", "Location: http://[x"),
                     "has moved to nowhere (HTTP 308)", [], id="no address"),
        pytest.param(answer(b" <!DOCTYPE html><html>"),
                     "answered HTML instead of JSON (HTTP 200)", [], id="a page"),
        pytest.param(answer(b"<html>", "404 Not Found"), "answered HTML instead of JSON (HTTP 404)", [], id="404"),
        pytest.param(answer(b"", "404 Not Found"), "answered nothing instead of JSON (HTTP 404)", [], id="nothing"),
        pytest.param(answer(b"OK"), "answered something else instead of JSON (HTTP 200)", [], id="text"),
    ],
)  # fmt: skip
async def test_a_status_below_500_is_named(reply: bytes, says: str, bans_s: list[float]) -> None:
    assert await fetched(reply) == (f"REST of 127.0.0.1 {says}", bans_s)


async def test_each_http_403_in_a_row_bans_all_calls_for_a_longer_time() -> None:
    rate_limiter = FreePermits()
    client = RestClient("http://h", rate_limiter, FREE)
    for status in (403, 403, 403, 403, 403, 403, 200, 403):
        with suppress(ExchangeUnavailableError):
            await client.heed(HttpAnswer(status, b"{}"))
    assert rate_limiter.bans_s == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 30.0]


async def test_a_place_that_is_not_served_is_no_end_by_one_answer() -> None:
    async with HttpServer(answer(b'{"code":0,"msg":"Service unavailable"}', "451 Unavailable")) as server:
        with pytest.raises(PlaceRefusedError) as refused:
            await RestClient(server.root, FreePermits(), FREE).fetch("/path")
    assert str(refused.value) == (
        "REST of 127.0.0.1 does not serve the place that this machine calls from (HTTP 451): "
        "use an address of the exchange that does, or another place"
    )


async def test_what_fails_stands_in_the_heartbeat_and_degrades_nothing() -> None:
    telemetry = Telemetry(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,)), 0)
    telemetry.feed_is("public", WorkerState.RUNNING, 1)
    telemetry.heard("public")
    async with HttpServer(answer(b"<html>", "403 Forbidden"), answer(b"{}")) as server:
        client = RestClient(server.root, FreePermits(), FREE, None, telemetry)
        with pytest.raises(ExchangeUnavailableError):
            await client.fetch("/path")
        beat = telemetry.snapshot(2, 0.0)
        says = "REST of 127.0.0.1 forbids us to ask, as a firewall does; we stay away for 30 s (HTTP 403)"
        assert (beat.state, beat.last_error) == (WorkerState.RUNNING, says)
        telemetry.trouble("book", "another trouble")
        assert await client.fetch("/path") == HttpAnswer(200, b"{}")
    assert telemetry.beat.last_error == "another trouble"


def recording(folder: Path) -> Capture:
    (path,) = folder.rglob("*.gz")
    return read_capture(path)


async def test_answers_are_recorded_also_those_that_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    recorder = FrameRecorder(tmp_path, CollectorId.parse("binance:BTC-USDT"), clock)
    async with HttpServer(answer(b'{"a":1}'), answer(b"{}", "429 Too Many Requests")) as server:
        client = RestClient(server.root, FreePermits(), FREE, recorder)
        await client.fetch("/api/v3/depth?symbol=BTCUSDT")
        with pytest.raises(ExchangeUnavailableError):
            await client.fetch("/api/v3/time")
    recorder.close()
    assert recording(tmp_path).answers == [
        CapturedAnswer("/api/v3/depth", {"symbol": "BTCUSDT"}, b'{"a":1}'),
        CapturedAnswer("/api/v3/time", {}, b"{}"),
    ]
