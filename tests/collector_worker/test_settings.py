from pathlib import Path

import pytest

from collector_worker.settings import WorkerSettings, load_settings
from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.config.worker_file import encode, worker_file
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.redis.config import RedisConfig

FLEET = """
[redis]
url = "redis://db/1"
[defaults]
data_types = ["trade"]
[[collectors]]
exchange = "okx"
symbol = "BTC-USDT"
data_types = ["ticker"]
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    return Environment(root=tmp_path, fleet_path=path, log_level="debug")


def test_a_collector_of_the_fleet_file(environment: Environment, tmp_path: Path) -> None:
    assert load_settings(["--exchange", "okx", "--symbol", "BTC-USDT"], environment) == WorkerSettings(
        ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,)),
        RedisConfig(url="redis://db/1"),
        "debug",
        tmp_path / "var",
        by_hand=True,
        asks=True,
    )


def test_a_collector_that_the_file_does_not_list_takes_the_defaults(environment: Environment, tmp_path: Path) -> None:
    assert load_settings(["--exchange", "okx", "--symbol", "ETH-USDT-PERP"], environment) == WorkerSettings(
        ExchangeCollectorConfig("okx", "ETH-USDT-PERP", (DataType.TRADE,)),
        RedisConfig(url="redis://db/1"),
        "debug",
        tmp_path / "var",
        by_hand=True,
        asks=True,
    )


def test_a_file_of_the_manager_is_all_that_is_needed(environment: Environment, tmp_path: Path) -> None:
    fleet = load_fleet(environment.fleet_path, environment)
    path = tmp_path / "collector-okx-BTC-USDT.json"
    path.write_text(encode(worker_file(fleet.collectors[0], fleet.redis, environment)))
    environment.fleet_path.unlink()

    assert load_settings(["--config", str(path)], environment) == WorkerSettings(
        fleet.collectors[0], RedisConfig(url="redis://db/1"), "debug", tmp_path / "var", by_hand=True, asks=True
    )


@pytest.mark.parametrize(
    ("more", "supervised", "asks"), [([], "", True), (["--take-over"], "", False), ([], "1", False)]
)
def test_who_is_not_supervised_asks_before_it_ends_another_run(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, more: list[str], supervised: str, asks: bool
) -> None:
    monkeypatch.setenv("SUPERVISOR_ENABLED", supervised)
    assert load_settings(["--exchange", "okx", "--symbol", "BTC-USDT", *more], environment).asks is asks


def test_another_fleet_file(environment: Environment, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("")

    settings = load_settings(["--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(other)], environment)
    assert settings.collector == ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType))


def test_the_arguments_of_the_process_are_the_default(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["collector-worker", "--exchange", "okx", "--symbol", "BTC-USDT"])

    assert str(load_settings(None, environment).collector.id) == "okx:BTC-USDT"


@pytest.mark.parametrize(
    ("exchange", "symbol", "message"),
    [
        ("OKX", "BTC-USDT", "collector id 'OKX:BTC-USDT' is not spelt exchange:SYMBOL"),
        (
            "okx",
            "btc-usdt",
            "symbol 'btc-usdt' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
            " did you mean 'BTC-USDT'?",
        ),
    ],
)
def test_a_misspelt_collector(exchange: str, symbol: str, message: str, environment: Environment) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load_settings(["--exchange", exchange, "--symbol", symbol], environment)
    assert str(caught.value) == message


def test_an_unknown_exchange(environment: Environment) -> None:
    with pytest.raises(ExchangeNotSupportedError, match=r"^exchange 'okex' is not supported; did you mean 'okx'\?"):
        load_settings(["--exchange", "okex", "--symbol", "BTC-USDT"], environment)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        ([], 2),
        (["--exchange", "okx"], 2),
        (["--exchange", "okx", "--symbol", "BTC-USDT", "more"], 2),
        (["--config", "x.json", "--exchange", "okx"], 2),
        (["--config", "x.json", "--fleet", "fleet.toml"], 2),
    ],
    ids=["help", "nothing", "no symbol", "too much", "two answers", "two files"],
)
def test_help_and_wrong_usage(
    arguments: list[str], code: int, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        load_settings(arguments, environment)
    assert caught.value.code == code
    captured = capsys.readouterr()
    assert "collector-worker" in (captured.err if code else captured.out)


def test_the_help_shows_how_it_is_used(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--help"], environment)
    text = capsys.readouterr().out
    assert "manager-cli redis XREVRANGE 'md:v1:{okx:BTC-USDT}:trade' + - COUNT 3" in text
    assert "exit codes: 0 stopped by SIGTERM or SIGINT" in text
