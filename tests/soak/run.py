"""One schedule of faults, drawn from a seed, against one collector; what the streams hold in the end is checked."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from common.coverage import State, decode, intervals
from common.identity import DataType
from tests.soak.check import BookReader, book_faults, candle_faults, id_faults, trade_faults
from tests.support.fault_player import FaultPlayer
from tests.support.ports import wait_until
from tests.support.process_faults import ProcessFault, draw_process_schedule
from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.redis_faults import RedisFault, RedisProxy, draw_redis_schedule
from tests.support.redis_server import RedisServer

DURATION_S = 20
HEALTHY_S = 40.0
SETTLE_S = 90.0
NATIVE = {"okx": "BTC-USDT", "binance": "BTCUSDT"}
_NO_TIMES = ("clock_off",)
_GAPS = ("rest_lost",)


class Report(msgspec.Struct, kw_only=True):
    """What became of one schedule."""

    exchange: str
    seed: int
    kinds: list[str] = []
    trades: int = 0
    backfilled: int = 0
    books: int = 0
    runs: int = 1
    complaints: list[str] = []

    def line(self) -> str:
        """One line for people."""
        verdict = "ok" if not self.complaints else "; ".join(self.complaints[:4])
        counts = f"{self.trades} trades ({self.backfilled} fetched), {self.books} book entries, {self.runs} runs"
        return f"{self.exchange} seed {self.seed}: {counts}: {verdict}"


class Collector:
    """The worker under test; one that dies is started again, as supervisord would."""

    def __init__(self, exchange: str, folder: Path, fleet: Path) -> None:
        self._make: Callable[[int], Process] = lambda number: start_worker(
            exchange, "BTC-USDT", fleet, folder / f"worker-{number}.log", TICKFLEET_ROOT=str(folder)
        )
        self.runs = 0
        self.process = self._start()

    def _start(self) -> Process:
        self.runs += 1
        return self._make(self.runs)

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        return self.process.pid

    def watch(self) -> None:
        """Start it again where it has ended."""
        if self.process.exit_code is not None:
            self.process.stop()
            self.process = self._start()


def run_schedule(seed: int, exchange: str = "okx", duration_s: int = DURATION_S) -> Report:
    """Run one schedule from its seed; a failure can be run again by it."""
    report = Report(exchange=exchange, seed=seed)
    folder = Path(tempfile.mkdtemp(prefix="tf-soak-"))
    server = RedisServer(folder)
    server.start()
    simulator = SimulatorProcess("--exchange", exchange, "--seed", str(seed), "--trades-per-s", "20")
    proxy = RedisProxy(server.port).start()
    try:
        fleet = folder / "fleet.toml"
        fleet.write_text(_fleet(exchange, proxy.port, simulator))
        collector = Collector(exchange, folder, fleet)
        try:
            wait_until(lambda: _healthy(server, collector, exchange), HEALTHY_S, "the collector is healthy at first")
            report.kinds = _suffer(seed, exchange, duration_s, simulator, server, proxy, collector)
            _settle(server, simulator, collector, exchange)
            code = collector.process.stop()
            if code:
                report.complaints.append(f"the collector ended with exit code {code}")
        except AssertionError as error:
            report.complaints.append(str(error))
        finally:
            collector.process.stop()
        report.runs = collector.runs
        _check(report, server, simulator, exchange)
    finally:
        proxy.stop()
        simulator.stop()
        server.stop()
        if report.complaints:
            (folder / "report.json").write_bytes(msgspec.json.encode(report))
        else:
            shutil.rmtree(folder)
    if report.complaints:
        report.complaints.append(f"see {folder}")
    return report


def _fleet(exchange: str, redis_port: int, simulator: SimulatorProcess) -> str:
    base = f"127.0.0.1:{simulator.port}"
    path = ("/ws/v5/public", "/ws/v5/business") if exchange == "okx" else ("", "")
    return (
        f'[redis]\nurl = "redis://127.0.0.1:{redis_port}/0"\n'
        f'[exchanges.{exchange}]\nws_public = "ws://{base}{path[0]}"\nws_business = "ws://{base}{path[1]}"\n'
        f'rest = "http://{base}"\n'
        f'[[collectors]]\nexchange = "{exchange}"\nsymbol = "BTC-USDT"\ncandle_intervals = ["1m"]\n'
    )


def _key(exchange: str, name: str) -> str:
    return f"md:v1:{{{exchange}:BTC-USDT}}:{name}"


def _healthy(server: RedisServer, collector: Collector, exchange: str) -> bool:
    collector.watch()
    beat = server.client.hgetall(_key(exchange, "heartbeat"))
    running = beat.get("state") == "running" and beat.get("book_state") == "valid"
    return running and int(beat["trade_count"]) > 0 and int(beat["pid"]) == collector.pid


def _suffer(
    seed: int,
    exchange: str,
    duration_s: int,
    simulator: SimulatorProcess,
    server: RedisServer,
    proxy: RedisProxy,
    collector: Collector,
) -> list[str]:
    """Let the faults of exchange, Redis and process happen together; their kinds."""
    simulator.get(f"/sim/do/schedule?seed={seed}&duration_s={duration_s}&instruments={NATIVE[exchange]}")
    redis_faults = draw_redis_schedule(seed, duration_s * 1000) if seed % 4 in (1, 2) else ()
    process_faults = draw_process_schedule(seed, duration_s * 1000) if seed % 3 else ()
    stopped: dict[ProcessFault, int] = {}

    def hurt(fault: ProcessFault) -> None:
        stopped[fault] = collector.pid
        fault.begin(collector.pid)

    players: list[FaultPlayer[Any]] = [
        FaultPlayer[RedisFault](
            redis_faults, lambda f: f.begin(proxy, server.client), lambda f: f.end(proxy, server.client)
        ).start(),
        FaultPlayer[ProcessFault](process_faults, hurt, lambda f: f.end(stopped[f])).start(),
    ]

    def over() -> bool:
        collector.watch()
        return all(run["state"] == "done" for run in _runs(simulator))

    wait_until(over, duration_s + 60, "the exchange's faults are over")
    for player in players:
        player.join(duration_s + 60)
    drawn = [fault["fault"]["kind"] for run in _runs(simulator) for fault in run["faults"]]
    return [*drawn, *(f"redis_{f.kind}" for f in redis_faults), *(f.kind for f in process_faults)]


def _runs(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = simulator.get("/sim/faults")  # type: ignore[assignment]
    return runs


def _settle(server: RedisServer, simulator: SimulatorProcess, collector: Collector, exchange: str) -> None:
    """Wait until the collector has caught up with the exchange as it is now."""
    newest = int(_record(simulator, exchange, "trades")[-1]["id"])

    def caught_up() -> bool:
        if not _healthy(server, collector, exchange):
            return False
        last = server.client.xrevrange(_key(exchange, "trade"), count=20)
        numbers = [int(fields["trade_id"]) for _, fields in last if fields["type"] == "trade"]
        return bool(numbers) and numbers[0] >= newest

    wait_until(caught_up, SETTLE_S, "the collector has caught up")


def _record(simulator: SimulatorProcess, exchange: str, page: str, query: str = "") -> Any:
    return simulator.get(f"/sim/{page}?instId={NATIVE[exchange]}{query}")


def _check(report: Report, server: RedisServer, simulator: SimulatorProcess, exchange: str) -> None:
    times = not any(kind in _NO_TIMES for kind in report.kinds)
    gaps = any(kind in _GAPS for kind in report.kinds)
    streams = {
        name: server.client.xrange(_key(exchange, name)) for name in ("trade", "orderbook", "ticker", "candles:1m")
    }
    for entries in streams.values():
        report.complaints += id_faults(entries)
    trades = [fields for _, fields in streams["trade"] if fields["type"] == "trade"]
    report.trades, report.books = len(trades), len(streams["orderbook"])
    report.backfilled = sum(fields["origin"] == "backfill" for fields in trades)
    record = _record(simulator, exchange, "trades")
    report.complaints += trade_faults(streams["trade"], record, times=times, gaps=gaps)
    reader = BookReader().read(streams["orderbook"])
    books = _record(simulator, exchange, "book", f"&seqId={reader.seq}")
    report.complaints += book_faults(reader, books[0] if books else None, 400 if exchange == "okx" else 100)
    report.complaints += candle_faults(
        streams["candles:1m"], _record(simulator, exchange, "candles", "&bar=1m"), gaps=gaps
    )
    ledger = [decode(fields) for _, fields in server.client.xrange(_key(exchange, "coverage"))]
    states = {interval.state for interval in intervals(ledger, DataType.TRADE)}
    allowed = {State.COMPLETE, State.FILLED} | ({State.LOST} if gaps else set())
    if not states <= allowed:
        report.complaints.append(f"the ledger of the trades holds {sorted(state.value for state in states)}")
