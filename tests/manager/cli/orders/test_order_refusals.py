"""What every command about collectors says of bad input, and that it changes nothing."""

import pytest

from tests.manager.cli.stage import CliStage
from tests.manager.fakes import REDIS_AWAY

BTC, SOL = "okx:BTC-USDT", "okx:SOL-USDT"


@pytest.mark.parametrize("command", ["start", "stop", "enable", "disable"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "okx:BTC-USDTT",
            "there is no collector 'okx:BTC-USDTT'; did you mean 'okx:BTC-USDT'? (manager-cli list shows them)",
        ),
        ("kraken:*", "no collector matches 'kraken:*' (manager-cli list shows them)"),
    ],
)
def test_a_name_that_means_nothing_is_exit_2_and_changes_nothing(
    stage: CliStage, command: str, name: str, message: str
) -> None:
    result = stage.run(command, BTC, name)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"manager-cli: {message}\n")
    assert (stage.overrides(), stage.orders()) == ({}, [])


@pytest.mark.parametrize(
    "arguments",
    [["start", BTC], ["stop", BTC], ["enable", SOL], ["disable", BTC], ["remove", BTC], ["add", "okx", "XRP-USDT"]],
)
def test_supervisord_away_is_exit_3_and_nothing_is_changed(stage: CliStage, arguments: list[str]) -> None:
    stage.supervisor.away = True
    result = stage.run(*arguments)
    assert (result.exit_code, result.stderr) == (3, "manager-cli: supervisord does not answer at /fake\n")
    assert (stage.overrides(), stage.orders()) == ({}, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", BTC],
        ["stop", BTC],
        ["enable", SOL],
        ["disable", BTC],
        ["remove", BTC],
        ["add", "okx", "XRP-USDT"],
        ["list"],
        ["plan"],
        ["apply"],
        ["restart-all"],
    ],
)
def test_redis_away_is_exit_3(stage: CliStage, arguments: list[str]) -> None:
    stage.server.connected = False
    calls = list(stage.supervisor.calls)
    result = stage.run(*arguments)
    assert (result.exit_code, result.stderr) == (3, f"manager-cli: {REDIS_AWAY}\n")
    assert stage.supervisor.calls == calls


@pytest.mark.parametrize(
    "arguments", [["start", BTC], ["stop", BTC], ["list"], ["plan"], ["apply"], ["add", "okx", "XRP-USDT"]]
)
def test_a_malformed_fleet_file_is_exit_2_and_nothing_is_changed(stage: CliStage, arguments: list[str]) -> None:
    stage.fleet_path.write_text('[[collectors]]\nexchange = "okx"\nsymbl = "BTC-USDT"\n')
    result = stage.run(*arguments)
    assert (result.exit_code, result.stderr) == (
        2,
        f"manager-cli: {stage.fleet_path}: collectors[0] (okx): unknown key 'symbl';"
        " did you mean 'symbol'? (known: data_types, candle_intervals, auto_restart, health_check_interval,"
        " max_backfill_wait, store_raw_data, transport, enabled, custom_params, exchange, symbol)\n",
    )
    assert (stage.overrides(), stage.orders()) == ({}, [])
