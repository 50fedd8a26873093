"""The result for people at a terminal. Pure."""

from collections.abc import Mapping, Sequence

_TOO_LONG = ("rounds", "turns", "series")
"""What is in the document only."""

_MOST_COLUMNS = 16


def lines(scenarios: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Each scenario with its single figures, and a table for each of its lists of rows."""
    shown = []
    for name, result in scenarios.items():
        shown += ["", name, "-" * len(name)]
        shown += [f"{key:40} {_text(value):>12}" for key, value in flat(result).items()]
        for title, rows in _lists(result).items():
            shown += ["", f"{title}:", *_table(rows)]
    return shown


def flat(result: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Single figures, those of objects below by their path; lists are left out."""
    found: dict[str, object] = {}
    for key, value in result.items():
        if isinstance(value, Mapping) and key not in _TOO_LONG:
            found |= flat(value, f"{prefix}{key}.")
        elif not isinstance(value, Mapping | list):
            found[prefix + key] = value
    return found


def _lists(result: Mapping[str, object]) -> dict[str, list[dict[str, object]]]:
    found = {key: value for key, value in result.items() if isinstance(value, list) and key not in _TOO_LONG}
    return {key: [flat(row) for row in rows] for key, rows in found.items()}


def _table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A line for each row; for each figure instead, where those are too many for a line."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    cells = [heads, *([_text(row.get(head, "")) for head in heads] for row in rows)]
    if len(heads) > _MOST_COLUMNS:
        cells = [list(figures) for figures in zip(*cells, strict=True)]
        heads = cells[0]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
