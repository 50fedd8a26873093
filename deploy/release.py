"""Whether what is here can be released: ``make release-check``. The flow is in ``CONTRIBUTING.md``."""

import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_VERSION = re.compile(r'^VERSION = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
_SECTION = re.compile(
    r"^## \[(?P<name>[^\]]+)\](?: - (?P<day>\S+))?\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)


def main(root: Path = ROOT) -> int:
    """Say what is in the way, or which tag to set; returns the exit code."""
    found = _VERSION.search((root / "tickfleet" / "version.py").read_text(encoding="utf-8"))
    if found is None:
        sys.stderr.write('release: tickfleet/version.py has no line VERSION = "MAJOR.MINOR.PATCH"\n')
        return 1
    version = found[1]
    troubles = [*requirement(root, version), *changelog(root, version), *repository(root, version)]
    for trouble in troubles:
        sys.stderr.write(f"release: {trouble}\n")
    if not troubles:
        sys.stdout.write(f"ready: git tag -a v{version} -m 'tickfleet {version}'\n")
    return 1 if troubles else 0


def requirement(root: Path, version: str) -> list[str]:
    """The fleet needs the library of its own version, and no other."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    library = [each for each in project["dependencies"] if re.match(r"tickfleet\b(?!-)", each)]
    wanted = [f"tickfleet=={version}"]
    return (
        []
        if library == wanted
        else [f"pyproject.toml requires {library}, must be {wanted} as tickfleet/version.py has it"]
    )


def changelog(root: Path, version: str) -> list[str]:
    """The version's section is the newest, has a day, and says something; above it is an empty one for what comes."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = {found["name"]: found for found in _SECTION.finditer(text)}
    if [*sections][:2] != ["Unreleased", version]:
        return [
            f"CHANGELOG.md must begin with the sections [Unreleased] and [{version}], it has: {', '.join(sections)}"
        ]
    troubles = []
    if sections["Unreleased"]["text"].strip():
        troubles.append(f"CHANGELOG.md: what is under [Unreleased] belongs under [{version}]")
    if not sections[version]["text"].strip():
        troubles.append(f"CHANGELOG.md: [{version}] says nothing")
    try:
        date.fromisoformat(sections[version]["day"] or "")
    except ValueError:
        troubles.append(f"CHANGELOG.md: [{version}] has no date: ## [{version}] - {date.today():%Y-%m-%d}")  # noqa: DTZ011
    return troubles


def repository(root: Path, version: str) -> list[str]:
    """Everything is committed, and no release has this version."""
    troubles = []
    if _git(root, "status", "--porcelain"):
        troubles.append("there are changes that are not committed")
    if _git(root, "tag", "--list", f"v{version}"):
        troubles.append(f"the tag v{version} is there already: a release gets a new version")
    return troubles


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607 - as PATH has it
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
