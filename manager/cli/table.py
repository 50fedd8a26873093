"""The status as a table for a terminal. Imports rich, which the other commands do without."""

from rich.console import Console, Group
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


def render(seen: Look, before: Look | None = None) -> Group:
    """Table, summary and the manager's state. Texts from heartbeats are never read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name not in ("data", "why"), overflow="fold")
    for row in to_rows(seen, before):
        verdict = Text(row.verdict.value.replace("_", " "), style=_STYLES.get(row.verdict, "red"))
        texts = (row.state, row.uptime, row.flow, row.last_data, row.latency, row.reconnects, row.why)
        table.add_row(Text(row.id), verdict, *(Text(text) for text in texts))
    return Group(table, Text(), Text(summary_line(seen), style="bold"), Text(manager_line(seen)))


def console() -> Console:
    """A console for standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
