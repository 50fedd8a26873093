"""A real manager that must do the right thing, or nothing: crash loops, blindness, suspension, a new supervisord."""

import json
import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess

pytestmark = pytest.mark.system

BTC, ETH, SOL = "okx:BTC-USDT", "okx:ETH-USDT", "okx:SOL-USDT"
"""The last one is not to be restarted by itself."""

TRADES = "md:v1:{okx:BTC-USDT}:trade"
AWAY_S = 14
"""Longer than a heartbeat lives in Redis (10 s), and far longer than one may be old (4 s) before it counts as hung."""


@pytest.fixture(scope="module")
def _running() -> Iterator[Deployment]:
    simulator = SimulatorProcess("--seed", "11", "--trades-per-s", "10")
    names = (BTC, ETH, SOL)
    collectors = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{name.partition(":")[2]}"\n' for name in names)
    deployment = Deployment(
        f"{simulator.endpoints}[manager]\nhung_after_s = 4.0\nrecoveries_max = 2\n"
        f'[defaults]\ndata_types = ["trade"]\n{collectors}auto_restart = false\n'
    )
    deployment.start()
    yield deployment
    deployment.stop()
    assert simulator.stop() == 0


@pytest.fixture
def fleet(_running: Deployment) -> Deployment:
    """The module's fleet, healthy, and its manager acts."""
    _running.wait_healthy()
    wait_until(lambda: _running.redis.hget("md:v1:fleet:manager", "pid"), 20, "the manager acts")
    return _running


def uptimes(fleet: Deployment) -> dict[str, int]:
    """By collector: seconds since its process began."""
    return {name: found.uptime_s for name, found in fleet.processes().items() if name.startswith("collector-")}


def wait_for(fleet: Deployment, seconds: int) -> None:
    """Let the fleet run on for so long, by supervisord's clock."""
    end_s = min(uptimes(fleet).values()) + seconds
    wait_until(lambda: min(uptimes(fleet).values()) >= end_s, seconds + 20, f"{seconds} s have passed")


def wait_for_others(fleet: Deployment, seconds: int) -> None:
    """The same, by a collector that lives: that of others may not."""
    program = "collector-okx-BTC-USDT"
    end_s = uptimes(fleet)[program] + seconds
    wait_until(lambda: uptimes(fleet)[program] >= end_s, seconds + 20, f"{seconds} s have passed")


def hang_until_replaced(fleet: Deployment, collector: str) -> None:
    """Stop its process, and wait for another."""
    pid = fleet.pids()[collector]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: fleet.pids()[collector] not in (0, pid), 45, "the hung one is replaced")


def actions(fleet: Deployment) -> list[str]:
    """What the manager did so far, by the journal."""
    return [
        f"{fields.get('action')} {fields['collector']}"
        for _, fields in fleet.redis.xrange("md:v1:fleet:events")
        if fields["what"] in ("action", "parked")
    ]


def test_a_crash_loop_is_parked_with_the_time_of_its_next_try(fleet: Deployment) -> None:
    before = fleet.pids()
    killed = set[int]()

    def parked() -> bool:
        pid = fleet.pids()[BTC]
        if pid and pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        # from the manager's own page: on a busy machine a command takes so long that a minute sees one crash or two
        (row,) = [row for row in json.loads(fleet.page("/status")[1])["collectors"] if row["id"] == BTC]
        return row["verdict"] == "crash_looping" and "next try at" in row["why"]

    wait_until(parked, 60, "the collector is parked")
    journal = fleet.redis.xrange("md:v1:fleet:events")
    why, *_ = [fields["why"] for _, fields in journal if (fields["what"], fields.get("collector")) == ("parked", BTC)]
    assert re.search("restarted [56] times within 60 s", why), "supervisord's own restarts count, but it asks nobody"
    assert {name: pid for name, pid in fleet.pids().items() if name != BTC} == {
        name: pid for name, pid in before.items() if name != BTC
    }
    assert fleet.cli("start", BTC).returncode == 0
    assert fleet.verdicts()[BTC] in ("healthy", "quiet")


def test_one_that_is_not_to_be_restarted_stays_dead_until_it_is_started(fleet: Deployment) -> None:
    before = fleet.pids()
    os.kill(before[SOL], signal.SIGKILL)
    wait_until(lambda: fleet.verdicts()[SOL] == "dead", 10, "it is dead")
    wait_for_others(fleet, 4)  # several rounds: long enough for any restart
    assert (fleet.verdicts()[SOL], fleet.pids()) == ("dead", {**before, SOL: 0})
    assert fleet.cli("start", SOL).returncode == 0
    assert fleet.verdicts()[SOL] in ("healthy", "quiet")


def test_one_that_no_restart_helps_is_left_alone_for_a_person(fleet: Deployment) -> None:
    for _ in range(2):
        hang_until_replaced(fleet, ETH)
        fleet.wait_healthy()
    pid = fleet.pids()[ETH]
    os.kill(pid, signal.SIGSTOP)

    def given_up() -> bool:
        (row,) = [row for row in fleet.status()["collectors"] if row["id"] == ETH]
        return row["verdict"] == "hung" and "left alone until a person restarts it" in row["why"]

    wait_until(given_up, 45, "the manager is down")
    wait_for_others(fleet, 5)
    assert fleet.pids()[ETH] == pid
    assert fleet.cli("restart", ETH).returncode == 0
    assert fleet.verdicts()[ETH] in ("healthy", "quiet")


def test_an_outage_of_redis_beyond_the_heartbeat_ttl_restarts_nobody(fleet: Deployment) -> None:
    before, done = fleet.pids(), actions(fleet)
    fleet.supervisor.begin_stop("redis")
    wait_for(fleet, AWAY_S)
    assert fleet.cli("status").returncode == 3
    assert fleet.page("/healthz")[0] == 503
    assert {row["verdict"] for row in json.loads(fleet.page("/status")[1])["collectors"]} == {"unknown"}
    fleet.supervisor.start("redis")
    fleet.wait_healthy()
    wait_for(fleet, 12)  # longer than a heartbeat is given before its process counts as hung
    assert (fleet.pids(), actions(fleet)) == (before, done)


def test_a_manager_that_was_suspended_for_as_long_does_nothing_about_it(fleet: Deployment) -> None:
    before, done, manager = fleet.pids(), actions(fleet), fleet.processes()["manager"].pid
    os.kill(manager, signal.SIGSTOP)
    try:
        wait_for(fleet, AWAY_S)
    finally:
        os.kill(manager, signal.SIGCONT)
    wait_until(lambda: fleet.redis.hget("md:v1:fleet:manager", "pid") == str(manager), 15, "the manager acts again")
    wait_for(fleet, 5)
    assert (fleet.pids(), actions(fleet), fleet.processes()["manager"].pid) == (before, done, manager)


def test_a_new_supervisord_goes_on_where_the_old_one_was_killed(fleet: Deployment) -> None:
    before = fleet.pids()
    fleet.kill()
    fleet.start()
    fleet.wait_healthy()
    assert not set(before.values()) & set(fleet.pids().values())
    ids = [int(fields["trade_id"]) for _, fields in fleet.redis.xrange(TRADES) if fields["type"] == "trade"]
    assert ids == list(range(ids[0], ids[-1] + 1)), "each trade once, in order, also those of the time between"
