import json

import pytest
from msgspec.structs import replace

from manager.cli.context import login_name
from manager.supervisord.client import Fault
from tests.manager.cli.managed import ManagedStage, timeless
from tests.manager.cli.stage import FLEET
from tests.manager.fakes import REDIS_AWAY
from tickfleet.contract import keys

ME = login_name()
CHANGED = FLEET.replace('data_types = ["trade"]', 'data_types = ["trade", "ticker"]').replace(
    '[[collectors]]\nexchange = "okx"\nsymbol = "SOL-USDT"\nenabled = false',
    '[[collectors]]\nexchange = "okx"\nsymbol = "ADA-USDT"',
)


def test_a_plan_touches_nothing_and_apply_only_what_the_plan_names(managed: ManagedStage) -> None:
    assert managed.run("plan").stdout == "none to change, 3 as they should be\n"
    managed.fleet_path.write_text(CHANGED)
    calls, pids = list(managed.supervisor.calls), managed.pids()
    plan = managed.run("plan")
    assert (plan.exit_code, plan.stdout.splitlines()[:5]) == (
        1,
        [
            "+ okx:ADA-USDT  starts",
            "~ okx:ETH-USDT  data_types: trade -> trade ticker  (the process is replaced)",
            "- okx:SOL-USDT  leaves the fleet, its streams stay",
            "3 to change, 1 as they should be",
            "it needs, for 3 collectors:",
        ],
    )
    managed.rounds(3)
    assert (managed.supervisor.calls, managed.pids(), managed.orders()) == (calls, pids, [])

    result = managed.run("apply", "--why", "tickers for ETH")
    assert (result.exit_code, sorted(timeless(result.stdout).splitlines())) == (
        0,
        [
            "okx:ADA-USDT: done: running after a while, pid 104",
            "okx:ETH-USDT: done: running after a while, pid 103",
            "okx:SOL-USDT: done: gone after a while; its streams stay",
        ],
    )
    assert managed.pids() == {"BTC-USDT": 101, "ADA-USDT": 104, "ETH-USDT": 103}
    assert managed.orders() == [(ME, "apply", "", "tickers for ETH")]
    assert managed.run("plan").exit_code == 0


def test_a_plan_for_machines(managed: ManagedStage) -> None:
    other = managed.folder / "other.toml"
    other.write_text(CHANGED)
    managed.redis.hset(keys.FLEET_DESIRED, "nonsense", "{")
    result = managed.run("plan", str(other), "--json")
    document = json.loads(timeless(result.stdout))
    needs = document.pop("needs")
    assert (needs["collectors"], needs["redis_connections"], needs["starts"]["okx"]["within_s"]) == (3, 11, 2.5)
    assert (result.exit_code, document) == (
        1,
        {
            "added": [{"id": "okx:ADA-USDT", "effect": "started"}],
            "changed": [
                {
                    "id": "okx:ETH-USDT",
                    "effect": "replaced",
                    "settings": {"data_types": {"before": "trade", "after": "trade ticker"}},
                }
            ],
            "removed": ["okx:SOL-USDT"],
            "unchanged": 1,
            "ignored": [
                "the run-time change of nonsense is ignored: collector id 'nonsense' is not spelt exchange:SYMBOL"
            ],
        },
    )


