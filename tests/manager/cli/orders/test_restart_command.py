import json

import pytest
from msgspec.structs import replace

from manager.cli.context import login_name
from manager.desired.overrides import Override, OverrideState
from manager.model.processes import ProcessState
from manager.supervisord.client import Fault
from tests.manager.cli.stage import BTC, ETH, CliStage, nothing
from tests.manager.fakes import REDIS_AWAY
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState
from tickfleet.errors import SupervisorUnreachableError


def journal(stage: CliStage) -> list[tuple[str, str, str, str]]:
    rows = [fields for _, fields in stage.redis.xrange(keys.FLEET_EVENTS)]
    return [(row["who"], row["what"], row["collector"], row["outcome"]) for row in rows]


def test_one_collector_is_restarted_and_the_others_go_on(stage: CliStage) -> None:
    stage.all_up()
    stage.on_wait = [nothing, lambda: stage.beat(BTC, run_id="new", state=WorkerState.CONNECTING)]
    stage.on_wait += [lambda: stage.beat(BTC, run_id="new")]
    result = stage.run("restart", "okx:BTC-USDT")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "okx:BTC-USDT: done: running after 0.6 s, pid 103\n"
    assert stage.supervisor.calls == [("stop", BTC.program), ("start", BTC.program)]
    assert journal(stage) == [(login_name(), "restarted", "okx:BTC-USDT", "done: running after 0.6 s, pid 103")]


@pytest.mark.parametrize("names", [["all"], ["okx:*"], ["okx:BTC-USDT", "okx:ETH-*"]])
def test_many_are_restarted_and_the_disabled_left_out(stage: CliStage, names: list[str]) -> None:
    stage.all_up()

    def beats() -> None:
        for collector in (BTC, ETH):
            stage.beat(collector, run_id="new")

    stage.on_wait = [nothing, beats]
    assert stage.run("restart", *names).exit_code == 0
    assert sorted(stage.supervisor.calls) == sorted(
        (call, collector.program) for call in ("stop", "start") for collector in (BTC, ETH)
    )


def test_one_that_does_not_come_up_is_exit_1(stage: CliStage) -> None:
    stage.all_up()
    stage.on_wait = [nothing, lambda: stage.supervisor.end(BTC.program, ProcessState.FATAL)]
    result = stage.run("restart", "okx:BTC-USDT")
    assert result.exit_code == 1
    assert result.stdout == "okx:BTC-USDT: not done: its process ended at once (manager-cli logs okx:BTC-USDT)\n"
    assert journal(stage)[0][3].startswith("failed: ")


def test_a_refusal_of_supervisord_is_exit_1(stage: CliStage) -> None:
    stage.all_up()
    stage.supervisor.end(ETH.program, ProcessState.FATAL)
    stage.supervisor.refusals["start"] = Fault.NO_FILE
    result = stage.run("restart", "okx:ETH-USDT")
    assert (result.exit_code, result.stdout) == (1, "okx:ETH-USDT: not done: the program's file does not exist\n")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["okx:BTC-USDTT"],
            "there is no collector 'okx:BTC-USDTT'; did you mean 'okx:BTC-USDT'? (manager-cli list shows them)",
        ),
        (["okx:BTC-USDT", "nonsense"], "there is no collector 'nonsense' (manager-cli list shows them)"),
        (["kraken:*"], "no collector matches 'kraken:*' (manager-cli list shows them)"),
        (["okx:SOL-USDT"], "okx:SOL-USDT is disabled in the fleet file (manager-cli enable okx:SOL-USDT)"),
        (["okx:S*"], "all collectors that okx:S* names are disabled or stopped"),
    ],
)
def test_a_name_that_means_nothing_is_exit_2_and_changes_nothing(
    stage: CliStage, names: list[str], message: str
) -> None:
    stage.all_up()
    result = stage.run("restart", *names)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"manager-cli: {message}\n")
    assert (stage.supervisor.calls, journal(stage)) == ([], [])


def test_a_program_that_supervisord_does_not_know_yet_is_exit_2(stage: CliStage) -> None:
    stage.all_up()
    del stage.supervisor.table[BTC.program]
    result = stage.run("restart", "all", "okx:BTC-USDT")
    assert (result.exit_code, result.stderr) == (
        2,
        "manager-cli: supervisord does not know okx:BTC-USDT yet (does the manager run?)\n",
    )
    assert stage.supervisor.calls == []


