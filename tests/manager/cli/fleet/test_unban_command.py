import socket
from random import Random

import pytest
from structlog.testing import capture_logs

from collector_worker.rest.rate_limits import RateLimiter, Turn
from common.config.exchanges import Rate
from manager.cli.fleet.unban_command import _KEPT_S
from tests.manager.cli.redis_stage import RedisStage
from tests.manager.cli.stage import BTC, ETH, CliStage
from tests.manager.fakes import NOW_NS, S
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState
from tickfleet.redis.config import RedisConfig

WHY = "REST of h turned us away for 3600 s (HTTP 429)"
TEXT = f"banned until 2027-01-15 09:00 UTC: {WHY}"
RATE = Rate(per_s=1.0)


def ban(stage: CliStage) -> None:
    facts = {"state": WorkerState.CONNECTING, "connected_since": 0, "last_frame_at": 0, "progress": {}}
    stage.beat(BTC, banned_until=NOW_NS + 3_600 * S, banned_why=WHY, last_error="another trouble", **facts)


def test_status_and_why_say_until_when_and_by_which_answer(stage: CliStage) -> None:
    stage.all_up()
    ban(stage)
    assert f"okx: {TEXT} (manager-cli unban okx)" in " ".join(stage.run("status").stdout.split())
    why = " ".join(stage.run("why", str(BTC)).stdout.split())
    assert why.startswith(f"{BTC} is silent: connecting for 10 min: {TEXT}")
    assert f"exchange {TEXT}; manager-cli unban okx" in why


def test_it_is_told_what_was_lifted(stage: CliStage) -> None:
    stage.all_up()
    ban(stage)
    result = stage.run("unban", "okx", "--why", "a proxy was wrong")
    assert (result.exit_code, result.stdout) == (0, f"okx: lifted; it was {TEXT}\n")
    ((_, entry),) = stage.redis.xrange(keys.FLEET_EVENTS)
    assert (entry["what"], entry["why"], entry["exchange"]) == ("unbanned", "a proxy was wrong", "okx")
    hosts = {"testhost", socket.gethostname()}
    assert set(stage.redis.scan_iter("*banned")) == {keys.ban(f"okx@{host}") for host in hosts}
    stage.beat(ETH)
    assert stage.run("unban", "binance").stdout == "binance: there was no ban\n"


def test_there_is_no_such_exchange(stage: CliStage) -> None:
    result = stage.run("unban", "okex")
    assert result.exit_code == 2
    assert result.stderr.startswith("manager-cli: exchange 'okex' is not supported")


@pytest.mark.parametrize("exchange", ["okx", "binance"])
async def test_collectors_go_on(streams: RedisStage, exchange: str) -> None:
    config = RedisConfig(url=streams.server.url)
    mine, other = (RateLimiter(config, exchange, Random(1)) for _ in range(2))
    with capture_logs():
        await mine.ban(3_000, WHY)
    assert (await other._reserve("rest", RATE, 1)).banned
    result = streams.run("unban", exchange)
    assert (result.exit_code, result.stdout) == (0, f"{exchange}: lifted\n")
    assert [await each._reserve(kind, RATE, 1) for each, kind in ((mine, "rest"), (other, "connect"))] == [
        Turn(0.0)
    ] * 2
    assert 0 < streams.client.ttl(keys.ban(f"{exchange}@{socket.gethostname()}")) <= _KEPT_S
