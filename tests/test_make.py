"""The commands of those who work on the project: what ``make`` says of itself, and that pre-commit does the same."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def test_make_alone_tells_every_target_in_a_line() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    told = [re.fullmatch(r"make ([a-z-]+) +\S.{10,}", line) for line in done.stdout.splitlines()]
    assert all(told)
    assert [each[1] for each in told if each] == sorted(targets(), key=position)


def position(target: str) -> int:
    """Where a target is in the file."""
    found = re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    assert found
    return found.start()


def test_no_target_is_taken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets()


def test_pre_commit_checks_what_make_lint_checks() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    made = [line.strip("\t@").split(" > ")[0].replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    hooks = re.findall(r"^ +entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert hooks == made
