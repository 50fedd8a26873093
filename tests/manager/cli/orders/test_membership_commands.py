import json

import pytest

from manager.cli.context import login_name
from manager.model.journal_entries import What
from tests.manager.cli.managed import ManagedStage, timeless
from tests.manager.cli.stage import CliStage
from tickfleet.contract import keys

ME = login_name()
XRP = "okx:XRP-USDT"


def test_one_is_added_and_survives_and_is_removed_and_no_other_is_touched(managed: ManagedStage) -> None:
    arguments = ["--data", "trade,candles", "--intervals", "1m, 5m", "--param", "book_channel=books5", "--raw"]
    arguments += ["--transport", "websockets"]
    result = managed.run("add", "okx", "XRP-USDT", *arguments, "--why", "new listing")
    assert (result.exit_code, timeless(result.stdout)) == (0, f"{XRP}: done: running after a while, pid 103\n")
    added = {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 0, "XRP-USDT": 103}
    assert managed.pids() == added
    override = json.loads(managed.overrides()[XRP])
    assert (override["config"], override["who"], override["state"]) == (
        {
            "exchange": "okx",
            "symbol": "XRP-USDT",
            "data_types": ["trade", "candles"],
            "candle_intervals": ["1m", "5m"],
            "custom_params": {"book_channel": "books5"},
            "store_raw_data": True,
            "transport": "websockets",
        },
        ME,
        "enabled",
    )
    managed.stop_manager()
    managed.start_manager()
    assert managed.pids() == added
    row = next(row for row in json.loads(managed.run("list", "--json").stdout) if row["id"] == XRP)
    assert (row["origin"], row["state"], row["changed"]["who"], row["changed"]["why"]) == (
        "added",
        "enabled",
        ME,
        "new listing",
    )
    assert managed.run("status").stdout.startswith("3 desired, 3 healthy, 1 disabled\n")

    result = managed.run("remove", XRP)
    assert (result.exit_code, timeless(result.stdout)) == (0, f"{XRP}: done: gone after a while; its streams stay\n")
    assert managed.pids() == {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 0}
    assert managed.overrides() == {}
    assert not (managed.environment.applied / "collector-okx-XRP-USDT.json").exists()
    assert managed.orders() == [(ME, "add", XRP, "new listing"), (ME, "remove", XRP, "")]


def test_an_unknown_symbol_is_told_with_its_cure(managed: ManagedStage) -> None:
    managed.refusing.add("NOPE-USDT")
    result = managed.run("add", "okx", "NOPE-USDT")
    why = "it refused its configuration: unknown (take it out again: manager-cli remove okx:NOPE-USDT)"
    assert (result.exit_code, timeless(result.stdout)) == (1, f"okx:NOPE-USDT: not done: {why}\n")
    managed.rounds(2)
    assert managed.redis.hget(keys.FLEET_MANAGER, "misconfigured") == "1"
    assert managed.run("remove", "okx:NOPE-USDT").exit_code == 0


def test_one_of_the_file_is_removed_until_it_is_added_or_enabled_again(managed: ManagedStage) -> None:
    for number, comeback in enumerate((["add", "okx", "BTC-USDT"], ["enable", "okx:BTC-USDT"])):
        assert managed.run("remove", "okx:BTC-USDT").exit_code == 0
        assert managed.pids() == {"ETH-USDT": 102, "SOL-USDT": 0}
        managed.stop_manager()
        managed.start_manager()
        assert managed.pids() == {"ETH-USDT": 102, "SOL-USDT": 0}
        assert "okx:BTC-USDT" not in managed.run("status").stdout
        assert [row["state"] for row in json.loads(managed.run("list", "--json").stdout)] == [
            "enabled",
            "disabled",
            "removed",
        ]
        assert managed.run(*comeback).exit_code == 0
        assert managed.pids() == {"BTC-USDT": 103 + number, "ETH-USDT": 102, "SOL-USDT": 0}
        assert managed.overrides() == {}


def test_what_the_file_lists_by_now_has_the_files_settings_and_keeps_them(managed: ManagedStage) -> None:
    managed.run("add", "okx", "XRP-USDT", "--data", "trade")
    text = managed.fleet_path.read_text()
    managed.fleet_path.write_text(
        f'{text}[[collectors]]\nexchange = "okx"\nsymbol = "XRP-USDT"\ndata_types = ["ticker"]\n'
    )
    assert timeless(managed.run("apply").stdout) == f"{XRP}: done: running after a while, pid 104\n"
    managed.rounds(1)
    assert managed.overrides() == {}
    managed.fleet_path.write_text(text)
    assert timeless(managed.run("apply").stdout) == f"{XRP}: done: gone after a while; its streams stay\n"


