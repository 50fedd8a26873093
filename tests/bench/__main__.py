"""``python -m tests.bench [--only burst,steady] [--quick]``: measures, prints a table, writes one JSON document.

What is measured is in ``scenarios``. Nothing of a collector is switched off for it: it is the real program, started
from a real fleet file, with a Redis of its own beside it. Figures compare within one run only.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from common.config.collector import TRANSPORTS
from tests.bench.machine import busy_percent, machine, versions
from tests.bench.plan import FULL, QUICK, Plan
from tests.bench.scenarios import NAMES, scenario
from tests.bench.shares import add_shares
from tests.bench.site import open_site
from tests.bench.table import lines
from tests.support.processes import ROOT

RESULT = ROOT / "var" / "bench" / "result.json"
VERSION = 1


def run(names: Sequence[str], plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure; the document."""
    with tempfile.TemporaryDirectory(prefix="tf-bench-") as folder, open_site(Path(folder), say) as site:
        head = {
            "version": VERSION,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {**machine(), "busy_percent_before": busy_percent()},
            "transport": plan.transports[0],
        }
        found = versions(site.redis.client)
        scenarios = {name: scenario(name)(site, plan) for name in names}
    peer = scenarios.get("peer", {}).get("versions")
    if isinstance(peer, dict):
        found["cryptofeed"] = peer["cryptofeed"]
    return {**head, "versions": found, "scenarios": add_shares(scenarios)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write."""
    options = _options(argv)
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    if options.transport:
        plan = replace(plan, transports=(options.transport,))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no fleet is left behind
    began_s = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began_s:6.0f} s  {line}\n")

    result = run(options.only, plan, say)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join([*lines({"machine": result["machine"], "versions": result["versions"]}), ""]))
    sys.stdout.write("\n".join([*lines(result["scenarios"]), "", f"written: {options.json}", ""]))
    if options.report:
        from tests.bench.report import write  # here only: it draws

        write(result, options.report)
    return 0


def _names(text: str) -> list[str]:
    wanted = text.split(",")
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such scenario: {', '.join(unknown)} (known: {', '.join(NAMES)})")
    return wanted


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(NAMES), help=f"some of: {','.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a smoke test of the suite; its figures mean little")
    parser.add_argument("--rounds", type=int, help="how often short measurements are repeated")
    parser.add_argument("--transport", choices=TRANSPORTS, help="only this one")
    parser.add_argument("--json", type=Path, default=RESULT, metavar="FILE", help="where the document goes")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write the report into it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
