"""The fleet file of a measurement."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import read_environment
from common.config.exchanges import Endpoints
from common.config.fleet_file import load_fleet
from tests.bench.party import entries_added, fleet_text, last_number
from tickfleet.contract.identity import DataType


@pytest.mark.parametrize(("tls", "web", "http"), [(False, "ws", "http"), (True, "wss", "https")])
def test_the_fleet_file_is_one_that_a_collector_takes(tmp_path: Path, tls: bool, web: str, http: str) -> None:
    load: Any = SimpleNamespace(port=7777, tls=tls)
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text("redis://127.0.0.1:7001/0", load, ["trade"], "websockets"), encoding="utf-8")
    sockets = f"{web}://127.0.0.1:7777/ws/v5"
    (found,) = load_fleet(path, read_environment()).collectors
    assert found == ExchangeCollectorConfig(
        exchange="okx",
        symbol="BTC-USDT",
        data_types=(DataType.TRADE,),
        transport="websockets",
        endpoints=Endpoints(
            ws_public=f"{sockets}/public", ws_business=f"{sockets}/business", rest=f"{http}://127.0.0.1:7777"
        ),
    )


def test_progress_is_read_from_what_redis_says_of_a_stream() -> None:
    facts: dict[bytes, bytes | int] = {b"entries-added": 5, b"last-generated-id": b"1700000000000-42"}
    assert (entries_added(facts), last_number(facts)) == (5, 42)
