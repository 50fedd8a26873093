"""What is in the documents for people to copy: fenced programs, and the commands within the text."""

import re
import shlex
from itertools import dropwhile

from msgspec import Struct

from tests.support.processes import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SETS = re.compile(r"[A-Z_]+=")
_LANGUAGES = {"python": ".py", "js": ".mjs", "sh": ".sh", "go": ".go"}


def _command(line: str) -> list[str]:
    return [*dropwhile(_SETS.match, shlex.split(line, comments=True))]


class Fence(Struct, frozen=True):
    """A fenced block; ``line`` is that of its first line in the document."""

    document: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """A file name that says where it is, e.g. ``README_md_139.py``."""
        return re.sub(r"\W", "_", f"{self.document}:{self.line}") + _LANGUAGES[self.language]

    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block that is no program, without comments and variables that it sets."""
        return [command for line in self.text.splitlines() if (command := _command(line))]


def documents() -> dict[str, str]:
    """The text of each document by its path."""
    paths = [ROOT / "README.md", ROOT / "tickfleet" / "README.md"]
    paths += [*sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("deploy/**/*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def fences(*languages: str) -> list[Fence]:
    """The fenced blocks in some languages, of all documents."""
    return [
        Fence(document, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for document, text in documents().items()
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def is_program(fence: Fence) -> bool:
    """Whether a block is a whole program, not commands to type."""
    return fence.language != "sh" or fence.text.startswith("#!")


def spans(first: str) -> list[tuple[str, str]]:
    """Document and text of each piece of code within the prose, and in tables, that begins with a word."""
    return [
        (document, " ".join(found[1].replace(r"\|", "|").split()))
        for document, text in documents().items()
        for found in _SPAN.finditer(prose(text))
        if found[1].split()[:1] == [first]
    ]


def section(document: str, title: str) -> str:
    """What is below a heading of the second level, up to the next one."""
    text = documents()[document]
    (body,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(body)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in a language, of a part of a document."""
    return [found[2] for found in _FENCE.finditer(text) if found[1] == language]


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", text)
