"""The status as a table for a terminal. Imports rich, which the other commands do without."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from manager.cli.look import Look
from manager.cli.status import manager_line, summary_line, to_rows
from manager.verdicts import Verdict

PLAIN_WIDTH = 240
"""Where no terminal limits the width: nothing is cut, as somebody may search in it."""

_STYLES = {
    Verdict.HEALTHY: "green",
    Verdict.QUIET: "green",
    Verdict.STARTING: "yellow",
    Verdict.DISABLED: "bright_black",
    Verdict.UNKNOWN: "yellow",
}
_COLUMNS = ("collector", "verdict", "state", "uptime", "data", "last data", "ms p50/p99", "reconnects", "why")
_LESS = {150: {"uptime", "reconnects"}, 120: {"state", "ms p50/p99"}, 100: {"data"}}
"""Below a width (characters) these columns are left out: a cell of a letter a line is no help."""


class StatusView:
    """Summary and the manager's state, then the table, as wide as the terminal allows.

    The summary comes first: a long table is cut at the bottom of the screen. Texts from heartbeats are never markup.
    """

    def __init__(self, seen: Look, before: Look | None = None) -> None:
        self._seen = seen
        self._before = before

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """What rich asks for."""
        yield Text(summary_line(self._seen), style="bold")
        yield Text(manager_line(self._seen))
        yield Text()
        yield self._table(options.max_width)

    def _table(self, width: int) -> Table:
        dropped = {name for below, names in _LESS.items() if width < below for name in names}
        shown = [name for name in _COLUMNS if name not in dropped]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in shown:
            table.add_column(name, no_wrap=name not in ("data", "why"), overflow="fold")
        for row in to_rows(self._seen, self._before):
            style = _STYLES.get(row.verdict, "red")
            verdict = row.verdict.value.replace("_", " ")
            texts = (
                row.id,
                verdict,
                row.state,
                row.uptime,
                row.flow,
                row.last_data,
                row.latency,
                row.reconnects,
                row.why,
            )
            cells = {name: Text(text) for name, text in zip(_COLUMNS, texts, strict=True)}
            cells["verdict"].stylize(style)
            table.add_row(*(cells[name] for name in shown))
        return table


def render(seen: Look, before: Look | None = None) -> StatusView:
    """The view of a look; with the one before it rates can be told."""
    return StatusView(seen, before)


def console() -> Console:
    """A console for standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
