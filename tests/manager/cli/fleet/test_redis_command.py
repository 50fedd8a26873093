import json

import pytest

from manager.cli.fleet.redis_command import lines
from tests.manager.cli.redis_stage import RedisStage
from tests.manager.cli.stage import CliStage
from tests.support.stream_writer import BTC_TRADES, beat, write_beat, write_trades
from tickfleet.contract import keys


def test_an_answer_is_lines(streams: RedisStage) -> None:
    write_trades(streams.client, 1, 3)
    result = streams.run("redis", "XREVRANGE", BTC_TRADES.key, "+", "-", "COUNT", "2")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [entry_id for entry_id, _ in found] == ["1000-3", "1000-2"]
    assert found[0][1]["price"] == "42219.9"
    assert result.exit_code == 0


def test_of_a_hash_each_field_is_a_line(streams: RedisStage) -> None:
    write_beat(streams.client, beat())
    found = streams.run("redis", "hgetall", keys.heartbeat(BTC_TRADES.collector)).stdout.splitlines()
    assert "collector okx:BTC-USDT" in found
    assert "state running" in found


def test_words_that_look_like_options_are_the_commands(streams: RedisStage) -> None:
    streams.client.rpush("list", "a", "b", "c")
    assert streams.run("redis", "LRANGE", "list", "-2", "-1").stdout == "b\nc\n"
    assert streams.run("redis", "--json", "LRANGE", "list", "0", "-1").stdout == '["a", "b", "c"]\n'


def test_what_a_terminal_would_obey_is_escaped(streams: RedisStage) -> None:
    streams.client.rpush("list", "a\x1b[2J\u009b\nb", "c")
    assert streams.run("redis", "LRANGE", "list", "0", "-1").stdout == "a\\x1b[2J\\x9b\nb\nc\n"


def test_a_change_is_made(streams: RedisStage) -> None:
    streams.client.hset("hash", "field", "value")
    assert streams.run("redis", "HDEL", "hash", "field").stdout == "1\n"
    assert streams.client.exists("hash") == 0


def test_a_refusal_is_one_line(streams: RedisStage) -> None:
    streams.client.set("text", "x")
    result = streams.run("redis", "HGETALL", "text")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "manager-cli: Redis refuses HGETALL: WRONGTYPE Operation against a key holding the wrong kind of value\n"
    )


def test_what_has_no_end_is_refused(streams: RedisStage) -> None:
    result = streams.run("redis", "monitor")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "MONITOR has no end" in result.stderr


def test_redis_away_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    assert stage.run("redis", "PING").exit_code == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, []),
        ([], []),
        ("OK", ["OK"]),
        (7, ["7"]),
        (True, ["true"]),
        ([["a", {"b": "ü"}]], ['["a", {"b": "ü"}]']),
        ({"a": "1"}, ["a 1"]),
    ],
)
def test_the_lines_of_an_answer(answer: object, said: list[str]) -> None:
    assert [*lines(answer)] == said
