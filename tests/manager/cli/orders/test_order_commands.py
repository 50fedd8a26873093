import json
from typing import Any

import pytest
from msgspec.structs import replace

from manager.cli.context import login_name
from manager.model.processes import ProcessState
from manager.supervisord.client import Fault
from tests.manager.cli.managed import ManagedStage, timeless
from tickfleet.contract import keys

ME = login_name()
BTC, ETH, SOL = "okx:BTC-USDT", "okx:ETH-USDT", "okx:SOL-USDT"


def override_of(stage: ManagedStage, collector: str) -> dict[str, Any]:
    """The entry of a collector without its time; empty where there is none."""
    text = stage.overrides().get(collector)
    override: dict[str, Any] = json.loads(text) if text else {}
    override.pop("at", None)
    return override


def test_a_stop_lasts_until_a_start_and_touches_no_other(managed: ManagedStage) -> None:
    managed.supervisor.calls.clear()
    result = managed.run("stop", BTC, "--why", "moved")
    assert managed.supervisor.calls == [("stop", "collector-okx-BTC-USDT")], "supervisord need not read its files"
    assert (result.exit_code, timeless(result.stdout), result.stderr) == (
        0,
        f"{BTC}: done: stopped after a while\n",
        "",
    )
    assert managed.pids() == {"BTC-USDT": 0, "ETH-USDT": 102, "SOL-USDT": 0}
    assert override_of(managed, BTC) == {"who": ME, "why": "moved", "state": "stopped"}
    managed.stop_manager()
    managed.start_manager()
    assert managed.pids() == {"BTC-USDT": 0, "ETH-USDT": 102, "SOL-USDT": 0}
    told = next(line for line in managed.run("status").stdout.splitlines() if line.startswith(BTC))
    assert f"stopped by {ME} at 2027-01-15 08:00 UTC: moved" in told

    result = managed.run("start", BTC)
    assert (result.exit_code, timeless(result.stdout)) == (0, f"{BTC}: done: running after a while, pid 103\n")
    assert managed.pids() == {"BTC-USDT": 103, "ETH-USDT": 102, "SOL-USDT": 0}
    assert managed.overrides() == {}
    assert managed.orders() == [(ME, "stop", BTC, "moved"), (ME, "start", BTC, "")]


def test_disabled_is_what_start_passes_over_and_enable_undoes(managed: ManagedStage) -> None:
    assert managed.run("disable", BTC).exit_code == 0
    assert managed.pids() == {"BTC-USDT": 0, "ETH-USDT": 102, "SOL-USDT": 0}
    refused = managed.run("start", BTC)
    why = f"{BTC} is disabled by {ME} at 2027-01-15 08:00 UTC (manager-cli enable {BTC})"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", f"manager-cli: {why}\n")
    assert timeless(managed.run("start", "all").stdout) == f"{ETH}: done: running after a while, pid 102\n"
    assert managed.run("enable", "okx:[BE]*").exit_code == 0
    assert (managed.pids(), managed.overrides()) == ({"BTC-USDT": 103, "ETH-USDT": 102, "SOL-USDT": 0}, {})


def test_what_the_file_disables_can_be_enabled_and_stopped_and_started(managed: ManagedStage) -> None:
    assert managed.run("enable", SOL).exit_code == 0
    assert override_of(managed, SOL) == {"who": ME, "state": "enabled"}
    assert managed.run("stop", SOL).exit_code == 0
    assert managed.pids()["SOL-USDT"] == 0
    assert managed.run("start", SOL).exit_code == 0
    assert managed.pids() == {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 104}


def test_what_is_as_ordered_is_told_so(managed: ManagedStage) -> None:
    assert timeless(managed.run("stop", SOL).stdout) == f"{SOL}: done: it was disabled in the fleet file\n"
    assert managed.overrides() == {}
    managed.run("stop", BTC)
    assert managed.run("disable", BTC).exit_code == 0
    assert override_of(managed, BTC) == {"who": ME, "state": "disabled"}


