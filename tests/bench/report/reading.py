"""Finds figures in the result of a run, of which any part may be absent. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
Step = str | Mapping[str, object]


def at(result: object, *steps: Step) -> Any:
    """What is at a place; None where there is no such place.

    Args:
        result: A JSON value.
        steps: Names of objects; in a list, the fields that the wanted row has (the first one that has them).
    """
    for step in steps:
        if isinstance(step, str):
            result = result.get(step) if isinstance(result, Mapping) else None
        else:
            result = next(iter(matching(result, step)), None)
    return result


def matching(rows: object, fields: Mapping[str, object]) -> list[Json]:
    """The rows of a list that have these fields; none where it is no list."""
    if not isinstance(rows, Sequence):
        return []
    return [row for row in rows if isinstance(row, Mapping) and fields.items() <= row.items()]


def number(result: object, *steps: Step) -> float | None:
    """The figure at a place; None where there is none."""
    found = at(result, *steps)
    return float(found) if isinstance(found, int | float) else None


def ratio(upper: float | None, lower: float | None) -> float | None:
    """How many times the lower one the upper one is; None where one of them is absent or the lower one nothing."""
    return upper / lower if upper is not None and lower else None
