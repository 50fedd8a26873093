"""A fleet of one size under supervisord: ``python -m tests.bench.fleet [--collectors 100] [--frames-per-s 20]``.

Prints one size of the scenario ``fleet``: how long it takes until every collector is healthy, what collectors, manager,
Redis and supervisord use then, how soon a killed collector is back, and how long ``manager-cli status`` takes. The load
included, all on this machine.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping

from tests.bench.plan import Plan
from tests.bench.scenarios.fleet import measure_size


def flat(result: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """All figures with the names of the places where they stand, joined by dots."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("--collectors", type=int, default=100)
    parser.add_argument("--frames-per-s", type=float, default=20.0, help="of each collector")
    parser.add_argument("--steady-s", type=float, default=30.0)
    parser.add_argument("--idle-s", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else the fleet would outlive us
    plan = Plan(fleet_frames_per_s=options.frames_per_s, fleet_steady_s=options.steady_s, fleet_idle_s=options.idle_s)
    size = measure_size(options.collectors, plan)
    if options.json:
        sys.stdout.write(json.dumps(size) + "\n")
        return 0
    for name, figure in flat(size):
        sys.stdout.write(f"{name:48} {figure!s:>12}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
