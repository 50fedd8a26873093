"""A real worker, the simulated exchange, and a replica that takes the place of Redis without the last entries."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.check import Record, id_faults, trade_faults
from tests.support.ports import wait_until
from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.redis_site import RedisSite
from tickfleet.contract.coverage import State, decode, intervals
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.system

PREFIX = "md:v1:{okx:BTC-USDT}:"
WAIT_S = 15.0


@pytest.fixture
def exchange() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--instruments", "BTC-USDT", "--trades-per-s", "100", "--warmup-s", "2")
    yield process
    assert process.stop() == 0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RedisSite]:
    site = RedisSite(tmp_path, replica=True)
    yield site.start()
    site.stop()


def trades(site: RedisSite) -> list[int]:
    """The ids of the trades that the server in use holds."""
    return [int(fields["trade_id"]) for _, fields in site.client.xrange(PREFIX + "trade") if "trade_id" in fields]


def states(site: RedisSite) -> set[State]:
    """What the ledger says of the trades."""
    ledger = [decode(fields) for _, fields in site.client.xrange(PREFIX + "coverage")]
    return {part.state for part in intervals(ledger, DataType.TRADE)}


def record(exchange: SimulatorProcess, first: int, last: int) -> list[Record]:
    page: list[Record] = exchange.get(f"/sim/trades?instId=BTC-USDT&after={first - 1}&limit={last - first + 1}")  # type: ignore[assignment]
    return page


def errors(worker: Process) -> list[str]:
    """What a worker said of its end."""
    lines = [json.loads(line) for line in worker.text().splitlines() if line.startswith("{")]
    return [line["why"] for line in lines if line["event"] == "collector_failed"]


def test_every_trade_is_there_once_after_a_failover_to_an_older_replica(
    tmp_path: Path, site: RedisSite, exchange: SimulatorProcess
) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "redis://127.0.0.1:{site.proxy.port}/0"\n{exchange.endpoints}'
        '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\ndata_types = ["trade", "ticker"]\n'
    )
    first = start_worker("okx", "BTC-USDT", fleet, tmp_path / "first.log", TICKFLEET_ROOT=str(tmp_path))
    second: Process | None = None
    try:
        wait_until(lambda: len(trades(site)) > 30, WAIT_S, "trades")
        site.lose_replica()
        kept = trades(site)[-1]
        wait_until(lambda: trades(site)[-1] > kept + 50, WAIT_S, "trades that the replica does not have")
        confirmed = trades(site)[-1]
        number = int(site.client.get(PREFIX + "writer"))

        site.fail_over()
        assert first.wait(WAIT_S) == 1
        assert errors(first) == ["Redis came back without entries that it had confirmed"]
        assert trades(site)[-1] < confirmed

        second = start_worker("okx", "BTC-USDT", fleet, tmp_path / "second.log", TICKFLEET_ROOT=str(tmp_path))
        wait_until(lambda: trades(site)[-1] > confirmed + 100, WAIT_S, "trades behind the failover")
        wait_until(lambda: State.OPEN not in states(site), WAIT_S, "all that was missing is fetched")
        assert second.stop() == 0
    finally:
        first.stop()
        if second is not None:
            second.stop()

    entries = site.client.xrange(PREFIX + "trade")
    held = trades(site)
    assert trade_faults(entries, record(exchange, held[0], held[-1])) == []
    assert id_faults(entries) == []
    assert held == list(range(held[0], held[-1] + 1))
    fetched = {int(fields["trade_id"]) for _, fields in entries if fields.get("origin") == "backfill"}
    assert fetched >= set(range(kept + 1, confirmed + 1))
    assert int(site.client.get(PREFIX + "writer")) > number
    assert states(site) == {State.COMPLETE, State.FILLED}
