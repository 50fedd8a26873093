"""What the manager has taken is the fleet, whatever is in the fleet file meanwhile."""

import json

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from manager.cli.app import app
from tests.manager.cli.managed import ManagedStage
from tests.manager.cli.stage import FLEET, CliStage

BTC, ETH, SOL, ADA = (f"okx:{base}-USDT" for base in ("BTC", "ETH", "SOL", "ADA"))
BROKEN = FLEET + "[[collectors\n"
EDITED = FLEET.replace('symbol = "ETH-USDT"', 'symbol = "ADA-USDT"').replace("enabled = false\n", "")
"""ADA in place of ETH, and SOL enabled."""
NOTE = "manager-cli: 3 changes of the fleet file are not applied (manager-cli plan)\n"


def warning(stage: CliStage) -> str:
    """What is said of ``BROKEN``."""
    place = "Expected ']]' at the end of an array declaration (at line 15, column 13)"
    return (
        f"manager-cli: the fleet file cannot be used ({stage.fleet_path}: not valid TOML: {place}): "
        "shown is what was applied\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["list"],
        ["list", "--json"],
        ["restart", BTC],
        ["restart-all"],
        ["stop", BTC],
        ["start", BTC],
        ["enable", SOL],
        ["disable", BTC],
        ["remove", BTC],
        ["add", "okx", "XRP-USDT"],
        ["events"],
        ["why", BTC],
    ],
)
def test_with_a_broken_file_the_commands_go_on(managed: ManagedStage, arguments: list[str]) -> None:
    managed.fleet_path.write_text(BROKEN)
    result = managed.run(*arguments)
    assert (result.exit_code, result.stderr) == (0, warning(managed))


@pytest.mark.parametrize("arguments", [["plan"], ["apply"], ["validate"]])
def test_what_is_about_the_file_refuses_a_broken_one(managed: ManagedStage, arguments: list[str]) -> None:
    managed.fleet_path.write_text(BROKEN)
    result = managed.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {managed.fleet_path}: not valid TOML: ")


def test_a_file_that_is_gone_or_lists_nothing_is_as_a_broken_one(managed: ManagedStage) -> None:
    before = managed.run("list", "--json").stdout
    for spoil, why in (
        (lambda: managed.fleet_path.write_text(""), "has no [[collectors]]; an empty file would stop the whole fleet"),
        (managed.fleet_path.unlink, "there is no such file"),
    ):
        spoil()
        result = managed.run("list", "--json")
        told = f"the fleet file cannot be used ({managed.fleet_path}: {why}): shown is what was applied"
        assert (result.stdout, result.stderr) == (before, f"manager-cli: {told}\n")


def test_an_edited_file_is_shown_when_it_is_applied(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(EDITED)
    status, document = managed.run("status"), json.loads(managed.run("status", "--json").stdout)
    assert (status.exit_code, status.stderr) == (0, NOTE)
    assert status.stdout.startswith("2 desired, 2 healthy, 1 disabled\n")
    assert ([row["id"] for row in document["collectors"]], document["unapplied"]) == ([BTC, ETH, SOL], 3)
    assert managed.run("status", "--json").stderr == ""
    listed = managed.run("list")
    assert (ADA in listed.stdout, listed.stderr) == (False, NOTE)

    assert managed.run("apply").exit_code == 0
    status, document = managed.run("status"), json.loads(managed.run("status", "--json").stdout)
    assert (status.exit_code, status.stderr) == (0, "")
    assert ([row["id"] for row in document["collectors"]], document["unapplied"]) == ([BTC, ADA, SOL], 0)


def test_a_watch_follows_what_is_applied(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(EDITED)
    seen, wait = list[int](), managed.tools.wait

    def then(seconds: float) -> None:
        seen.append(1)
        if len(seen) == 1:
            assert managed.run("apply").exit_code == 0
        if len(seen) == 3:
            raise KeyboardInterrupt
        wait(seconds)

    watching = replace(managed.tools, wait=then)
    result = CliRunner().invoke(app, ["status", "--watch", "--json"], obj=watching)
    assert [json.loads(line)["unapplied"] for line in result.stdout.splitlines()] == [3, 0, 0]


def test_orders_do_not_need_what_is_not_applied(managed: ManagedStage) -> None:
    managed.fleet_path.write_text(EDITED)
    assert managed.run("restart-all").exit_code == 0
    result = managed.run("stop", ADA)
    assert (result.exit_code, result.stdout) == (2, "")


def test_run_time_changes_are_told_apart_from_what_the_file_says(managed: ManagedStage) -> None:
    assert managed.run("stop", BTC).exit_code == managed.run("add", "okx", "XRP-USDT").exit_code == 0
    managed.fleet_path.write_text(BROKEN)
    rows = json.loads(managed.run("list", "--json").stdout)
    assert [(row["id"], row["origin"], row["state"]) for row in rows] == [
        (BTC, "file", "stopped"),
        (ETH, "file", "enabled"),
        (SOL, "file", "disabled"),
        ("okx:XRP-USDT", "added", "enabled"),
    ]
    assert managed.run("start", BTC).exit_code == managed.run("remove", "okx:XRP-USDT").exit_code == 0
    assert managed.overrides() == {}


def test_what_was_taken_outlives_the_manager(managed: ManagedStage) -> None:
    managed.stop_manager()
    managed.fleet_path.write_text(EDITED)
    assert (managed.run("status").exit_code, managed.run("status").stderr) == (0, NOTE)
    managed.start_manager()
    document = json.loads(managed.run("status", "--json").stdout)
    assert ([row["id"] for row in document["collectors"]], document["unapplied"]) == ([BTC, ADA, SOL], 0)


def test_another_file_that_is_named_is_the_fleet(managed: ManagedStage) -> None:
    other = managed.folder / "other.toml"
    other.write_text('[[collectors]]\nexchange = "okx"\nsymbol = "ETH-USDT"\n')
    rows = json.loads(managed.run("--fleet", str(other), "list", "--json").stdout)
    assert [row["id"] for row in rows] == [ETH]


def test_who_waits_for_the_manager_is_told_so(managed: ManagedStage) -> None:
    managed.manager = None  # its heartbeat stays for a while
    result = managed.run("add", "okx", "XRP-USDT", "--timeout", "8")
    assert (result.exit_code, result.stderr) == (
        1,
        "manager-cli: waiting for okx:XRP-USDT: the manager has not taken it up yet\n",
    )
