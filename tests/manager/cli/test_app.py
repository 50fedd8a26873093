import pytest

from manager.cli.app import global_first
from tests.manager.cli.stage import CliStage


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["status"], ["status"]),
        (["status", "--json", "--fleet", "f", "--watch"], ["--fleet", "f", "status", "--json", "--watch"]),
        (["status", "--fleet=f"], ["--fleet=f", "status"]),
        (["logs", "--", "--fleet", "f"], ["logs", "--", "--fleet", "f"]),
    ],
)
def test_the_global_option_may_stand_anywhere(given: list[str], understood: list[str]) -> None:
    assert global_first(given) == understood


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("doctor", "--rights", "reader"),
            "Invalid value for '--rights': 'reader'; did you mean 'readers'?"
            " (known: fleet, collectors, manager, commands, readers)",
        ),
        (
            ("export", "okx:BTC-USDT", "trade", "x.csv", "--decimals", "json"),
            "Invalid value for '--decimals': 'json' (known: text, decimal, float)",
        ),
    ],
)
def test_a_choice_that_there_is_not_is_told_with_the_nearest(
    stage: CliStage, command: tuple[str, ...], message: str
) -> None:
    result = stage.run(*command)
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {message} (see manager-cli --help)\n")
