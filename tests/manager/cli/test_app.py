import pytest

from manager.cli.app import global_first


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
