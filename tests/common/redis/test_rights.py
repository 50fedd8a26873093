from collections.abc import Iterator
from pathlib import Path

import pytest

from common.config.collector import ExchangeCollectorConfig
from common.redis.rights import Login, missing, needs, rule
from tests.support.processes import ROOT
from tests.support.redis_server import RedisServer
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig

CONFIGS = (
    ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)[:4], candle_intervals=("1m", "5m")),
    ExchangeCollectorConfig("binance", "ETH-USDT", (DataType.TRADE,)),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("rights"))
    server.start()
    yield server
    server.stop()


def login(server: RedisServer, acl_rule: str) -> RedisConfig:
    """A user with these rights and no others."""
    server.client.execute_command("ACL", "SETUSER", "user", "reset", "on", ">secret", *acl_rule.split())
    return RedisConfig(url=f"redis://user@127.0.0.1:{server.port}", password="secret")  # noqa: S106 - made up


@pytest.mark.parametrize("whose", Login)
async def test_minimal_redis_rights_suffice_and_the_check_writes_nothing(server: RedisServer, whose: Login) -> None:
    config = login(server, rule(whose, CONFIGS))
    assert await missing(config, needs(whose, CONFIGS, "host")) == []
    assert server.client.keys("*") == []


@pytest.mark.parametrize("whose", Login)
async def test_each_right_that_is_missing_is_told_by_command_and_key(server: RedisServer, whose: Login) -> None:
    acl_rule = rule(whose, CONFIGS)
    for name in (word for word in acl_rule.split() if word.startswith("+")):
        if name in ("+multi", "+discard", "+watch", "+unwatch"):
            continue
        config = login(
            server, acl_rule.replace(f" {name}", " ", 1) if not acl_rule.endswith(name) else acl_rule[: -len(name)]
        )
        told = await missing(config, needs(whose, CONFIGS, "host"))
        command = name[1:].replace("|", " ")
        assert told, name
        assert {each for each in told if not (each == command or each.startswith(f"{command} "))} == set()


async def test_a_key_that_is_out_of_reach_is_told_with_its_commands(server: RedisServer) -> None:
    acl_rule = rule(Login.COLLECTORS, CONFIGS).replace("~md:v1:permits:*", "")
    told = await missing(login(server, acl_rule), needs(Login.COLLECTORS, CONFIGS[1:], "host"))
    scope = "md:v1:permits:{binance@host}"
    assert told == [
        *(f"{command} {scope}:{kind}" for kind in ("connect", "rest") for command in ("eval", "get", "set")),
        *(f"{command} {scope}:banned" for command in ("eval", "hmget", "hget", "hset", "hincrby", "expire")),
    ]


async def test_a_command_that_redis_was_told_to_hide_is_missing_too(tmp_path: Path) -> None:
    own = RedisServer(tmp_path, "--rename-command", "EVAL", "")
    own.start()
    try:
        told = await missing(own.config, needs(Login.COLLECTORS, CONFIGS[1:], "host"))
    finally:
        own.stop()
    assert told == [f"eval md:v1:permits:{{binance@host}}:{kind}" for kind in ("connect", "rest", "banned")]


async def test_without_the_right_to_transactions_nothing_can_be_looked_at(server: RedisServer) -> None:
    with pytest.raises(RedisUnreachableError, match="gives no right to transactions"):
        await missing(login(server, "~* +@all -multi"), needs(Login.READERS, CONFIGS, "host"))


@pytest.mark.parametrize("whose", Login)
def test_the_documented_rights_are_these(whose: Login) -> None:
    text = (ROOT / "docs" / "redis-access.md").read_text(encoding="utf-8")
    assert f"\nACL SETUSER {whose.value} on >PASSWORD {rule(whose, CONFIGS)}\n" in text
