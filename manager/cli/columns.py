"""Tables for a terminal that never cut a text: if the width is too small, whole columns are left out, with a note.

A terminal that is too narrow for all columns gets the most important ones; a column without any text is left out first.
Some texts may be broken over lines, between words; ids, times and verdicts are never broken. Imports rich.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 5_000
"""The width without a terminal: everything is shown, each row in one line, so that one can search in it."""

_BETWEEN = 2


class Column(Struct, frozen=True):
    """One column.

    Attributes:
        rank: The columns with the highest rank are left out first.
        least: The least width, in characters, to which a text of several words may be broken over lines; 0: it is not
            broken.
    """

    name: str
    rank: int
    least: int = 0


class Columns:
    """Such a table; texts from heartbeats or the journal are never markup.

    Args:
        columns: From left to right.
        rows: Their texts, with a style where they have one.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
        self._columns = columns
        self._rows = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """What rich asks for."""
        empty = {column.name for index, column in enumerate(self._columns) if not any(row[index] for row in self._rows)}
        ranks = [column.rank + len(self._columns) * (column.name in empty) for column in self._columns]
        shown = chosen(ranks, self._least(), options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), header_style="bold")
        for index, width in zip(shown, self._widths(shown, options.max_width), strict=True):
            table.add_column(self._columns[index].name, width=width, overflow="fold")
        for row in self._rows:
            table.add_row(*(row[index] for index in shown))
        yield table
        names = [column.name for index, column in enumerate(self._columns) if index not in shown]
        if left_out := [name for name in names if name and name not in empty]:
            yield Text(f"(left out: {', '.join(left_out)}; {_total(self._least())} columns show all)", "dim")

    def _least(self) -> list[int]:
        """How wide each column must be at least."""
        return [
            min(widest, max(column.least, longest)) if column.least else widest
            for column, widest, longest in zip(self._columns, self._widest(), self._longest_words(), strict=True)
        ]

    def _widest(self) -> list[int]:
        return [max(map(cell_len, texts)) for texts in self._texts()]

    def _longest_words(self) -> list[int]:
        return [max((cell_len(word) for text in texts for word in text.split()), default=0) for texts in self._texts()]

    def _texts(self) -> list[list[str]]:
        return [[column.name, *(row[index].plain for row in self._rows)] for index, column in enumerate(self._columns)]

    def _widths(self, shown: Sequence[int], limit: int) -> list[int]:
        """Each column as wide as it needs to be; the columns with broken texts share the remaining width evenly."""
        least, widest = self._least(), self._widest()
        widths = {index: least[index] for index in shown}
        left = limit - _total(widths.values())
        wanting = [index for index in shown if widths[index] < widest[index]]
        for done, index in enumerate(sorted(wanting, key=lambda index: widest[index] - least[index])):
            more = min(widest[index] - least[index], left // (len(wanting) - done))
            widths[index] += more
            left -= more
        return [min(width, limit) for width in widths.values()]


def chosen(ranks: Sequence[int], least: Sequence[int], limit: int) -> list[int]:
    """The positions of the columns that are shown in a width: the most important that fit together, at least one."""
    shown = list(range(len(ranks)))
    while len(shown) > 1 and _total(least[index] for index in shown) > limit:
        shown.remove(max(shown, key=lambda index: (ranks[index], index)))
    return shown


def _total(widths: Iterable[int]) -> int:
    every = [*widths]
    return sum(every) + _BETWEEN * (len(every) - 1)


def console() -> Console:
    """A console for standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
