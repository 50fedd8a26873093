import json
from typing import Any

from tests.manager.cli.stage import CliStage, nothing
from tests.manager.fakes import NOW_NS, S
from tickfleet.contract import keys


def tell(stage: CliStage, what: str, at_ns: int = NOW_NS, **fields: str) -> None:
    stage.redis.xadd(keys.FLEET_EVENTS, {"at": at_ns, "who": "manager", "what": what, **fields})


def events_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_last_ones_oldest_first(stage: CliStage) -> None:
    for number in range(5):
        tell(stage, "run_seen", collector="okx:BTC-USDT", pid=str(number))
    result = stage.run("events", "-n", "2", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [event["details"] for event in events_of(result.stdout)] == [{"pid": "3"}, {"pid": "4"}]


def test_since_and_of_one_collector(stage: CliStage) -> None:
    tell(stage, "manager_started", NOW_NS - 7_200 * S)
    tell(stage, "run_seen", NOW_NS - 60 * S, collector="okx:BTC-USDT")
    tell(stage, "run_seen", NOW_NS - 60 * S, collector="okx:ETH-USDT")
    tell(stage, "manager_started", NOW_NS)
    result = stage.run("events", "okx:BTC-USDT", "--since", "-1h", "--json")
    found = [(event["what"], event["collector"]) for event in events_of(result.stdout)]
    assert found == [("run_seen", "okx:BTC-USDT"), ("manager_started", "")]


def test_more_than_a_page(stage: CliStage) -> None:
    with stage.redis.pipeline() as pipe:
        for number in range(2_500):
            pipe.xadd(keys.FLEET_EVENTS, {"at": NOW_NS, "what": "run_seen", "collector": "okx:A-B", "pid": number})
        pipe.execute()
    result = stage.run("events", "-n", "2200", "--json")
    assert [event["details"]["pid"] for event in events_of(result.stdout)] == [str(n) for n in range(300, 2_500)]


def test_follow_prints_what_is_added_and_survives_a_redis_that_is_away(stage: CliStage) -> None:
    tell(stage, "manager_started")

    def away() -> None:
        stage.server.connected = False

    def back() -> None:
        stage.server.connected = True
        tell(stage, "run_seen", collector="okx:BTC-USDT")

    stage.on_wait = [away, nothing, back]
    result = stage.run("events", "--follow", "--json")
    assert [event["what"] for event in events_of(result.stdout)] == ["manager_started", "run_seen"]
    assert "cannot be reached" in result.stderr


def test_an_empty_journal_is_no_error(stage: CliStage) -> None:
    result = stage.run("events")
    assert (result.exit_code, result.output) == (0, "")


def test_what_is_no_journal_is_told_in_one_line(stage: CliStage) -> None:
    stage.redis.set(keys.FLEET_EVENTS, "x")
    result = stage.run("events")
    assert (result.exit_code, result.stderr) == (1, "manager-cli: the journal md:v1:fleet:events cannot be read\n")


def test_a_wrong_time_is_a_usage_error(stage: CliStage) -> None:
    result = stage.run("events", "--since", "yesterday")
    assert result.exit_code == 2
    assert "'yesterday' is not a time" in result.stderr


def test_a_collector_that_nobody_knows_is_told_with_the_nearest(stage: CliStage) -> None:
    tell(stage, "manager_started")
    tell(stage, "run_seen", collector="okx:GONE-USDT")
    assert stage.run("events", "okx:GONE-USDT").exit_code == 0, "it has left the fleet, and there is something to tell"
    result = stage.run("events", "okx:BTC-USTD")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean 'okx:BTC-USDT'?" in result.stderr


def test_without_redis_it_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    assert stage.run("events").exit_code == 3
