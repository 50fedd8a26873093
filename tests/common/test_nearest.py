import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.nearest import did_you_mean

KNOWN = ["data_types", "candle_intervals", "enabled"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("data_type", "; did you mean 'data_types'?"),
        ("enable", "; did you mean 'enabled'?"),
        ("candel_intervals", "; did you mean 'candle_intervals'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_name_is_proposed(name: str, hint: str) -> None:
    assert did_you_mean(name, KNOWN) == hint


def test_nothing_known_nothing_proposed() -> None:
    assert did_you_mean("enabled", []) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_only_known_names_are_proposed(name: str, known: list[str]) -> None:
    assert did_you_mean(name, known) in {"", *(f"; did you mean {other!r}?" for other in known)}
