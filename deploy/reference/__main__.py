"""Writes the pages of ``docs/`` that say what the code says: part of ``make contract``."""

import sys
from pathlib import Path

from deploy.reference import commands, configuration

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def pages() -> dict[str, str]:
    """The text of each page, by its name under ``docs/``."""
    return {"configuration.md": configuration.page(), "cli.md": commands.page()}


def main() -> int:
    """Write them; returns the exit code."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