@pytest.mark.parametrize("command", [["restart-all"], ["restart", "all"], ["restart", "okx:*"]])
def test_restart_skips_an_unknown_program_and_restarts_all_others(stage: CliStage, command: list[str]) -> None:
    stage.all_up()
    del stage.supervisor.table[BTC.program]
    stage.on_wait = [nothing, lambda: stage.beat(ETH, run_id="new")]
    result = stage.run(*command)
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "okx:ETH-USDT: done: running after 0.4 s, pid 103\n",
        "manager-cli: okx:BTC-USDT is left out: supervisord does not know it yet (manager-cli plan)\n",
    )


def test_where_none_is_there_yet_a_restart_is_exit_2(stage: CliStage) -> None:
    stage.supervisor.table.clear()
    result = stage.run("restart-all")
    why = "supervisord does not know okx:BTC-USDT yet (does the manager run?)"
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {why}\n")


def test_who_waits_is_told_what_for_and_again_when_that_changes(stage: CliStage) -> None:
    stage.all_up()
    doing = {"state": WorkerState.CONNECTING, "run_id": "new", "progress": {}}
    stage.on_wait = [nothing, lambda: stage.beat(BTC, **doing, last_error="refused"), *[nothing] * 40]
    stage.on_wait += [lambda: stage.beat(BTC, **doing, last_error="no such name"), *[nothing] * 10]
    stage.on_wait += [lambda: stage.beat(BTC, run_id="new")]
    result = stage.run("restart", "okx:BTC-USDT", "--json")
    assert json.loads(result.stdout)["done"]
    assert (result.exit_code, result.stderr) == (
        0,
        "manager-cli: waiting for okx:BTC-USDT: connecting: refused\n"
        "manager-cli: waiting for okx:BTC-USDT: connecting: no such name\n",
    )


def test_supervisord_away_is_exit_3(stage: CliStage) -> None:
    stage.all_up()
    stage.supervisor.away = True
    result = stage.run("restart", "all")
    assert (result.exit_code, result.stderr) == (3, "manager-cli: supervisord does not answer at /fake\n")


def test_a_socket_of_another_user_is_exit_3(stage: CliStage) -> None:
    class Forbidden:
        def processes(self) -> None:
            raise SupervisorUnreachableError("supervisord's socket /s may not be used by this user")

    stage.tools = replace(stage.tools, supervisor=lambda *_: Forbidden())
    result = stage.run("restart", "all")
    assert (result.exit_code, result.stderr) == (
        3,
        "manager-cli: supervisord's socket /s may not be used by this user\n",
    )


def test_redis_away_is_exit_3_and_nothing_is_changed(stage: CliStage) -> None:
    stage.all_up()
    stage.server.connected = False
    result = stage.run("restart", "all")
    assert (result.exit_code, result.stderr) == (3, f"manager-cli: {REDIS_AWAY}\n")
    assert stage.supervisor.calls == []


def test_the_manager_may_replace_the_program_meanwhile(stage: CliStage) -> None:
    stage.all_up()
    stage.on_wait = [lambda: stage.supervisor.start(BTC.program), lambda: stage.beat(BTC, run_id="new")]
    result = stage.run("restart", "okx:BTC-USDT", "--timeout", "30")
    assert (result.exit_code, result.stdout) == (0, "okx:BTC-USDT: done: running after 0.4 s, pid 103\n")
    assert stage.supervisor.calls == [("stop", BTC.program), ("start", BTC.program)]


def test_ten_at_a_time(stage: CliStage) -> None:
    rows = [f'[[collectors]]\nexchange = "okx"\nsymbol = "C{number}-USDT"\n' for number in range(25)]
    stage.fleet_path.write_text("".join(rows))
    ids = [of.id for of in stage.tools.fleet().collectors]
    stage.supervisor.know(*(collector.program for collector in ids))
    down: list[int] = []

    def beats() -> None:
        up = [collector for collector in ids if stage.supervisor.table[collector.program].alive]
        down.append(sum(not stage.redis.exists(keys.heartbeat(collector)) for collector in up))
        for collector in up:
            stage.beat(collector, run_id="new")

    stage.on_wait = [beats] * 5
    result = stage.run("restart", "all")
    assert (result.exit_code, down) == (0, [10, 0, 10, 0, 5])


def test_restart_waits_for_a_program_that_the_manager_replaces_just_then(stage: CliStage) -> None:
    stage.all_up()

    def gone() -> None:
        stage.supervisor.table.pop(BTC.program)

    def back() -> None:
        stage.supervisor.know(BTC.program)

    stage.on_wait = [gone, nothing, back, nothing, lambda: stage.beat(BTC, run_id="new")]
    result = stage.run("restart", "okx:BTC-USDT")
    assert (result.exit_code, result.stdout) == (0, "okx:BTC-USDT: done: running after 1.0 s, pid 103\n")
    assert stage.supervisor.calls == [("stop", BTC.program), ("start", BTC.program)]


