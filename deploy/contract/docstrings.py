"""Docstrings taken apart: what a class is, and what each of its fields means: the one source of these words."""

import inspect
import re
from collections.abc import Iterable

from msgspec import Struct

_SECTION = re.compile(r"^(Attributes|Args|Returns|Yields|Raises):$")
_FIELD = re.compile(r"^ {4}(?P<names>\w+(, \w+)*): (?P<text>.*)$")


class Description(Struct, frozen=True):
    """Texts in Markdown.

    Attributes:
        whole: What the thing is.
        fields: What its fields mean, by name; those that speak for themselves have no text.
    """

    whole: str
    fields: dict[str, str]


def description(docstring: str | None) -> Description:
    """The parts of a docstring in Google's style."""
    whole: list[str] = []
    attributes: list[str] = []
    section = ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        found = _SECTION.match(line)
        if found:
            section = found[1]
        elif not section:
            whole.append(line)
        elif section == "Attributes":
            attributes.append(line)
    return Description(_markdown(whole), _fields(attributes))


def from_table(docstring: str | None) -> str:
    """The description from its first table on: the text before it is for readers of the code."""
    whole = description(docstring).whole
    return whole[whole.index("\n\n|") + 2 :]


def _fields(lines: Iterable[str]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        found = _FIELD.match(line)
        if found:
            names = found["names"].split(", ")
            texts |= {name: [] for name in names}
        for name in names:
            texts[name].append(found["text"] if found else line.strip())
    return {name: _markdown(parts) for name, parts in texts.items()}


def _markdown(lines: Iterable[str]) -> str:
    """Paragraphs of one line each; tables keep their lines."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip())
    joined = [part if part.startswith("|") else " ".join(part.split()) for part in paragraphs]
    return "\n\n".join(joined).replace("``", "`")
