"""What the start of a collector takes of its exchange's limits is no more than what the profile says of it."""

import threading
from pathlib import Path
from typing import Any

import pytest

from common.config.exchanges import PROFILES
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.system
TYPES = ("trade", "orderbook", "ticker", "candles")


@pytest.mark.parametrize("exchange", sorted(PROFILES))
def test_a_start_takes_no_more_than_its_profile_says(exchange: str, own_redis: RedisServer, tmp_path: Path) -> None:
    simulator = SimulatorProcess("--exchange", exchange)
    fleet = tmp_path / "fleet.toml"
    ws, rest = f"ws://127.0.0.1:{simulator.port}", f"http://127.0.0.1:{simulator.port}"
    endpoints = f'[exchanges.binance]\nws_public = "{ws}"\nrest = "{rest}"\n'
    place = simulator.endpoints if exchange == "okx" else endpoints
    collector = f'[[collectors]]\nexchange = "{exchange}"\nsymbol = "BTC-USDT"\n'
    fleet.write_text(f'[redis]\nurl = "{own_redis.url}"\n{place}{collector}')
    taken = dict.fromkeys(("connect", "rest"), 0.0)

    def count(monitor: Any) -> None:
        for told in monitor.listen():
            parts = told["command"].split()  # ends with: 2 KEY KEY per-unit burst units probe-first probe-max
            if parts == ["ECHO", "END"]:
                return
            if parts[0] == "EVAL" and len(parts) > 8 and parts[-8] == "2":
                taken[parts[-7].rpartition(":")[2]] += float(parts[-3])

    def beat() -> dict[str, str]:
        found: dict[str, str] = own_redis.client.hgetall(f"md:v1:{{{exchange}:BTC-USDT}}:heartbeat")
        return found

    with own_redis.client.monitor() as monitor:
        watching = threading.Thread(target=count, args=(monitor,))
        watching.start()
        worker = start_worker(exchange, "BTC-USDT", fleet, tmp_path / "worker.log", TICKFLEET_ROOT=str(tmp_path))
        try:
            wait_until(
                lambda: (now := beat()).get("state") == "running" and all(int(now[f"{t}_count"]) for t in TYPES),
                30,
                "all its data flows",
            )
        finally:
            worker.stop()
            simulator.stop()
            own_redis.client.echo("END")
            watching.join(PATIENCE_S)
    known = PROFILES[exchange]
    assert taken["connect"] == known.start_connects
    assert 0 < taken["rest"] <= known.start_rest_units