def test_before_the_first_start_a_plan_has_the_needs_of_the_file(managed: ManagedStage) -> None:
    many = managed.folder / "many.toml"
    many.write_text("".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "C{n}-USDT"\n' for n in range(156)))
    managed.server.connected = False
    result = managed.run("plan", str(many))
    assert (result.exit_code, result.stderr) == (3, f"manager-cli: {REDIS_AWAY}\n")
    assert " ".join(result.stdout.split()) == (
        "it needs, for 156 collectors: redis memory: skipped: 5.9 GiB when all streams are full "
        "(0 of 780 streams by what this fleet's entries take, 780 by typical sizes); Redis cannot be asked now "
        "-> compare that with its maxmemory, or its machine's memory "
        "redis clients: skipped: the whole fleet holds 164; Redis cannot be asked now "
        "-> see that its maxclients leaves room connections to exchanges: 312 "
        "file descriptors: 859 of supervisord memory of processes: 5.3 GiB (35 MiB a collector under load) "
        "disk here: 24.0 GiB for Redis and logs, at most 156.0 GiB more while Redis is away "
        "start of okx: at most 3 min for 156 collectors: its limits for 312 connections and 1248 calls by REST"
    )
    result = managed.run("plan", str(many), "--json")
    assert (result.exit_code, list(document := json.loads(result.stdout))) == (3, ["needs"])
    assert (document["needs"]["collectors"], document["needs"]["redis_connections"]) == (156, 164)


def test_apply_where_nothing_changed_says_so(managed: ManagedStage) -> None:
    result = managed.run("apply")
    assert (result.exit_code, timeless(result.stdout)) == (0, "none to change, 3 as they should be\n")
    entries = [fields for _, fields in managed.redis.xrange(keys.FLEET_EVENTS)]
    (order_id,) = [row_id for row_id, row in managed.redis.xrange(keys.FLEET_EVENTS) if row["what"] == "asked"]
    assert [row.get("asked") for row in entries if row["what"] == "fleet_applied"][-1] == order_id


def test_what_the_file_disables_is_stopped_and_what_it_enables_is_started(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(FLEET.replace('"BTC-USDT"\n', '"BTC-USDT"\nenabled = false\n'))
    assert managed.run("plan").stdout.splitlines()[0] == (
        "~ okx:BTC-USDT  enabled: true -> false  (the process is stopped)"
    )
    assert managed.run("apply").exit_code == 0
    assert managed.pids() == {"BTC-USDT": 0, "ETH-USDT": 102, "SOL-USDT": 0}
    managed.fleet_path.write_text(FLEET.replace("enabled = false\n", ""))
    assert managed.run("apply").exit_code == 0
    pids = managed.pids()
    assert (pids["ETH-USDT"], pids["BTC-USDT"] > 102, pids["SOL-USDT"] > 102) == (102, True, True)


def test_a_changed_file_that_is_not_applied_reaches_no_collector(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(CHANGED)
    before = {path.name: path.read_text() for path in managed.environment.applied.iterdir()}
    managed.run("restart", "okx:ETH-USDT")
    managed.run("stop", "okx:BTC-USDT")
    managed.run("start", "okx:BTC-USDT")
    assert {path.name: path.read_text() for path in managed.environment.applied.iterdir()} == before


def test_what_was_applied_and_cannot_be_read_counts_as_changed(managed: ManagedStage) -> None:
    (managed.environment.applied / "collector-okx-ETH-USDT.json").write_text("{")
    assert managed.run("plan").stdout.splitlines()[0] == (
        "~ okx:ETH-USDT  settings: unreadable -> as in the fleet file  (the process is replaced)"
    )


def test_apply_that_supervisord_refuses_fails_and_is_done_later(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(CHANGED)
    managed.supervisor.refusals["reread"] = Fault.CANT_REREAD
    result = managed.run("apply")
    why = "supervisord cannot use its configuration files (supervisorctl reread says why)"
    assert (result.exit_code, result.stderr) == (
        1,
        f"manager-cli: not applied yet: {why}; the manager keeps trying\n",
    )
    managed.supervisor.refusals.clear()
    managed.rounds(14)
    assert set(managed.pids()) == {"BTC-USDT", "ETH-USDT", "ADA-USDT"}


def test_a_new_manager_is_asked_again(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(CHANGED)
    first, wait = [True], managed.tools.wait

    def replace_manager(seconds: float) -> None:
        if first and first.pop():
            managed.redis.xadd(keys.FLEET_EVENTS, {"at": "1", "who": "manager", "what": "manager_started"})
        wait(seconds)

    managed.tools = replace(managed.tools, wait=replace_manager)
    assert managed.run("apply").exit_code == 0
    assert [order[1] for order in managed.orders()] == ["apply", "apply"]


def test_without_the_manager_nothing_is_applied(managed: ManagedStage) -> None:
    managed.stop_manager()
    result = managed.run("apply")
    assert (result.exit_code, result.stderr) == (
        1,
        "manager-cli: the manager is not running; it takes the fleet file when it starts\n",
    )
    assert managed.orders() == []


def test_another_redis_is_taken_by_a_signal(managed: ManagedStage) -> None:
    managed.fleet_path.write_text('[redis]\nurl = "redis://127.0.0.1:7000/0"\n' + FLEET)
    managed.redis.delete(keys.FLEET_MANAGER)  # the other Redis knows of no manager
    result = managed.run("apply")
    assert (result.exit_code, result.stderr) == (
        1,
        "manager-cli: the manager works with redis://127.0.0.1:6379/0, not redis://127.0.0.1:7000/0; "
        "have it take another Redis by: supervisorctl -c deploy/supervisord.conf signal HUP manager\n",
    )


def test_a_manager_that_does_not_answer_is_told(managed: ManagedStage) -> None:
    managed.manager = None
    result = managed.run("apply", "--timeout", "3")
    assert (result.exit_code, result.stderr) == (
        1,
        "manager-cli: the manager has not answered within 3 s (manager-cli status)\n",
    )


def test_the_file_of_another_manager_is_refused(managed: ManagedStage) -> None:
    other = managed.folder / "other.toml"
    other.write_text(FLEET)
    result = managed.run("--fleet", str(other), "apply")
    assert (result.exit_code, result.stderr) == (
        2,
        f"manager-cli: the manager takes {managed.fleet_path}, not {other}\n",
    )


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_file_that_lists_nothing_is_refused(managed: ManagedStage, command: str) -> None:
    managed.fleet_path.write_text("")
    result = managed.run(command)
    why = f"{managed.fleet_path}: has no [[collectors]]; an empty file would stop the whole fleet"
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {why}\n")
