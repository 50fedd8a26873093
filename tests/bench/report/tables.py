"""Tables and figures in Markdown. Pure."""

from collections.abc import Iterable, Sequence

ABSENT = "not measured"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """A table whose columns from ``numbers_from`` on are ranged right; empty where it has no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    rule = ["---"] * numbers_from + ["---:"] * (len(head) - numbers_from)
    return "\n".join([f"| {' | '.join(head)} |", f"| {' | '.join(rule)} |", *lines]) + "\n"


def figure(value: object, unit: str = "") -> str:
    """A figure with three valid digits, thousands parted; ``not measured`` where there is none."""
    if not isinstance(value, int | float):
        return ABSENT
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}" if unit and unit != "%" else text + unit
