"""A real fleet under faults: killed, hung and stopped processes, a Redis that goes away, broken configuration."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.support.alert_receiver import AlertReceiver
from tests.support.deployment import Deployment
from tests.support.ports import Patience, wait_until, wait_until_passes
from tests.support.processes import BIN, Process, SimulatorProcess

pytestmark = pytest.mark.system

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
BTC = "okx:BTC-USDT"
TRADES = "md:v1:{okx:BTC-USDT}:trade"
HUNG_AFTER_S = 6
"""For the manager: longer than it is suspended on purpose and then late, on a busy machine."""


def fleet_text(simulator: SimulatorProcess, *symbols: str) -> str:
    collectors = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n' for symbol in symbols)
    return simulator.endpoints + collectors


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--seed", "7", "--trades-per-s", "20")
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def alerts() -> Iterator[AlertReceiver]:
    with AlertReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def _running(simulator: SimulatorProcess, alerts: AlertReceiver) -> Iterator[Deployment]:
    restarts = "[manager]\nrestarts_max = 50\n"  # what the tests do to one collector in a minute is no crash loop
    deployment = Deployment(fleet_text(simulator, *SYMBOLS) + restarts)
    deployment.env["TICKFLEET_ALERT_WEBHOOK"] = alerts.url
    deployment.configure("-m manager.watchdog", f"-m manager.watchdog --hung-after {HUNG_AFTER_S}")
    deployment.start()
    yield deployment
    deployment.stop()


@pytest.fixture
def fleet(_running: Deployment) -> Deployment:
    """The module's fleet, healthy, and its manager acts."""
    _running.wait_healthy()
    wait_until(lambda: leader(_running) == _running.processes()["manager"].pid, 20, "the manager acts")
    return _running


def leader(fleet: Deployment) -> int:
    """The manager that acts, by its heartbeat."""
    return int(fleet.redis.hget("md:v1:fleet:manager", "pid") or 0)


def last_trade(fleet: Deployment) -> str:
    """The id of the newest entry of the trade stream."""
    entries = fleet.redis.xrevrange(TRADES, count=1)
    return entries[0][0] if entries else ""


def wait_for_new_trades(fleet: Deployment, old: int, timeout_s: float) -> int:
    """Wait until a run that is not that of the old process has published trades; its process."""
    within = Patience(timeout_s)
    new = wait_until(lambda: new_pid(fleet, old), within, "a new process")
    seen = last_trade(fleet)  # nothing of the old one can come any more
    wait_until(
        lambda: any(fields["type"] == "trade" for _, fields in fleet.redis.xrange(TRADES, min=f"({seen}")),
        within,
        "a new process, and new trades",
    )
    return new


def new_pid(fleet: Deployment, old: int) -> int:
    """The process of BTC, once it is not the old one; before that 0."""
    pid = fleet.pids()[BTC]
    return pid if pid != old else 0


def trade_ids(fleet: Deployment) -> list[int]:
    return [int(fields["trade_id"]) for _, fields in fleet.redis.xrange(TRADES) if fields["type"] == "trade"]


def test_a_killed_collector_is_back_within_8_s(fleet: Deployment) -> None:
    before = fleet.pids()

    os.kill(before[BTC], signal.SIGKILL)
    new = wait_for_new_trades(fleet, before[BTC], 8)

    assert fleet.pids() == {**before, BTC: new}


def test_a_collector_killed_in_its_first_seconds_is_back_within_8_s(fleet: Deployment) -> None:
    before = fleet.pids()
    os.kill(before[BTC], signal.SIGKILL)
    young = wait_until(lambda: new_pid(fleet, before[BTC]), 8, "a new process")

    os.kill(young, signal.SIGKILL)
    new = wait_for_new_trades(fleet, young, 8)

    assert fleet.pids() == {**before, BTC: new}


def test_a_hung_collector_is_replaced_within_25_s(fleet: Deployment) -> None:
    before = fleet.pids()

    os.kill(before[BTC], signal.SIGSTOP)
    new = wait_for_new_trades(fleet, before[BTC], 25)

    assert fleet.pids() == {**before, BTC: new}
    reasons = [fields for _, fields in fleet.redis.xrange("md:v1:fleet:events") if fields.get("collector") == BTC]
    assert any("heartbeat" in fields.get("why", "") for fields in reasons)


def test_no_trade_is_twice_and_none_out_of_order_after_all_that(fleet: Deployment) -> None:
    ids = trade_ids(fleet)
    assert ids == sorted(set(ids))


def test_redis_restarted_loses_nothing_and_restarts_nobody(fleet: Deployment) -> None:
    before = fleet.pids()
    fleet.redis.config_set("appendfsync", "always")  # else a kill may cost what waits for a slow disk
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

    place = f"{fleet.fleet}: collectors[3] (okx): unknown key 'symbl'; did you mean 'symbol'? (known: data_types, "
    assert (answer.returncode, answer.stderr.startswith(f"manager-cli: {place}")) == (2, True), answer.stderr
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
        wait_until(lambda: "okx:NOPE-USDT" not in fleet.pids(), 20, "it has left the fleet")

    assert "OKX lists no instrument for symbol NOPE-USDT" in row["why"]
    assert "okx:NOPE-USDT" not in fleet.verdicts()
    assert fleet.pids() == before


