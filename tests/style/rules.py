"""What a text may not say and a name may not be. Each finding is a rule and the line that breaks it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

JARGON = {
    "chronicle", "congested", "crowd", "entrance", "entrances", "express", "hurry", "joints", "keeper",
    "lane", "lanes", "lend", "lends", "lent", "loan", "loans", "mute", "muted", "patient", "regain", "relief",
    "renumbered", "seams", "senses", "shipment", "shipments", "steadiness", "surroundings", "tape", "tapes", "vouch",
    "vouched", "vouches", "vouching", "wish", "wishes",
}  # fmt: skip
"""Words of a private vocabulary: neither in prose nor as a part of a name."""

NAMES = {
    "around", "asked", "begin", "behind", "board", "carry", "delivery", "doubt", "flow", "give", "goal", "hands",
    "judged", "left_over", "look", "marks", "news", "notices", "pace", "permits", "phrase", "take", "take_back",
    "usual", "words",
}  # fmt: skip
"""Plain words in prose; as the whole name of a thing they do not say what it does."""

PHRASES = ("goes on", "takes up", "stands", "is told", "takes back", "taken back")
"""Turns of speech that a reader has to read twice."""

LONGEST_TEST_NAME = 70
PACKAGES = ("collector_worker", "common", "manager", "tickfleet")

_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PHRASES = {phrase: re.compile(r"\b" + phrase.replace(" ", r"\s+") + r"\b", re.IGNORECASE) for phrase in PHRASES}
_POINTER = re.compile(r"^See the (module|file)\b")


class Finding(NamedTuple):
    """A line that breaks a rule."""

    rule: str
    line: int


def in_path(path: str) -> Iterator[Finding]:
    """The names of a file and of its folders."""
    for name in PurePosixPath(path).with_suffix("").parts:
        plain = name.removeprefix("test_")
        yield from (Finding(found, 1) for found in _jargon_in(plain))
        if plain in NAMES:
            yield Finding(f"name {plain}", 1)


def in_text(text: str, excepted: frozenset[str]) -> Iterator[Finding]:
    """Words and phrases, in code and prose alike; ``excepted`` are names that others rely on."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in _WORD.findall(line):
            if word not in excepted:
                yield from (Finding(found, number) for found in _jargon_in(word))
    for phrase, pattern in _PHRASES.items():
        for found in pattern.finditer(text):
            yield Finding(phrase, text.count("\n", 0, found.start()) + 1)


@cache
def _jargon_in(word: str) -> list[str]:
    return sorted(JARGON.intersection(part.lower() for part in _PART.findall(word)))


def in_code(tree: ast.Module, excepted: frozenset[str]) -> Iterator[Finding]:
    """Names that a file makes, and docstrings that only point elsewhere."""
    for node in ast.walk(tree):
        name = _made(node)
        if name and name.lower().strip("_") in NAMES and name not in excepted:
            yield Finding(f"name {name.lower().strip('_')}", _line(node))
        if isinstance(node, ast.ClassDef) and _POINTER.match(ast.get_docstring(node) or ""):
            yield Finding("a docstring that only points elsewhere", node.lineno)
        if name and name.startswith("test_") and len(name) > LONGEST_TEST_NAME and _is_function(node):
            yield Finding(f"a test's name of more than {LONGEST_TEST_NAME} characters", _line(node))


def _made(node: ast.AST) -> str:
    """The name that a piece of code defines; empty where it defines none."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) else ""


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def _line(node: ast.AST) -> int:
    line: int = getattr(node, "lineno", 1)
    return line


def of_classes(trees: Mapping[str, ast.Module]) -> Iterator[tuple[str, Finding]]:
    """Classes of the packages that share a name, each with its file: one name is one thing."""
    places = defaultdict[str, list[tuple[str, int]]](list)
    for path, tree in trees.items():
        if path.startswith(tuple(f"{package}/" for package in PACKAGES)):
            for node in _classes(tree.body):
                places[node.name].append((path, node.lineno))
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield from ((path, Finding(f"another class {name}", line)) for path, line in found)


def _classes(body: Iterable[ast.stmt]) -> Iterator[ast.ClassDef]:
    return (node for node in body if isinstance(node, ast.ClassDef))