def test_a_start_that_meets_the_gap_is_made_again(stage: CliStage) -> None:
    stage.all_up()
    stage.supervisor.end(BTC.program, ProcessState.FATAL)
    stage.supervisor.refusals["start"] = Fault.BAD_NAME
    stage.on_wait = [stage.supervisor.refusals.clear, nothing, lambda: stage.beat(BTC, run_id="new")]
    result = stage.run("restart", "okx:BTC-USDT")
    assert (result.exit_code, stage.supervisor.calls) == (0, [("start", BTC.program)] * 2)


def test_a_program_that_stays_away_fails_and_the_others_go_on(stage: CliStage) -> None:
    stage.all_up()

    def gone() -> None:
        stage.supervisor.table.pop(BTC.program, None)

    stage.on_wait = [gone, lambda: stage.beat(ETH, run_id="new"), *[nothing] * 8]
    result = stage.run("restart", "okx:BTC-USDT", "okx:ETH-USDT", "--timeout", "1")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "okx:ETH-USDT: done: running after 0.4 s, pid 103",
            "okx:BTC-USDT: not done: supervisord has not known its program for 1 s",
        ],
    )


def batches(stage: CliStage, *, failing: str = "") -> list[set[str]]:
    """Let a fleet of five come up a wait after each is started; the sets of those that were down together."""
    rows = [f'[[collectors]]\nexchange = "okx"\nsymbol = "C{number}-USDT"\n' for number in range(5)]
    stage.fleet_path.write_text("".join(rows))
    ids = [of.id for of in stage.tools.fleet().collectors]
    stage.supervisor.know(*(collector.program for collector in ids))
    down = list[set[str]]()

    def beats() -> None:
        up = [collector for collector in ids if stage.supervisor.table[collector.program].alive]
        fresh = {each.symbol for each in up if not stage.redis.exists(keys.heartbeat(each))}
        down.extend([fresh] if fresh else [])
        for collector in up:
            if collector.symbol == failing:
                stage.supervisor.end(collector.program, ProcessState.FATAL)
            else:
                stage.beat(collector, run_id="new")

    stage.on_wait = [beats] * 12
    return down


def test_a_rolling_restart_waits_for_each_batch(stage: CliStage) -> None:
    down = batches(stage)
    result = stage.run("restart-all", "--at-once", "2")
    assert (result.exit_code, down) == (0, [{"C0-USDT", "C1-USDT"}, {"C2-USDT", "C3-USDT"}, {"C4-USDT"}])


def test_a_rolling_restart_stops_at_the_first_batch_that_fails(stage: CliStage) -> None:
    down = batches(stage, failing="C1-USDT")
    result = stage.run("restart-all", "--at-once", "2", "--json")
    assert (result.exit_code, down) == (1, [{"C0-USDT", "C1-USDT"}])
    left = "left as it is, after one that failed"
    assert sorted((row["id"], row["done"], row["outcome"]) for row in json.loads(result.stdout)["collectors"]) == [
        ("okx:C0-USDT", True, "running after 0.2 s, pid 101"),
        ("okx:C1-USDT", False, "its process ended at once (manager-cli logs okx:C1-USDT)"),
        *((f"okx:C{number}-USDT", False, left) for number in (2, 3, 4)),
    ]


def test_a_rolling_restart_may_keep_going(stage: CliStage) -> None:
    down = batches(stage, failing="C1-USDT")
    result = stage.run("restart-all", "--at-once", "3", "--keep-going")
    assert (result.exit_code, down) == (1, [{"C0-USDT", "C1-USDT", "C2-USDT"}, {"C3-USDT", "C4-USDT"}])


def test_what_an_operator_stopped_is_not_restarted(stage: CliStage) -> None:
    stage.all_up()
    stage.override("okx:BTC-USDT", Override(state=OverrideState.STOPPED, who="alice", at=1_774_778_400_000_000_000))
    result = stage.run("restart", "okx:BTC-USDT")
    why = "okx:BTC-USDT is stopped by alice at 2026-03-29 10:00 UTC (manager-cli start okx:BTC-USDT)"
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {why}\n")
    stage.on_wait = [nothing, lambda: stage.beat(ETH, run_id="new")]
    assert stage.run("restart", "all").stdout == "okx:ETH-USDT: done: running after 0.4 s, pid 103\n"
