"""A real fleet under faults: killed, hung and stopped processes, a Redis that goes away, broken configuration."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import redis

from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess

pytestmark = pytest.mark.system

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
BTC = "okx:BTC-USDT"
TRADES = "md:v1:{okx:BTC-USDT}:trade"


def fleet_text(simulator: SimulatorProcess, *symbols: str) -> str:
    collectors = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n' for symbol in symbols)
    return simulator.endpoints + collectors


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--seed", "7", "--trades-per-s", "20")
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def _running(simulator: SimulatorProcess) -> Iterator[Deployment]:
    deployment = Deployment(fleet_text(simulator, *SYMBOLS))
    deployment.start()
    yield deployment
    deployment.stop()


@pytest.fixture
def fleet(_running: Deployment) -> Deployment:
    """The module's fleet, healthy."""
    _running.wait_healthy()
    return _running


def last_trade(fleet: Deployment) -> str:
    """The id of the newest entry of the trade stream."""
    entries = fleet.redis.xrevrange(TRADES, count=1)
    return entries[0][0] if entries else ""


def wait_for_new_trades(fleet: Deployment, timeout_s: float) -> None:
    """Wait until live trades of a run that is not the old one have arrived."""
    seen = last_trade(fleet)
    wait_until(
        lambda: any(fields["type"] == "trade" for _, fields in fleet.redis.xrange(TRADES, min=f"({seen}")),
        timeout_s,
        "new trades arrive",
    )


def others(pids: dict[str, int]) -> dict[str, int]:
    return {collector: pid for collector, pid in pids.items() if collector != BTC}


def trade_ids(fleet: Deployment) -> list[int]:
    return [int(fields["trade_id"]) for _, fields in fleet.redis.xrange(TRADES) if fields["type"] == "trade"]


def test_a_killed_collector_is_back_within_8_s(fleet: Deployment) -> None:
    before = fleet.pids()

    os.kill(before[BTC], signal.SIGKILL)
    began_s = time.monotonic()
    wait_for_new_trades(fleet, 8)

    assert time.monotonic() - began_s < 8
    after = fleet.pids()
    assert after[BTC] != before[BTC]
    assert others(after) == others(before)


def test_a_collector_killed_in_its_first_seconds_is_back_within_8_s(fleet: Deployment) -> None:
    before = fleet.pids()
    os.kill(before[BTC], signal.SIGKILL)
    young = wait_until(lambda: new_pid(fleet, before[BTC]), 8, "a new process")

    os.kill(young, signal.SIGKILL)
    wait_for_new_trades(fleet, 8)

    assert fleet.pids()[BTC] not in (before[BTC], young)


def new_pid(fleet: Deployment, old: int) -> int:
    pid = fleet.pids()[BTC]
    return pid if pid not in (0, old) else 0


def test_a_hung_collector_is_replaced_within_25_s(fleet: Deployment) -> None:
    before = fleet.pids()

    os.kill(before[BTC], signal.SIGSTOP)
    wait_for_new_trades(fleet, 25)

    assert not os.path.exists(f"/proc/{before[BTC]}") or before[BTC] not in fleet.pids().values()
    after = fleet.pids()
    assert after[BTC] not in (0, before[BTC])
    assert others(after) == others(before)
    reasons = [fields for _, fields in fleet.redis.xrange("md:v1:fleet:events") if fields.get("collector") == BTC]
    assert any("heartbeat" in fields.get("why", "") for fields in reasons)


def test_no_trade_is_twice_and_none_out_of_order_after_all_that(fleet: Deployment) -> None:
    ids = trade_ids(fleet)
    assert ids == sorted(set(ids))


def test_redis_restarted_loses_nothing_and_restarts_nobody(fleet: Deployment) -> None:
    before = fleet.pids()
    seen = trade_ids(fleet)[-1]

    pid = int(fleet.redis.info("server")["process_id"])
    fleet.redis.close()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: answers(fleet), 20, "supervisord has brought Redis back")
    wait_until(lambda: trade_ids(fleet)[-1] > seen + 40, 20, "trades go on")

    after = [trade_id for trade_id in trade_ids(fleet) if trade_id >= seen]
    assert after == list(range(seen, after[-1] + 1))
    assert fleet.pids() == before


def answers(fleet: Deployment) -> bool:
    try:
        return bool(fleet.redis.ping()) and bool(trade_ids(fleet))
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False


def test_a_typo_in_the_fleet_file_leaves_everything_running(fleet: Deployment) -> None:
    before = fleet.pids()
    good = fleet.fleet.read_text()
    manager = fleet.status()["manager"]["pid"]
    try:
        fleet.fleet.write_text(good + '[[collectors]]\nexchange = "okx"\nsymbl = "TON-USDT"\n')
        os.kill(int(manager), signal.SIGHUP)
        wait_until(lambda: "symbl" in fleet.log("manager"), 10, "the manager has said what is wrong")
        answer = fleet.cli("validate")
    finally:
        fleet.fleet.write_text(good)

    place = f"{fleet.fleet}: collectors[3]: unknown key 'symbl'; did you mean 'symbol'?"
    assert (answer.returncode, answer.stderr) == (2, f"manager-cli: {place}\n")
    assert fleet.pids() == before


def test_an_unknown_symbol_stops_only_itself(fleet: Deployment, simulator: SimulatorProcess) -> None:
    before = fleet.pids()
    good = fleet.fleet.read_text()
    manager = int(fleet.status()["manager"]["pid"])
    try:
        fleet.fleet.write_text(good + '[[collectors]]\nexchange = "okx"\nsymbol = "NOPE-USDT"\n')
        os.kill(manager, signal.SIGHUP)
        wait_until(lambda: fleet.verdicts().get("okx:NOPE-USDT") == "misconfigured", 20, "it is misconfigured")
        row = next(row for row in fleet.status()["collectors"] if row["id"] == "okx:NOPE-USDT")
    finally:
        fleet.fleet.write_text(good)
        os.kill(manager, signal.SIGHUP)
        wait_until(lambda: "okx:NOPE-USDT" not in fleet.verdicts(), 20, "it has left the fleet")

    assert "OKX lists no instrument for symbol NOPE-USDT" in row["why"]
    assert fleet.pids() == before


def test_sigterm_flushes_and_exits_with_0_within_5_s(fleet: Deployment) -> None:
    pid = fleet.pids()[BTC]
    began_s = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the process has ended")
    assert time.monotonic() - began_s < 5
    exits = [line for line in fleet.log("supervisord").splitlines() if "exited: collector-okx-BTC-USDT" in line]
    assert "exit status 0" in exits[-1]
    wait_for_new_trades(fleet, 10)
