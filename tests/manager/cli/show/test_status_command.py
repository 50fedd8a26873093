import json
from typing import Any

import msgspec
import pytest
from redis.client import Pipeline

from common.config.fleet_file import load_fleet
from manager.cli.show.fleet_view import read_fleet_view
from manager.cli.show.status import to_json
from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.document import Figures
from manager.report.figures.system import SystemFigures
from tests.manager.cli.stage import BTC, ETH, SOL, CliStage, nothing
from tests.manager.fakes import NOW_NS, REDIS_AWAY, S
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState


def test_all_healthy_is_exit_0(stage: CliStage) -> None:
    stage.all_up()
    result = stage.run("status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "2 desired, 2 healthy, 1 disabled" in result.stdout
    assert "manager: not running (nothing is restarted)" in result.stdout


def test_one_not_healthy_is_exit_1(stage: CliStage) -> None:
    stage.all_up()
    stage.beat(ETH, state=WorkerState.CONNECTING, progress={}, last_error="[bold]okx[/bold] refused")
    result = stage.run("status")
    assert result.exit_code == 1
    assert "connecting for 10 min: [bold]okx[/bold] refused" in result.stdout, "text from a heartbeat is no markup"


def test_status_exits_1_when_redis_refuses_writes_even_with_heartbeats(
    stage: CliStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.all_up()
    monkeypatch.setattr("common.redis.redis_py.code_of_write", lambda _: "MISCONF")
    result = stage.run("status")
    assert result.exit_code == 1
    assert "2 desired, 0 healthy, 1 disabled, 2 unknown" in result.stdout
    assert "Redis takes no writes: MISCONF, since when is not known here" in result.stdout
    why = stage.run("why", "okx:BTC-USDT")
    assert (why.exit_code, why.stdout.splitlines()[0]) == (
        1,
        "okx:BTC-USDT is unknown: Redis takes no writes: MISCONF, since when is not known here",
    )


def test_json_is_the_whole_truth_and_nothing_else(stage: CliStage) -> None:
    stage.all_up()
    stage.redis.delete(keys.heartbeat(ETH))
    stage.redis.hset(
        keys.FLEET_MANAGER, mapping={"pid": "77", "state": "running", "host": "123", "parked": "{}", "beats": "5"}
    )
    taken = Figures(
        at=NOW_NS - S,
        totals=Totals(
            healthy=1, failed=1, restarted=4, reconnects=0, gaps=0, cpu_percent=1.0, rss_bytes=5, entries_per_s=2.0
        ),
        system=SystemFigures(cpu_count=2, manager_cpu_s=1.5),
        collectors={str(BTC): CollectorFigures(restarts=4, cpu_percent=1.0)},
    )
    stage.redis.set(keys.FLEET_FIGURES, msgspec.json.encode(taken))
    result = stage.run("status", "--json")
    document = json.loads(result.stdout)
    beat = document["collectors"][0].pop("heartbeat")
    assert (result.exit_code, result.stderr) == (1, "")
    assert document == {
        "manager": {"pid": 77, "state": "running", "host": "123", "parked": "{}", "beats": 5},
        "summary": {
            "desired": 2,
            "healthy": 1,
            "quiet": 0,
            "starting": 0,
            "silent": 0,
            "hung": 1,
            "dead": 0,
            "crash_looping": 0,
            "exchange_outage": 0,
            "misconfigured": 0,
            "disabled": 1,
            "unknown": 0,
        },
        "system": {"measured_at": NOW_NS - S, "cpu_count": 2, "manager_cpu_s": 1.5},
        "totals": msgspec.to_builtins(taken.totals),
        "redis_trouble": "",
        "unapplied": 0,
        "rival": "",
        "collectors": [
            {
                "id": "okx:BTC-USDT",
                "verdict": "healthy",
                "why": "data flows",
                "process": {
                    "state": "RUNNING",
                    "pid": 101,
                    "uptime_s": 600,
                    "started_at": NOW_NS - 600 * S,
                    "exit_status": 0,
                },
                "figures": {"restarts": 4, "cpu_percent": 1.0},
            },
            {
                "id": "okx:ETH-USDT",
                "verdict": "hung",
                "why": "no heartbeat 10 min after its start",
                "heartbeat": {},
                "process": {
                    "state": "RUNNING",
                    "pid": 102,
                    "uptime_s": 600,
                    "started_at": NOW_NS - 600 * S,
                    "exit_status": 0,
                },
                "figures": {},
            },
            {
                "id": "okx:SOL-USDT",
                "verdict": "disabled",
                "why": "disabled in the fleet file",
                "heartbeat": {},
                "process": {"state": "STOPPED", "pid": 0, "uptime_s": 0, "started_at": 0, "exit_status": 0},
                "figures": {},
            },
        ],
    }
    assert beat == stage.beat(BTC).to_fields()


def test_without_supervisord_and_manager_the_heartbeats_are_enough(stage: CliStage) -> None:
    stage.all_up()
    stage.supervisor.away = True
    document = json.loads(stage.run("status", "--json").stdout)
    assert [(c["verdict"], c["process"]) for c in document["collectors"]] == [
        ("healthy", {}),
        ("healthy", {}),
        ("disabled", {}),
    ]
    assert document["manager"] == {"state": "not running"}
    assert "these verdicts rest on the heartbeats alone" in stage.run("status").stdout


def test_a_parked_collector_is_known_from_the_managers_heartbeat(stage: CliStage) -> None:
    until_ns = stage.clock.now_ns() + 40 * S
    stage.redis.hset(keys.FLEET_MANAGER, "parked", json.dumps({str(BTC): until_ns}))
    collectors = json.loads(stage.run("status", "--json").stdout)["collectors"]
    assert [(c["verdict"], c["why"]) for c in collectors[:2]] == [
        ("crash_looping", "restarted too often; next try at 08:00:40 UTC"),
        ("dead", "not started yet"),
    ]


def test_a_manager_that_acts_for_another_fleet_is_not_taken_for_ours(stage: CliStage) -> None:
    stage.all_up()
    fields = {"host": "web-2", "pid": "7", "state": "running", "fleet_file": "/srv/fleet.toml", "fleet_id": "another"}
    stage.redis.hset(keys.FLEET_MANAGER, mapping=fields)
    why = "the manager on web-2 (pid 7) acts for another fleet (/srv/fleet.toml): nothing is looked after from here"
    assert json.loads(stage.run("status", "--json").stdout)["rival"] == why
    assert f"\ntwo fleets: {why}\n" in stage.run("status").stdout
    ours = load_fleet(stage.fleet_path, stage.environment).fingerprint()
    stage.redis.hset(keys.FLEET_MANAGER, "fleet_id", ours)
    assert json.loads(stage.run("status", "--json").stdout)["rival"] == ""
    assert "two fleets" not in stage.run("status").stdout


@pytest.mark.parametrize("key", [keys.heartbeat(BTC), keys.FLEET_MANAGER])
def test_a_foreign_value_in_a_key_does_not_break_the_command(stage: CliStage, key: str) -> None:
    stage.all_up()
    stage.redis.delete(key)
    stage.redis.set(key, "what?")
    for arguments in (("status",), ("status", "--json")):
        assert stage.run(*arguments).exit_code == (1 if key == keys.heartbeat(BTC) else 0)
    stage.redis.delete(key)
    stage.redis.hset(
        key, mapping={"pid": "x", "parked": "{", "state": "\x1b]0;", "started_at": "-", "beat_at": "1e999"}
    )
    for arguments in (("status",), ("status", "--json")):
        assert stage.run(*arguments).exit_code == (1 if key == keys.heartbeat(BTC) else 0)


def test_redis_away_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    result = stage.run("status")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"manager-cli: {REDIS_AWAY}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[collectors]]\nexchange = 1\nsymbol = 'BTC-USDT'\n",
            "{path}: collectors[0] (BTC-USDT): exchange is 1, must be a text",
        ),
        ("not toml", "{path}: not valid TOML: "),
    ],
)
def test_a_malformed_fleet_file_is_exit_2(stage: CliStage, text: str, message: str) -> None:
    stage.fleet_path.write_text(text)
    result = stage.run("status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {message.format(path=stage.fleet_path)}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--bogus"], "No such option: --bogus"),
        (["statsu"], "No such command 'statsu'"),
        ([], "Missing command."),
        (["status", "--fleet"], "--fleet wants the name of a file"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(stage: CliStage, arguments: list[str], message: str) -> None:
    result = stage.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {message}")
    assert result.stderr.count("\n") == 1


def test_another_fleet_file(stage: CliStage) -> None:
    stage.all_up()
    other = stage.folder / "other.toml"
    other.write_text('[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
    document = json.loads(stage.run("--fleet", str(other), "status", "--json").stdout)
    assert [collector["id"] for collector in document["collectors"]] == ["okx:BTC-USDT"]


def test_help_teaches(stage: CliStage) -> None:
    result = stage.run("--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "manager-cli status --watch" in result.stdout
    assert "exit codes: 0 all desired collectors are healthy, 1 some are not," in stage.run("status", "--help").stdout


def test_watch_prints_a_table_each_second_until_interrupted(stage: CliStage) -> None:
    stage.all_up()
    stage.on_wait = [lambda: stage.beat(BTC, progress={}), nothing]
    result = stage.run("status", "--watch")
    assert (result.exit_code, result.stdout.count("2 desired")) == (0, 3)


def test_watch_shows_rates(stage: CliStage) -> None:
    stage.all_up()
    progress = stage.beat(ETH).progress
    for done in progress.values():
        done.count += 30
    stage.on_wait = [lambda: stage.beat(ETH, progress=progress)]
    first, second = (line for line in stage.run("status", "--watch").stdout.splitlines() if "okx:ETH" in line)
    assert ("trade 100" in first, "trade 30/s" in second) == (True, True)


def test_watch_outlives_a_redis_that_goes_away_and_comes_back(stage: CliStage) -> None:
    stage.all_up()

    def back() -> None:
        stage.server.connected = True

    stage.on_wait = [lambda: setattr(stage.server, "connected", False), back, nothing]
    result = stage.run("status", "--watch", "--json")
    assert result.exit_code == 0
    assert result.stderr == f"manager-cli: {REDIS_AWAY}\n"
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 4


def test_a_hundred_collectors_take_no_more_round_trips_than_one(
    stage: CliStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    send = Pipeline.execute

    def counted(pipe: Pipeline, *args: Any, **kwargs: Any) -> list[Any]:
        trips.append(len(pipe))
        return send(pipe, *args, **kwargs)

    monkeypatch.setattr(Pipeline, "execute", counted)

    def of(count: int) -> tuple[int, int]:
        """The round trips to Redis and the calls of supervisord for a fleet of so many."""
        rows = [f'[[collectors]]\nexchange = "okx"\nsymbol = "C{number}-USDT"\n' for number in range(count)]
        stage.fleet_path.write_text("".join(rows))
        trips.clear()
        stage.supervisor.calls.clear()
        assert len(to_json(read_fleet_view(stage.tools, stage.tools.fleet(), stage.redis))["collectors"]) == count
        return len(trips), len(stage.supervisor.calls)

    assert of(100) == of(1)


def test_a_collector_that_left_no_trace_is_dead(stage: CliStage) -> None:
    stage.supervisor.away = True
    collectors = json.loads(stage.run("status", "--json").stdout)["collectors"]
    assert [(c["id"], c["verdict"], c["why"]) for c in collectors] == [
        (str(BTC), "dead", "no heartbeat"),
        (str(ETH), "dead", "no heartbeat"),
        (str(SOL), "disabled", "disabled in the fleet file"),
    ]