def test_without_the_manager_an_addition_is_kept(managed: ManagedStage) -> None:
    managed.stop_manager()
    result = managed.run("add", "okx", "XRP-USDT")
    assert (result.exit_code, timeless(result.stdout), result.stderr) == (
        1,
        f"{XRP}: not done: kept, carried out when the manager starts\n",
        "manager-cli: the manager is not running; kept, carried out when it starts\n",
    )
    managed.start_manager()
    assert managed.pids()["XRP-USDT"] == 103


def test_an_override_that_the_file_makes_invalid_is_reported_and_ignored(managed: ManagedStage) -> None:
    managed.run("add", "okx", "XRP-USDT", "--param", "trade_channel=trades")
    override = managed.overrides()[XRP].replace("trade_channel", "moon_phase")
    managed.redis.hset(keys.FLEET_DESIRED, XRP, override)
    managed.rounds(3)
    assert managed.pids() == {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 0}
    trouble = f"the run-time change of {XRP} is ignored: custom_params: OKX has no parameter 'moon_phase'"
    trouble += " (known: trade_channel, book_channel)"
    assert managed.redis.hget(keys.FLEET_MANAGER, "last_error") == trouble
    assert managed.run("list").stderr == f"{trouble}\n"
    applied = [row for _, row in managed.redis.xrange(keys.FLEET_EVENTS) if row["what"] == What.FLEET_APPLIED.value]
    assert applied[-1]["removed"] == XRP
    assert managed.run("remove", XRP).exit_code == 0
    assert managed.overrides() == {}
    managed.rounds(2)
    assert managed.redis.hget(keys.FLEET_MANAGER, "last_error") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["add", "okex", "XRP-USDT"],
            "exchange 'okex' is not supported; did you mean 'okx'? (supported: binance, okx)",
        ),
        (
            ["add", "okx", "xrp"],
            "symbol 'xrp' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals",
        ),
        (
            ["add", "binance", "BTC-USDT-PERP"],
            "symbol 'BTC-USDT-PERP' is a perpetual; collectors of Binance know: spot",
        ),
        (
            ["add", "okx", "BTC-USDT-271332"],
            "symbol 'BTC-USDT-271332': its expiry 271332 is not a date (YYMMDD)",
        ),
        (
            ["add", "okx", "XRP-USDT", "--data", "trad"],
            "data_types[0] is 'trad'; did you mean 'trade'? (known: trade, orderbook, ticker, candles)",
        ),
        (["add", "okx", "XRP-USDT", "--param", "books5"], "--param 'books5' is not NAME=VALUE"),
        (
            ["add", "okx", "XRP-USDT", "--param", "book_chanel=books5"],
            "custom_params: OKX has no parameter 'book_chanel'; did you mean 'book_channel'?"
            " (known: trade_channel, book_channel)",
        ),
        (["add", "okx", "BTC-USDT"], "okx:BTC-USDT is in the fleet already"),
        (
            ["add", "okx", "SOL-USDT"],
            "okx:SOL-USDT is in the fleet already, disabled in the fleet file (manager-cli enable okx:SOL-USDT)",
        ),
        (["remove", "okx:*"], "remove wants the IDs of collectors, not a pattern as 'okx:*'"),
        (["remove", "all"], "remove wants the IDs of collectors, not a pattern as 'all'"),
        (
            ["remove", "okx:BTC-USDC"],
            "there is no collector 'okx:BTC-USDC' (manager-cli list shows them)",
        ),
    ],
)
def test_what_cannot_be_is_exit_2_and_changes_nothing(stage: CliStage, arguments: list[str], message: str) -> None:
    result = stage.run(*arguments)
    assert (result.exit_code, timeless(result.stdout), result.stderr) == (2, "", f"manager-cli: {message}\n")
    assert (stage.overrides(), stage.orders(), stage.supervisor.calls) == ({}, [], [])


def test_settings_for_one_that_the_file_has_are_refused(managed: ManagedStage) -> None:
    managed.run("remove", "okx:BTC-USDT")
    result = managed.run("add", "okx", "BTC-USDT", "--data", "trade")
    why = "okx:BTC-USDT has its settings in the fleet file (manager-cli enable okx:BTC-USDT brings it back)"
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {why}\n")
