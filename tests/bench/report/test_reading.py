"""Finding figures in a result."""

import pytest

from tests.bench.report.reading import Step, at, matching, number, ratio

RESULT = {"rows": [{"rate": 100, "tls": True, "us": 1.5}, {"rate": 100, "tls": False, "us": 2}], "name": "x"}


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (("rows", {"rate": 100, "tls": False}, "us"), 2.0),
        (("rows", {"rate": 100}, "us"), 1.5),
        (("rows", {"rate": 1}, "us"), None),
        (("rows", "us"), None),
        (("absent", {"rate": 100}, "us"), None),
        (("name",), None),
    ],
)
def test_a_figure_is_found_by_names_and_fields(steps: tuple[Step, ...], found: float | None) -> None:
    assert number(RESULT, *steps) == found


def test_what_is_no_list_has_no_rows() -> None:
    assert matching(at(RESULT, "absent"), {}) == []


@pytest.mark.parametrize(
    ("upper", "lower", "found"), [(3.0, 2.0, 1.5), (None, 2.0, None), (3.0, None, None), (3, 0, None)]
)
def test_a_ratio_needs_both(upper: float | None, lower: float | None, found: float | None) -> None:
    assert ratio(upper, lower) == found
