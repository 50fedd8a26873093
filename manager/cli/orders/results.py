"""How an order went, collector by collector: lines, a table on a terminal, or one JSON document."""

import json
import sys
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from manager.cli.context import tell
from manager.cli.orders.target import Result
from tickfleet.errors import EXIT_FAILURE, EXIT_OK

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Report:
    """Takes results as they come; a context manager, whose end prints what has to wait for the last.

    Args:
        command: What was asked for.
        total: How many results there will be.
        as_json: Print one JSON document and nothing else.
    """

    def __init__(self, command: str, total: int, *, as_json: bool = False) -> None:
        self._command, self._total, self._as_json = command, total, as_json
        self._table = not as_json and total > 1 and sys.stdout.isatty()
        self._bar: Progress | None = None
        self._job: TaskID | None = None
        self.results = list[Result]()

    @property
    def exit_code(self) -> int:
        """0 where all is done."""
        return EXIT_OK if all(result.done for result in self.results) else EXIT_FAILURE

    def add(self, result: Result) -> None:
        """One more collector has come to its end."""
        self.results.append(result)
        if not (self._as_json or self._table):
            typer.echo(line(result))
        if self._bar is not None and self._job is not None:
            self._bar.update(self._job, completed=len(self.results))

    def note(self, text: str) -> None:
        """A line beside the results, on stderr; above the bar where there is one."""
        if self._bar is None:
            tell(text)
        else:
            self._bar.console.print(f"manager-cli: {text}", markup=False, highlight=False)

    def __enter__(self) -> "Report":
        if sys.stderr.isatty():
            from rich.console import Console  # slow to import, and only wanted on a terminal
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._job = self._bar.add_task(self._command, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._as_json and kind is None:
            sys.stdout.write(json.dumps(to_json(self._command, self.results)) + "\n")
        elif self._table:
            _print_table(self.results)


def line(result: Result) -> str:
    """``okx:BTC-USDT: done: stopped after 1.2 s``."""
    return f"{result.id}: {'done' if result.done else 'not done'}: {result.outcome}"


def to_json(command: str, results: list[Result]) -> dict[str, object]:
    """The document of ``--json``."""
    rows = [{"id": str(result.id), "done": result.done, "outcome": result.outcome} for result in results]
    return {"command": command, "done": all(result.done for result in results), "collectors": rows}


def _print_table(results: list[Result]) -> None:
    from rich.text import Text  # see above

    from manager.cli.columns import Column, Columns, console

    done, not_done = Text("done", "green"), Text("not done", "red")
    rows = [(str(result.id), done if result.done else not_done, result.outcome) for result in results]
    console().print(Columns((Column("collector", 0), Column("", 1), Column("outcome", 2, least=24)), rows))