def test_sigterm_flushes_and_exits_with_0_within_5_s(fleet: Deployment) -> None:
    pid, before = fleet.pids()[BTC], exits(fleet)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the process has ended")
    (exit_line,) = wait_until(lambda: exits(fleet)[len(before) :], 5, "supervisord has told")
    assert "exit status 0" in exit_line
    wait_for_new_trades(fleet, pid, 10)


def exits(fleet: Deployment) -> list[str]:
    """What supervisord has told so far of the ends of BTC's processes."""
    return [line for line in fleet.log("supervisord").splitlines() if "exited: collector-okx-BTC-USDT" in line]


# --- the manager ------------------------------------------------------------------------------------------------------


def journal(fleet: Deployment, what: str) -> list[dict[str, str]]:
    return [fields for _, fields in fleet.redis.xrange("md:v1:fleet:events") if fields["what"] == what]


def silence_s(fleet: Deployment) -> float:
    """How long ago the manager that acts has beaten."""
    return time.time() - int(fleet.redis.hget("md:v1:fleet:manager", "beat_at") or 0) / 1e9


def test_the_figures_are_shown_by_the_manager_and_by_the_command(fleet: Deployment) -> None:
    """A survey is up to 5 s old, a round up to 1 s, and both may still show what another test did to a collector."""
    wait_until_passes(lambda: assert_the_command_shows_figures(fleet.status()), 40)
    wait_until_passes(lambda: assert_the_metrics_are_those_of_the_fleet(fleet), 10)

    assert fleet.page("/healthz") == (200, "ok\n")
    status, page = fleet.status(), json.loads(fleet.page("/status")[1])
    assert page.keys() == status.keys() - {"unapplied", "rival", "redis_trouble"}, (
        "that is a matter of the file and of the address of who asks, at which the manager does not look"
    )
    assert page["manager"]["metrics_port"] == status["manager"]["metrics_port"] == fleet.metrics_port


def assert_the_command_shows_figures(status: dict[str, Any]) -> None:
    assert status["system"].get("redis_used_bytes", 0) > 1_000_000
    assert status["system"]["memory_forecast"]["redis_full_bytes"] > 3 * 30_000_000
    assert status["totals"].get("healthy") == len(SYMBOLS)
    btc = next(row["figures"] for row in status["collectors"] if row["id"] == BTC)
    assert 10 < btc.get("entries_per_s", {}).get("trade", 0) < 80
    assert 10_000_000 < btc["rss_bytes"] < 100_000_000
    assert [stream["kind"] for stream in btc["streams"]] == ["trade", "orderbook", "ticker", "candles", "coverage"]


def assert_the_metrics_are_those_of_the_fleet(fleet: Deployment) -> None:
    code, text = fleet.page("/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert code == 200
    assert [samples["tickfleet_collector_up", f"okx:{symbol}"] for symbol in SYMBOLS] == [1.0] * 3
    assert samples["tickfleet_collector_entries_total", BTC, "trade"] > 0
    assert (samples["tickfleet_manager_leading",], samples["tickfleet_collectors_healthy",]) == (1.0, 3.0)


def test_of_two_managers_one_acts_and_the_other_takes_over(fleet: Deployment, tmp_path: Path) -> None:
    first, before = leader(fleet), fleet.pids()
    second = Process([str(BIN / "manager")], tmp_path / "second.log", fleet.env)
    wait_until(lambda: "is in use; TICKFLEET_METRICS_PORT names another" in second.text(), 10, "it has begun")
    actions = journal(fleet, "action")

    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: silence_s(fleet) > 2, 10, "it was suspended for a while")
    os.kill(first, signal.SIGCONT)
    wait_until(lambda: silence_s(fleet) < 1, 10, "it continues")
    assert (leader(fleet), fleet.pids(), journal(fleet, "action")) == (first, before, actions)

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: leader(fleet) not in (0, first), 12, "another one acts, whichever was quicker")
    assert second.stop() == 0
    wait_until(lambda: leader(fleet) not in (0, second.pid), 5, "the one that supervisord started acts")
    assert (leader(fleet), fleet.pids()) == (fleet.processes()["manager"].pid, before)
    assert journal(fleet, "action") == actions


def test_a_hung_manager_is_killed_and_started_anew(fleet: Deployment, alerts: AlertReceiver) -> None:
    hung, before = leader(fleet), fleet.pids()

    os.kill(hung, signal.SIGSTOP)
    new = wait_until(lambda: fleet.processes()["manager"].pid not in (0, hung), 25, "supervisord has started another")
    wait_until(lambda: leader(fleet) == fleet.processes()["manager"].pid, 10, "it acts")

    assert new
    assert fleet.pids() == before
    assert [int(entry["pid"]) for entry in journal(fleet, "manager_revived")] == [hung]
    assert f'"pid": {hung}' in fleet.log("watchdog")
    wait_until(lambda: "fleet: the manager was revived" in "".join(alerts.texts), 10, "a person hears of it")
