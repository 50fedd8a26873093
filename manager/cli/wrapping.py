"""Long lines on a terminal: broken between words, never within an id, and indented where they go on."""

import shutil
import sys
import textwrap


def wrapped(text: str, indent: int) -> str:
    """A line as it is printed: as it is where standard output is no terminal.

    Args:
        text: One line.
        indent: Where its further lines begin, in characters.
    """
    return at_width(text, indent, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def at_width(text: str, indent: int, width: int) -> str:
    """The line in a terminal of a width; a word that is longer than that is left whole."""
    if len(text) <= width:
        return text
    indent = indent if indent <= width // 2 else 4
    rest = " " * indent
    return textwrap.fill(
        text, max(width, indent + 1), subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
