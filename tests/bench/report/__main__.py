"""``python -m tests.bench.report RESULT.json [--folder docs]``: the document and its charts from a result."""

import argparse
import json
import sys
from pathlib import Path

from tests.bench.report import write


def main() -> int:
    """Write them and say where."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.report", description=__doc__)
    parser.add_argument("result", type=Path, help="what a run has written")
    parser.add_argument("--folder", type=Path, default=Path("docs"))
    options = parser.parse_args()
    for path in write(json.loads(options.result.read_text(encoding="utf-8")), options.folder):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
