"""Tables in Markdown."""

import pytest

from tests.bench.report.tables import figure, table


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123_456.7, "", "123,457"),
        (12.34, "µs", "12.3 µs"),
        (1.234, "", "1.23"),
        (1 / 6, "times", "0.167 times"),
        (-9.5, "%", "-9.5%"),
        (99.96, "", "100"),
        (45, "%", "45%"),
        (8.0, "", "8"),
        (None, "µs", "not measured"),
    ],
)
def test_a_figure_has_three_valid_digits(value: object, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_figures_are_ranged_right() -> None:
    assert table(("who", "n"), [("a", "1"), ("b", "2")]) == "| who | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n"


def test_there_is_no_table_without_rows() -> None:
    assert table(("who", "n"), []) == ""
