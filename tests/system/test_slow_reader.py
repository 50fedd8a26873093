"""A collector that does not move in a fast market: the exchange closes its connection, and nothing is missing."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.soak.check import id_faults, trade_faults
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.system

TRADES = "md:v1:{okx:BTC-USDT}:trade"
HEARTBEAT = "md:v1:{okx:BTC-USDT}:heartbeat"


def test_who_reads_too_slowly_is_closed_and_fetches_what_it_missed(redis_server: RedisServer, tmp_path: Path) -> None:
    market = ("--instruments", "BTC-USDT", "--trades-per-s", "150", "--warmup-s", "1")
    simulator = SimulatorProcess(*market, "--backlog-bytes", "20000")
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "{redis_server.url}"\n{simulator.endpoints}'
        '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\ndata_types = ["trade"]\n'
    )
    worker = start_worker("okx", "BTC-USDT", fleet, tmp_path / "worker.log", TICKFLEET_ROOT=str(tmp_path))
    try:
        wait_until(lambda: redis_server.client.xlen(TRADES) > 100, 20, "trades arrive")
        before = connections(simulator)
        worker.signal(signal.SIGSTOP)
        wait_until(lambda: not connections(simulator) & before, 20, "the exchange has closed its connection")
        missed = newest(simulator)
        worker.signal(signal.SIGCONT)
        wait_until(lambda: last_id(redis_server) > missed, 30, "it has caught up")
        assert worker.stop() == 0, worker.text()
        reconnects = int(redis_server.client.hget(HEARTBEAT, "reconnects"))  # before the heartbeat expires
        entries = redis_server.client.xrange(TRADES)
        record: Any = simulator.get("/sim/trades?instId=BTC-USDT")
    finally:
        worker.stop()
        assert simulator.stop() == 0

    assert id_faults(entries) + trade_faults(entries, record) == []
    assert any(fields.get("origin") == "backfill" for _, fields in entries)
    assert reconnects >= 1


def connections(simulator: SimulatorProcess) -> set[str]:
    rows: Any = simulator.get("/sim/connections")
    return {row["id"] for row in rows}


def newest(simulator: SimulatorProcess) -> int:
    rows: Any = simulator.get("/sim/trades?instId=BTC-USDT")
    return int(rows[-1]["id"])


def last_id(redis: RedisServer) -> int:
    entries = redis.client.xrevrange(TRADES, count=20)
    return next((int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"), 0)