def test_a_start_now_ends_a_park_for_good(managed: ManagedStage) -> None:
    managed.crashing.add("BTC-USDT")
    managed.supervisor.end("collector-okx-BTC-USDT", ProcessState.FATAL)
    managed.rounds(12)
    assert managed.redis.hget(keys.FLEET_MANAGER, "crash_looping") == "1"
    managed.crashing.clear()
    result = managed.run("start", BTC)
    assert (result.exit_code, timeless(result.stdout)) == (0, f"{BTC}: done: running after a while, pid 108\n")
    managed.rounds(2)
    assert managed.redis.hget(keys.FLEET_MANAGER, "parked") == "{}"
    managed.stop_manager()
    managed.start_manager(rounds=2)
    assert managed.redis.hget(keys.FLEET_MANAGER, "parked") == "{}", "a new manager knows of it too"
    before = len(managed.supervisor.calls)
    managed.supervisor.end("collector-okx-BTC-USDT", ProcessState.FATAL)
    managed.rounds(2)
    assert managed.supervisor.calls[before:] == [("start", "collector-okx-BTC-USDT")]


def test_one_that_refuses_its_configuration_again_fails(managed: ManagedStage) -> None:
    managed.refusing.add("BTC-USDT")
    managed.run("restart", BTC)
    result = managed.run("start", BTC)
    assert (result.exit_code, timeless(result.stdout)) == (
        1,
        f"{BTC}: not done: it refused its configuration: unknown\n",
    )


def test_one_that_ends_at_once_fails_and_the_others_are_started(managed: ManagedStage) -> None:
    managed.run("stop", "all")
    managed.crashing.add("BTC-USDT")
    result = managed.run("start", "all", "--json")
    assert result.exit_code == 1
    assert json.loads(timeless(result.stdout)) == {
        "command": "start",
        "done": False,
        "collectors": [
            {"id": ETH, "done": True, "outcome": "running after a while, pid 104"},
            {"id": BTC, "done": False, "outcome": f"its process ended at once (manager-cli logs {BTC})"},
        ],
    }


def test_one_that_does_not_come_up_is_given_up(managed: ManagedStage) -> None:
    managed.run("stop", BTC)
    managed.supervisor.refusals["start"] = Fault.NO_FILE
    result = managed.run("start", BTC, "--timeout", "5")
    assert (result.exit_code, timeless(result.stdout)) == (
        1,
        f"{BTC}: not done: not running after 5 s (it is stopped; manager-cli why {BTC})\n",
    )


@pytest.mark.parametrize("command", ["stop", "disable", "enable", "start"])
def test_without_the_manager_the_order_is_kept_and_carried_out_later(managed: ManagedStage, command: str) -> None:
    if command in ("enable", "start"):
        managed.run("stop", BTC)
    before, running = managed.pids(), command in ("enable", "start")
    managed.stop_manager()
    result = managed.run(command, BTC)
    assert (result.exit_code, timeless(result.stdout), result.stderr) == (
        1,
        f"{BTC}: not done: kept, carried out when the manager starts\n",
        "manager-cli: the manager is not running; kept, carried out when it starts\n",
    )
    assert managed.pids() == before
    managed.start_manager()
    assert bool(managed.pids()["BTC-USDT"]) is running


def test_what_only_rests_is_started_without_the_manager(managed: ManagedStage) -> None:
    managed.stop_manager()
    managed.supervisor.end("collector-okx-BTC-USDT", ProcessState.EXITED)
    result = managed.run("start", BTC)
    assert (result.exit_code, timeless(result.stdout), result.stderr) == (
        0,
        f"{BTC}: done: running after a while, pid 103\n",
        "",
    )
    managed.supervisor.end("collector-okx-BTC-USDT", ProcessState.EXITED)
    managed.supervisor.refusals["start"] = Fault.BAD_NAME
    assert managed.run("start", BTC).stdout == f"{BTC}: not done: supervisord does not know the program\n"


def test_a_manager_that_goes_meanwhile_is_told(managed: ManagedStage) -> None:
    managed.tools = replace(managed.tools, wait=lambda _: managed.stop_manager())
    result = managed.run("stop", BTC)
    assert (result.exit_code, timeless(result.stdout)) == (
        1,
        f"{BTC}: not done: kept, carried out when the manager starts\n",
    )


def test_a_key_of_another_type_is_told_and_changes_nothing(managed: ManagedStage) -> None:
    managed.redis.set(keys.FLEET_DESIRED, "what?")
    result = managed.run("stop", BTC)
    assert (result.exit_code, result.stderr) == (
        1,
        "manager-cli: the run-time changes md:v1:fleet:desired cannot be read\n",
    )
    managed.rounds(2)
    assert managed.pids() == {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 0}
    assert managed.redis.hget(keys.FLEET_MANAGER, "last_error") == (
        "the run-time changes md:v1:fleet:desired cannot be read"
    )
