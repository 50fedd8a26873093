"""Whole fleets whose Redis is run to be there always: behind a Sentinel, and as a Cluster."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from common.redis.redis_py import SyncRedis, sync_client
from tests.soak.check import Record, id_faults, trade_faults
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess
from tests.support.redis_high import Cluster, Sentinel, running
from tickfleet.contract import keys
from tickfleet.contract.coverage import State, decode, intervals
from tickfleet.contract.identity import CollectorId, DataType

pytestmark = pytest.mark.system

SYMBOLS = ("BTC-USDT", "ETH-USDT")
WAIT_S = 60.0
SERVER_CHECKS = ("redis sentinel", "redis server", "redis node")


@pytest.fixture
def exchange() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--instruments", ",".join(SYMBOLS), "--trades-per-s", "50", "--warmup-s", "2")
    yield process
    assert process.stop() == 0


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Sentinel]:
    sentinel = Sentinel(tmp_path)
    with running(sentinel):
        yield sentinel


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    with running(cluster):
        yield cluster


@pytest.fixture
def fleet(exchange: SimulatorProcess) -> Iterator[Deployment]:
    """A fleet that is not started yet."""
    rows = (f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n' for symbol in SYMBOLS)
    deployment = Deployment(
        exchange.endpoints + '[defaults]\ndata_types = ["trade", "orderbook", "ticker"]\n' + "".join(rows)
    )
    yield deployment
    deployment.stop()


def lengths(client: Any) -> list[int]:
    """How many trades there are of each symbol."""
    return [client.xlen(keys.stream(CollectorId("okx", symbol), DataType.TRADE)) for symbol in SYMBOLS]


def check_all_is_there(client: Any, exchange: SimulatorProcess) -> None:
    """Of both symbols every trade once and in order, with a ledger that says so."""
    for symbol in SYMBOLS:
        entries = client.xrange(keys.stream(CollectorId("okx", symbol), DataType.TRADE))
        held = [int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"]
        after, count = held[0] - 1, len(held)
        record = cast("list[Record]", exchange.get(f"/sim/trades?instId={symbol}&after={after}&limit={count}"))
        assert trade_faults(entries, record) == []
        assert id_faults(entries) == []
        assert held == list(range(held[0], held[-1] + 1))
        ledger = [decode(fields) for _, fields in client.xrange(keys.coverage(CollectorId("okx", symbol)))]
        assert {part.state for part in intervals(ledger, DataType.TRADE)} <= {State.COMPLETE, State.FILLED}


def go_through(
    fleet: Deployment, client: SyncRedis, exchange: SimulatorProcess, fault: Callable[[], object]
) -> dict[str, tuple[str, str]]:
    """The fleet becomes healthy, something happens to its Redis, and it becomes healthy again without a loss.

    Returns what ``doctor`` says then of each server: the check and how bad it is, by the port.
    """
    fleet.start()
    fleet.wait_healthy(WAIT_S)
    fault()

    fleet.wait_healthy(WAIT_S)
    before = lengths(client)
    wait_until(
        lambda: all(now > then + 100 for now, then in zip(lengths(client), before, strict=True)), WAIT_S, "trades"
    )
    said = [each for each in json.loads(fleet.cli("doctor", "--json").stdout) if each["check"] in SERVER_CHECKS]
    assert fleet.cli("restart", "okx:BTC-USDT").returncode == 0
    check_all_is_there(client, exchange)
    return {each["found"].split(": ")[0].rpartition(":")[2]: (each["check"], each["level"]) for each in said}


def served(client: Any) -> list[str]:
    """Where the masters were, one after the other, as the journal tells."""
    entries = client.xrange(keys.FLEET_EVENTS)
    return [fields["serves"].rpartition(" at ")[2] for _, fields in entries if fields["what"] == "redis_serves"]


def test_a_fleet_goes_on_when_a_sentinel_names_another_master(
    sentinel: Sentinel, exchange: SimulatorProcess, fleet: Deployment
) -> None:
    fleet.env["TICKFLEET_REDIS_URL"] = url = sentinel.config.url
    with sync_client(sentinel.config) as client:
        found = go_through(fleet, client, exchange, sentinel.fail_over)
        dead, master = (server.port for server in sentinel.servers)
        nobody = url.partition(":")[2].partition(":")[2].partition(",")[0]
        assert found == {
            nobody: ("redis sentinel", "warning"),
            str(sentinel.port): ("redis sentinel", "ok"),
            str(dead): ("redis server", "warning"),
            str(master): ("redis server", "warning"),  # nobody could take over
        }
        wait_until(
            lambda: len(served(client)) > 1, WAIT_S, "the journal tells of the new master"
        )  # looked at now and then
        assert served(client) == [f"127.0.0.1:{dead}", f"127.0.0.1:{master}"]


def test_a_fleet_goes_on_when_its_keys_move_through_a_cluster(
    cluster: Cluster, exchange: SimulatorProcess, fleet: Deployment
) -> None:
    fleet.env["TICKFLEET_REDIS_URL"] = cluster.config.url

    ports = [node.port for node in cluster.nodes]

    def move() -> None:
        before = fleet.pids()
        for tag in (*(f"{{okx:{symbol}}}" for symbol in SYMBOLS), keys.FLEET_LEASE, keys.FLEET_MANAGER):
            cluster.move(tag)
        assert fleet.pids() == before

    with sync_client(cluster.config) as client:
        found = go_through(fleet, client, exchange, move)
        assert {port: found[port] for port in map(str, ports)} == dict.fromkeys(map(str, ports), ("redis node", "ok"))
