"""Long lines on a terminal: broken between words, never within an id, and indented where they go on."""

import re
import shutil
import sys

from rich.cells import cell_len

_WORD = re.compile(r"\s*\S+")


def wrapped(text: str, indent: int) -> str:
    """A line as it is printed: as it is where standard output is no terminal.

    Args:
        text: One line.
        indent: Where its further lines begin, in characters.
    """
    return at_width(text, indent, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def at_width(text: str, indent: int, width: int) -> str:
    """The line in a terminal of a width; a word that is longer than that is left whole."""
    if cell_len(text) <= width:
        return text
    indent = indent if indent <= width // 2 else min(4, width - 1)
    lines, left = [""], width
    for word in _WORD.findall(text):
        if cell_len(word) > left and lines[-1].strip():
            word, left = word.lstrip(), width - indent
            lines.append(" " * indent)
        lines[-1] += word
        left -= cell_len(word)
    return "\n".join(line.rstrip() for line in lines)


def padded(text: str, width: int) -> str:
    """The text with blanks behind it up to a width; some letters are two wide."""
    return text + " " * (width - cell_len(text))
