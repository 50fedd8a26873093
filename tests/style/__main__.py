"""``python -m tests.style``: refuses banned words and names; ``--lower`` takes out of ``left.txt`` what is mended."""

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.style.rules import Finding, in_code, in_path, in_text, of_classes

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT = Path(__file__).resolve().parent / "left.txt"
HEAD = """\
# What was there before the rules of this folder: rule, file, how often. The sum of a rule may only fall.
# When you have mended some: python -m tests.style --lower
"""
KINDS = (".py", ".pyi", ".pyx", ".pxd", ".md")
NOT_LOOKED_AT = ("CHANGELOG.md", "docs/cli.md", "docs/configuration.md", "docs/performance.md", "tests/style/")
"""What has been, what is made from the code, and the rules themselves."""

Counts = dict[tuple[str, str], int]
"""By rule and file."""


def main(arguments: list[str]) -> int:
    """Look at all files; returns the exit code."""
    found = findings()
    counts = {key: len(lines) for key, lines in found.items()}
    allowed = read(LEFT.read_text(encoding="utf-8"))
    wrong = over(counts, allowed)
    if arguments == ["--lower"] and not wrong:
        LEFT.write_text(written(counts), encoding="utf-8")
    for rule, file in wrong:
        lines = ", ".join(map(str, found[rule, file]))
        was = allowed.get((rule, file), 0)
        sys.stdout.write(f"{file}:{lines}: {rule}: {counts[rule, file]} times, {was} were there before\n")
    if wrong:
        sys.stdout.write("banned words and names: see tests/style/rules.py; say it in the field's terms\n")
    return 1 if wrong else 0


def over(counts: Counts, allowed: Counts) -> list[tuple[str, str]]:
    """Rules that are broken more often than before, each with the files that have more of it than they had.

    What moves from one file to another is no more than before.
    """
    now, before = _sums(counts), _sums(allowed)
    worse = {rule for rule, count in now.items() if count > before.get(rule, 0)}
    return [key for key in sorted(counts) if key[0] in worse and counts[key] > allowed.get(key, 0)]


def _sums(counts: Counts) -> dict[str, int]:
    sums = defaultdict[str, int](int)
    for (rule, _), count in counts.items():
        sums[rule] += count
    return sums


def findings() -> dict[tuple[str, str], list[int]]:
    """The lines that break each rule in each file."""
    excepted = contract_names()
    found = defaultdict[tuple[str, str], list[int]](list)
    trees = dict[str, ast.Module]()
    for path in files():
        text = (ROOT / path).read_text(encoding="utf-8")
        each: Iterable[Finding] = [*in_path(path), *in_text(text, excepted)]
        if path.endswith(".py"):
            trees[path] = ast.parse(text)
            each = [*each, *in_code(trees[path], excepted)]
        for finding in each:
            found[finding.rule, path].append(finding.line)
    for path, finding in of_classes(trees):
        found[finding.rule, path].append(finding.line)
    return dict(found)


def files() -> Iterator[str]:
    """What git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in sorted(set(listed)):
        if path.endswith(KINDS) and not path.startswith(NOT_LOOKED_AT) and (ROOT / path).is_file():
            yield path


def contract_names() -> frozenset[str]:
    """Fields of the stream contract, and what else programs outside rely on: these stay as they are."""
    names = {"TICKFLEET_EXPRESS"}
    for path in (ROOT / "docs" / "schemas").glob("*.json"):
        names |= json.loads(path.read_text(encoding="utf-8")).get("properties", {}).keys()
    return frozenset(names)


def read(text: str) -> Counts:
    """The counts in a list as ``written``."""
    rows = (line.rsplit("\t", 2) for line in text.splitlines() if line and not line.startswith("#"))
    return {(rule, file): int(count) for rule, file, count in rows}


def written(counts: Counts) -> str:
    """Counts as a text that merges line by line."""
    return HEAD + "".join(f"{rule}\t{file}\t{count}\n" for (rule, file), count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
