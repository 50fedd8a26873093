import json

import pytest

from tests.manager.cli.stage import CliStage


def test_validate_counts(stage: CliStage) -> None:
    result = stage.run("validate")
    path = stage.fleet_path
    assert (result.exit_code, result.stdout) == (0, f"OK: {path}: 3 collectors (2 enabled, 1 disabled) on okx\n")


def test_validate_another_file(stage: CliStage) -> None:
    other = stage.folder / "other.toml"
    other.write_text('[[collectors]]\nexchange = "okx"\nsymbl = "BTC-USDT"\n')
    result = stage.run("validate", str(other))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"manager-cli: {other}: collectors[0] (okx): unknown key 'symbl';"
        " did you mean 'symbol'? (known: data_types, candle_intervals, auto_restart, health_check_interval,"
        " max_backfill_wait, store_raw_data, transport, enabled, custom_params, exchange, symbol)\n"
    )


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["apply"]], ids=" ".join)
def test_what_an_exchange_does_not_trade_is_refused_with_the_file(stage: CliStage, command: list[str]) -> None:
    stage.fleet_path.write_text('[[collectors]]\nexchange = "binance"\nsymbol = "BTC-USDT-PERP"\n')
    result = stage.run(*command)
    why = "symbol 'BTC-USDT-PERP' is a perpetual; collectors of Binance know: spot"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"manager-cli: {stage.fleet_path}: collectors[0] (binance:BTC-USDT-PERP): {why}\n"


def test_list_shows_every_collector(stage: CliStage) -> None:
    lines = stage.run("list").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["okx:BTC-USDT", "enabled", "trade", "orderbook", "ticker", "candles", "1m", "yes", "30"],
        ["okx:ETH-USDT", "enabled", "trade", "1m", "yes", "30", "trade_channel=trades"],
        ["okx:SOL-USDT", "disabled", "trade", "orderbook", "ticker", "candles", "1m", "yes", "30"],
    ]


def test_list_as_json(stage: CliStage) -> None:
    rows = json.loads(stage.run("list", "--json").stdout)
    config_id = rows[1].pop("config_id")
    assert (len(rows), len(config_id)) == (3, 12)
    assert rows[1] == {
        "id": "okx:ETH-USDT",
        "origin": "file",
        "state": "enabled",
        "changed": None,
        "enabled": True,
        "data_types": ["trade"],
        "candle_intervals": ["1m"],
        "auto_restart": True,
        "health_check_interval": 30.0,
        "max_backfill_wait": 60.0,
        "store_raw_data": False,
        "transport": "picows",
        "custom_params": {"trade_channel": "trades"},
    }
