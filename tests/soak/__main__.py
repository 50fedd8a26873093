"""Runs as many schedules as fit into a time, several at once: ``python -m tests.soak --minutes 10``."""

import argparse
import itertools
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.soak.run import DURATION_S, Report, run_schedule

EXCHANGES = ("okx", "binance")


def main() -> int:
    """Run; 0 where no schedule had complaints."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--first-seed", type=int, default=1, help="seeds count up from here")
    parser.add_argument("--at-once", type=int, default=6, help="schedules side by side")
    parser.add_argument("--duration", type=int, default=DURATION_S, help="seconds of faults in each schedule")
    parser.add_argument("--exchange", choices=EXCHANGES, action="append", help="default: all in turn")
    parser.add_argument("--count", type=int, default=10**9, help="schedules at most")
    options = parser.parse_args()
    end_s = time.monotonic() + options.minutes * 60
    exchanges = itertools.cycle(options.exchange or EXCHANGES)
    seeds = itertools.islice(itertools.count(options.first_seed), options.count)
    ran = failed = 0
    with ProcessPoolExecutor(options.at_once) as pool:
        running: set[Future[Report]] = set()
        while True:
            while len(running) < options.at_once and time.monotonic() < end_s:
                seed = next(seeds, None)
                if seed is None:
                    break
                running.add(pool.submit(run_schedule, seed, next(exchanges), options.duration))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                report = future.result()
                ran, failed = ran + 1, failed + bool(report.complaints)
                sys.stdout.write(f"[{ran}] {report.line()}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{ran} schedules, {failed} with complaints\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
