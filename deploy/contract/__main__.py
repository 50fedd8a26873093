"""Writes the contract into ``docs/``: what ``make contract`` runs."""

import sys
from pathlib import Path

from deploy.contract.document import files
from deploy.contract.page import with_programs
from deploy.contract.reference import with_tables

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "reading.md"
REFERENCE = DOCS / "contract.md"


def main() -> int:
    """Write the files, remove schemas that are no more, renew what is made within pages; returns the exit code."""
    wanted = files()
    (DOCS / "schemas").mkdir(exist_ok=True)
    for path, text in wanted.items():
        (DOCS / path).write_text(text, encoding="utf-8")
    for found in (DOCS / "schemas").iterdir():
        if found.relative_to(DOCS).as_posix() not in wanted:
            found.unlink()
    PAGE.write_text(with_programs(PAGE.read_text(encoding="utf-8"), DOCS), encoding="utf-8")
    REFERENCE.write_text(with_tables(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
