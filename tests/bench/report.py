"""How all benchmarks tell their results."""

import json
import sys
from collections.abc import Mapping


def print_results(results: Mapping[str, float], *, as_json: bool) -> None:
    """Names and figures: a line each for people, one JSON object for machines."""
    if as_json:
        sys.stdout.write(json.dumps(results) + "\n")
        return
    for name, figure in results.items():
        sys.stdout.write(f"{name:32} {figure:>12,}\n")
