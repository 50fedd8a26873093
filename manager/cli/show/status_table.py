"""The status as a table for a terminal. Imports rich, which the other commands do without."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from manager.cli.columns import Column, Columns
from manager.cli.show.fleet_view import FleetView
from manager.cli.show.status import manager_line, summary_line, to_rows
from manager.model.verdicts import Verdict

_STYLES = {
    Verdict.HEALTHY: "green",
    Verdict.QUIET: "green",
    Verdict.STARTING: "yellow",
    Verdict.DISABLED: "bright_black",
    Verdict.UNKNOWN: "yellow",
}
_COLUMNS = (
    Column("collector", 0),
    Column("verdict", 1),
    Column("state", 5),
    Column("uptime", 7),
    Column("data", 4, least=24),
    Column("last data", 3),
    Column("ms p50/p99", 6),
    Column("reconnects", 8),
    Column("version", 9),
    Column("why", 2, least=24),
)


class StatusView:
    """Summary and the manager's state, then the table, as wide as the terminal allows.

    The summary comes first: a long table is cut at the bottom of the screen. Texts from heartbeats are never markup.
    """

    def __init__(self, seen: FleetView, before: FleetView | None = None) -> None:
        self._seen = seen
        self._before = before

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> RenderResult:
        """What rich asks for."""
        yield Text(summary_line(self._seen), style="bold")
        yield Text(manager_line(self._seen))
        yield Text()
        yield self._table()

    def _table(self) -> Columns:
        rows = []
        for row in to_rows(self._seen, self._before):
            verdict = Text(row.verdict.value.replace("_", " "), _STYLES.get(row.verdict, "red"))
            progress = (row.state, row.uptime, row.throughput, row.last_data, row.latency, row.reconnects, row.version)
            rows.append((row.id, verdict, *progress, row.why))
        return Columns(_COLUMNS, rows)


def render(seen: FleetView, before: FleetView | None = None) -> StatusView:
    """The view of a look; with the one before it rates can be told."""
    return StatusView(seen, before)
