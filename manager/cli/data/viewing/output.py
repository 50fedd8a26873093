"""Standard output of an endless command: lines in batches, until a count is reached or the reader is gone."""

import io
import select
import sys
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import typer

from manager.cli.data.viewing.lines import ShownLine
from manager.cli.show.event_format import INDENT
from manager.cli.wrapping import wrapped

T = TypeVar("T")


class Printer(Generic[T]):
    """Prints entries; each batch at once.

    Args:
        render: What to print of an entry.
        count: After so many it is ``done``; None: never.
    """

    def __init__(self, render: Callable[[T], ShownLine | str], count: int | None) -> None:
        self._render = render
        self._left = count

    def show(self, entries: Iterable[T]) -> None:
        """Print them, or as many as are wanted still.

        Raises:
            BrokenPipeError: Nobody reads any more.
        """
        wanted = list(entries)[: self._left]
        if self._left is not None:
            self._left -= len(wanted)
        if wanted:
            sys.stdout.write("".join(f"{_shown(self._render(entry))}\n" for entry in wanted))
            sys.stdout.flush()

    @property
    def done(self) -> bool:
        """Whether all that is wanted was printed, or nobody reads any more."""
        return self._left == 0 or _reader_is_gone()


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def _shown(line: ShownLine | str) -> str:
    if isinstance(line, str):
        return line
    text = wrapped(line.text, INDENT)
    return typer.style(text, fg=line.colour, bold=line.bold or None) if line.colour or line.bold else text


def _reader_is_gone() -> bool:
    """Whether standard output is a closed pipe; needs no write, as a command may print nothing for long."""
    try:
        descriptor = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are told unasked
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
