import pytest

from tests.manager.cli.stage import BTC, ETH, CliStage


@pytest.fixture(autouse=True)
def log_files(stage: CliStage) -> None:
    for name in (BTC.program, "manager", "collector-okx-LEFT-USDT"):
        (stage.environment.logs / f"{name}.log").write_text("".join(f"{name} {n}\n" for n in range(60)))


def test_the_last_fifty_lines(stage: CliStage) -> None:
    result = stage.run("logs", "okx:BTC-USDT")
    assert (result.exit_code, result.stdout) == (0, "".join(f"{BTC.program} {n}\n" for n in range(10, 60)))


@pytest.mark.parametrize(("name", "program"), [("manager", "manager"), ("okx:LEFT-USDT", "collector-okx-LEFT-USDT")])
def test_other_logs(stage: CliStage, name: str, program: str) -> None:
    assert stage.run("logs", name, "-n", "1").stdout == f"{program} 59\n"


def test_follow_until_interrupted(stage: CliStage) -> None:
    def append() -> None:
        with (stage.environment.logs / "manager.log").open("a") as file:
            file.write("more\n")

    stage.on_wait = [append]
    result = stage.run("logs", "manager", "-n", "0", "-f")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "more\n", "")


def test_a_collector_without_a_log_is_exit_1(stage: CliStage) -> None:
    result = stage.run("logs", "okx:ETH-USDT")
    path = stage.environment.logs / f"{ETH.program}.log"
    assert (result.exit_code, result.stderr) == (1, f"manager-cli: okx:ETH-USDT has no log yet ({path})\n")


OTHERS = "manager, redis, watchdog, and the IDs that manager-cli list shows"


@pytest.mark.parametrize(
    ("name", "hint"), [("okx:ETH-USDTT", "; did you mean 'okx:ETH-USDT'?"), ("managr", "; did you mean 'manager'?")]
)
def test_an_unknown_name_is_exit_2(stage: CliStage, name: str, hint: str) -> None:
    result = stage.run("logs", name)
    assert (result.exit_code, result.stderr) == (
        2,
        f"manager-cli: there is no log of {name!r}{hint} (known: {OTHERS})\n",
    )
