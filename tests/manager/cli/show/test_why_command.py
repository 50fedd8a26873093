import json

from tests.manager.cli.stage import BTC, CliStage
from tests.manager.fakes import NOW_NS, S
from tickfleet.contract import keys


def tell(stage: CliStage, what: str, at_ns: int, **fields: str) -> None:
    stage.redis.xadd(keys.FLEET_EVENTS, {"at": at_ns, "who": "manager", "what": what, **fields})


def test_facts_and_the_time_line(stage: CliStage) -> None:
    stage.all_up()
    stage.beat(BTC, last_error="the exchange closed the connection")
    tell(stage, "verdict_changed", NOW_NS - 30 * S, collector=str(BTC), why="no heartbeat for 12 s", to="hung")
    tell(stage, "run_seen", NOW_NS - 29 * S, collector="okx:ETH-USDT", pid="5", started_s="4")
    tell(stage, "run_seen", NOW_NS - 28 * S, collector=str(BTC), pid="5", started_s="4")
    tell(stage, "run_seen", NOW_NS - 20 * S, collector=str(BTC), pid="6", started_s="5")
    result = stage.run("why", str(BTC))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "okx:BTC-USDT is healthy: data flows"
    assert "  process    running, pid 101, up 10 min" in lines
    assert "  last error the exchange closed the connection" in lines
    assert "  restarts   1 of 5 allowed within 60 s" in lines
    timeline = lines[lines.index("") + 1 :]
    assert [line.split("  ")[2] for line in timeline] == [
        "verdict: new -> hung, no heartbeat for 12 s",
        "run seen",
        "run seen",
    ]


def test_one_that_is_left_alone(stage: CliStage) -> None:
    until = NOW_NS + 40 * S
    tell(stage, "parked", NOW_NS, collector=str(BTC), until=str(until), parks="3", why="too often")
    stage.redis.hset(keys.FLEET_MANAGER, mapping={"pid": "1", "parked": json.dumps({str(BTC): until})})
    result = stage.run("why", str(BTC), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["verdict"] == "crash_looping"
    assert document["facts"]["heartbeat"] == "none"
    assert document["facts"]["restarts"].startswith(
        "0 of 5 allowed within 60 s, counted anew since it was left alone for the third time; next try at "
    )
    assert [event["what"] for event in document["events"]] == ["parked"]


def test_earlier_events_are_counted_not_shown(stage: CliStage) -> None:
    for number in range(5):
        tell(stage, "run_seen", NOW_NS, collector=str(BTC), pid=str(number), started_s=str(number + 1))
    result = stage.run("why", str(BTC), "-n", "2")
    assert "(3 earlier events: manager-cli why okx:BTC-USDT -n 5)" in result.stdout
    assert result.stdout.count("run seen") == 2
    assert "run seen" not in stage.run("why", str(BTC), "-n", "0").stdout


def test_no_such_collector_names_the_nearest(stage: CliStage) -> None:
    result = stage.run("why", "okx:BTC-USTD")
    assert result.exit_code == 2
    assert "did you mean 'okx:BTC-USDT'?" in result.stderr


def test_no_such_collector_names_no_other_asset(stage: CliStage) -> None:
    result = stage.run("why", "okx:NOPE-USDT")
    assert (result.exit_code, result.stderr) == (
        2,
        "manager-cli: there is no collector 'okx:NOPE-USDT' (manager-cli list shows them)\n",
    )


def test_a_pattern_is_refused(stage: CliStage) -> None:
    result = stage.run("why", "okx:*")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_without_redis_it_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    assert stage.run("why", str(BTC)).exit_code == 3
