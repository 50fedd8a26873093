"""The exchange's time comes from a question alone, the quickest of several; a slow one moves nothing that may be so."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.app import Worker
from collector_worker.exchanges.okx import Okx
from collector_worker.health.clock_offset import QUESTIONS, ClockOffset, Sample, offset_of
from collector_worker.rest.client import RestClient
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.settings import WorkerSettings
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints, Rate
from tests.support import okx_wire
from tests.support.http_server import HttpServer, answer
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S, until
from tests.support.ways import FREE, FreePermits, free_rest
from tests.support.worker_rig import a_ticker, heartbeat, instruments, running
from tests.support.ws_server import ScriptedServer
from tickfleet._util.clock import SystemClock
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError

CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,))


@pytest.mark.parametrize(
    ("samples", "known_ms", "expected"),
    [
        ([(7, 0.02)], 0, 7),
        ([(-200, 0.5), (3, 0.1), (90, 0.25)], 0, 3),
        ([(-140, 0.3)], 0, -140),
        ([(-200, 0.41)], 0, None),  # with 0 as it is, the answer was merely slow
        ([(-200, 0.41), (390, 0.8)], 0, None),
        ([(-200, 0.41)], 30, -200),  # 30 cannot be
        ([(3_600_000, 1.5)], 0, 3_600_000),
        ([(3_600_000, 2.1)], 0, None),
    ],
)
def test_the_fastest_clock_sample_wins_and_a_slow_one_only_sets_bounds(
    samples: list[tuple[int, float]], known_ms: int, expected: int | None
) -> None:
    assert offset_of([Sample(*sample) for sample in samples], known_ms) == expected


class Exchange:
    """Tells the time after so many seconds each (and the list of instruments), on connections that it keeps open."""

    def __init__(self, waits_s: Sequence[float], ahead_ms: int = 0, *, keeps: bool = True) -> None:
        self.waits_s, self.ahead_ms, self.keeps = list(waits_s), ahead_ms, keeps
        self.requests = self.opened = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.opened += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/instruments" in head:
                    writer.write(instruments())
                    continue
                self.requests += 1
                now_ms = time.time_ns() // 1_000_000 + self.ahead_ms  # stamped as the question comes
                await asyncio.sleep(self.waits_s.pop(0) if self.waits_s else 0.0)
                end = () if self.keeps else ("Connection: close",)
                writer.write(answer(okx_wire.rest([{"ts": str(now_ms)}]), "200 OK", *end))
                if not self.keeps:
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            writer.close()


async def measured(exchange: Exchange, known_ms: int = 0, rate_limiter: RateLimiter | None = None) -> int:
    """The offset after one measurement."""
    telemetry = Telemetry(CONFIG, 0)
    telemetry.beat.clock_offset_ms = known_ms
    async with asyncio.timeout(PATIENCE_S), await asyncio.start_server(exchange.serve, "127.0.0.1", 0) as server:
        root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await ClockOffset(
            Okx(CONFIG), RestClient(root, rate_limiter or FreePermits(), FREE), telemetry, SystemClock(), 600.0
        ).measure()
    return telemetry.beat.clock_offset_ms


class Busy(FreePermits):
    """Keeps what was asked for, and how many connections there were by then."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange, self.requests = exchange, list[tuple[float, int]]()

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        self.requests.append((units, self.exchange.opened))
        return 0.0


@pytest.mark.parametrize("keeps", [True, False], ids=["open connection", "a connection each"])
async def test_who_waits_for_a_permit_keeps_no_line_open(keeps: bool) -> None:
    exchange = Exchange([0.2, 0.2, 0.2], keeps=keeps)
    rate_limiter = Busy(exchange)
    await measured(exchange, rate_limiter=rate_limiter)
    assert (exchange.requests, rate_limiter.requests) == (3, [(3.0, 0)])


@pytest.mark.parametrize("keeps", [True, False], ids=["open connection", "a connection each"])
async def test_slow_answers_are_passed_over(keeps: bool) -> None:
    exchange = Exchange([0.6, 0.6], keeps=keeps)
    assert abs(await measured(exchange)) <= 150
    assert (exchange.requests, exchange.opened) == (3, 1 if keeps else 3)


async def test_a_machine_where_all_answers_are_slow_keeps_what_it_knows() -> None:
    exchange = Exchange([0.5] * QUESTIONS)
    with pytest.raises(ExchangeUnavailableError, match=r"REST answers too slowly to tell its time \(after \d\.\d s\)"):
        await measured(exchange)


async def test_slow_answers_of_an_exchange_are_no_offset_of_the_local_clock(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    exchange = Exchange([0.8, 0.8, 0.0], ahead_ms=60_000)
    async with (
        asyncio.timeout(PATIENCE_S),
        await asyncio.start_server(exchange.serve, "127.0.0.1", 0) as rest,
        ScriptedServer(a_ticker) as server,
    ):
        root = f"http://127.0.0.1:{rest.sockets[0].getsockname()[1]}"
        endpoints = Endpoints(ws_public=server.url, ws_business=server.url, rest=root)
        config = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,), endpoints=endpoints)
        with capture_logs():
            async with running(Worker(WorkerSettings(config, redis_server.config, "info", tmp_path))):
                await until(lambda: (beat := heartbeat(redis_server)) and beat.clock_offset_ms)
                beat = heartbeat(redis_server)
    assert beat is not None
    assert abs(beat.clock_offset_ms - 60_000) <= 150


async def test_a_clock_that_is_wrong_is_found_whatever_the_answers_take() -> None:
    assert 3_599_000 < await measured(Exchange([0.5] * QUESTIONS, ahead_ms=3_600_000)) < 3_601_000


async def test_an_exchange_that_breaks_off_leaves_what_it_has_told() -> None:
    body = okx_wire.rest([{"ts": "4102444800000"}])
    telemetry = Telemetry(CONFIG, 0)
    async with HttpServer(answer(body), b"") as server:
        await ClockOffset(Okx(CONFIG), free_rest(server.root), telemetry, SystemClock(), 600.0).measure()
    assert telemetry.beat.clock_offset_ms > 1_000_000_000


async def test_what_could_not_be_measured_is_asked_for_again_soon() -> None:
    telemetry = Telemetry(CONFIG, 0)
    busy, told = answer(b"{}", "503 Service Unavailable"), answer(okx_wire.rest([{"ts": "4102444800000"}]))
    async with HttpServer(busy, told) as server:
        with capture_logs() as logs:
            watch = ClockOffset(Okx(CONFIG), free_rest(server.root), telemetry, SystemClock(), 0.5)
            running = asyncio.create_task(watch.run())
            await until(lambda: telemetry.beat.clock_offset_ms)
            running.cancel()
            await asyncio.wait([running])
    assert [line["event"] for line in logs] == ["clock_unmeasured"]
