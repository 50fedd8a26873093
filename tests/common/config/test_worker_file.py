from pathlib import Path
from typing import Any

import pytest

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.exchanges import Endpoints, LowerLimits
from common.config.fleet_file import load_fleet
from common.config.worker_file import RedisPlace, WorkerFile, decode, encode, redis_of, worker_file
from tickfleet.contract.identity import DataType
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.redis.config import MaxLen, RedisConfig

SECRET = "hunter2"  # noqa: S105 - made up
BTC = ExchangeCollectorConfig(
    "okx",
    "BTC-USDT",
    (DataType.TRADE, DataType.CANDLES),
    candle_intervals=("1m", "1h"),
    health_check_interval=7.5,
    custom_params={"trade_channel": "trades"},
    endpoints=Endpoints(rest="http://127.0.0.1:1"),
    limits=LowerLimits(connects_per_s=1.0),
    enabled=False,
)
FLEET = '[redis]\nurl = "redis://db/1"\n[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'


def environment(folder: Path, **more: Any) -> Environment:
    return Environment(root=folder, fleet_path=folder / "fleet.toml", **more)


def handed_over(folder: Path, fleet: str, **more: str) -> WorkerFile:
    """What the manager writes for the one collector of a fleet file, as the worker reads it."""
    site = environment(folder, **more)
    site.fleet_path.write_text(fleet)
    site.fleet_path.chmod(0o600)
    loaded = load_fleet(site.fleet_path, site)
    path = folder / "worker.json"
    path.write_text(encode(worker_file(loaded.collectors[0], loaded.redis, site)))
    return decode(path)


@pytest.mark.parametrize("config", [BTC, ExchangeCollectorConfig("binance", "BTC-USDT", (DataType.TRADE,))])
def test_a_configuration_comes_back_as_it_was(config: ExchangeCollectorConfig, tmp_path: Path) -> None:
    content = WorkerFile(collector=config, redis_url="redis://db/1", maxlen=MaxLen(trade=7))
    path = tmp_path / "worker.json"
    path.write_text(encode(content))
    assert decode(path) == content
    assert decode(path).collector.fingerprint() == config.fingerprint()


def test_redis_is_where_the_fleet_file_said_when_it_was_applied(tmp_path: Path) -> None:
    content = handed_over(tmp_path, FLEET)
    (tmp_path / "fleet.toml").write_text("[[[ half an edit")
    assert redis_of(content, environment(tmp_path)) == RedisConfig(url="redis://db/1")


def test_the_environment_outranks_it(tmp_path: Path) -> None:
    content = handed_over(tmp_path, FLEET)
    site = environment(tmp_path, redis_url=f"redis://me:{SECRET}@other/2")
    assert redis_of(content, site) == RedisConfig(url="redis://me@other/2", password=SECRET)
    site = environment(tmp_path, redis_password=SECRET)
    assert redis_of(content, site) == RedisConfig(url="redis://db/1", password=SECRET)


def test_a_password_in_a_file_of_its_own_is_read_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    content = handed_over(tmp_path, FLEET.replace('"redis://db/1"', '"redis://db/1"\npassword_file = "secret"'))
    assert SECRET not in encode(content)
    site = environment(tmp_path)
    assert redis_of(content, site) == RedisConfig(url="redis://db/1", password=SECRET, password_file=str(secret))
    secret.unlink()
    with pytest.raises(FleetError) as caught:
        redis_of(content, site)
    assert (str(caught.value), caught.value.exit_code) == (
        f"the password of Redis cannot be read now: {secret}: there is no such file",
        1,
    )


def test_a_password_in_the_fleet_file_is_read_there_and_nothing_else(tmp_path: Path) -> None:
    content = handed_over(tmp_path, FLEET.replace("redis://db/1", f"redis://:{SECRET}@db/1"))
    assert SECRET not in encode(content)
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(f'[redis]\nurl = "redis://:new-{SECRET}@another/7"\n[[collectors]]\nsymbl = "?"\n')
    assert redis_of(content, environment(tmp_path)) == RedisConfig(url="redis://db/1", password=f"new-{SECRET}")


@pytest.mark.parametrize("text", ["[[[", "", "redis = 7", '[redis]\nurl = "what"', "[redis]\nurl = 7"])
def test_a_fleet_file_without_a_readable_password_is_exit_1_and_not_78(text: str, tmp_path: Path) -> None:
    content = handed_over(tmp_path, FLEET.replace("redis://db/1", f"redis://:{SECRET}@db/1"))
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(text)
    with pytest.raises(FleetError) as caught:
        redis_of(content, environment(tmp_path))
    assert (str(caught.value), caught.value.exit_code) == (f"{fleet}: the password of Redis cannot be read from it", 1)


def test_a_secret_of_the_environment_leaves_no_trace(tmp_path: Path) -> None:
    content = handed_over(tmp_path, FLEET, redis_url=f"redis://me:{SECRET}@other/2")
    assert SECRET not in encode(content)
    assert (content.redis_url, content.fleet_file) == ("redis://me@other/2", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not a configuration as the manager writes it"),
        ('{"collector": 7}', "not a configuration as the manager writes it"),
        (
            encode(WorkerFile(collector=BTC, redis_url="x", maxlen=MaxLen())).replace('"okx"', '"okex"'),
            "exchange 'okex'",
        ),
    ],
)
def test_what_is_no_such_file_is_told_with_its_path(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    path.write_text(text)
    with pytest.raises(InvalidConfigurationError) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: {why}")


def test_one_that_is_not_there_will_be_again_and_is_no_reason_to_give_up(tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    with pytest.raises(FleetError) as caught:
        decode(path)
    why = f"{path} is not there; a manager that runs writes it again within seconds"
    assert (str(caught.value), caught.value.exit_code) == (why, 1)


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    path.write_text(encode(WorkerFile(collector=BTC, redis_url="redis://db/1", maxlen=MaxLen())))
    path.chmod(0o660)
    with pytest.raises(InvalidConfigurationError) as caught:
        decode(path)
    assert str(caught.value) == (
        f"{path}: others may change it (-rw-rw----), and it says where the fleet connects to; run: chmod go-w {path}"
    )


def test_a_password_that_others_can_read_meanwhile_is_not_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    with pytest.raises(FleetError) as caught:
        redis_of(RedisPlace(redis_url="redis://db", maxlen=MaxLen(), password_file=str(secret)), environment(tmp_path))
    assert str(caught.value) == (
        f"the password of Redis cannot be read now: {secret} holds a secret and others can read it;"
        f" run: chmod 600 {secret}"
    )
