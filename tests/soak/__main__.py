"""Runs as many schedules as fit into a time, several at once: ``python -m tests.soak --minutes 10``.

A schedule is drawn from its seed alone; ``--exchange`` and ``--duration`` change what is drawn. Ctrl-C ends early, with
the table of what ran.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import msgspec

from tests.soak.plan import DURATION_S, EXCHANGES, Plan, draw_plan
from tests.soak.report import Report, table
from tests.soak.run import run_plan


def main() -> int:
    """Run; 0 where no schedule had complaints."""
    options = _parser().parse_args()
    seeds = itertools.islice(itertools.count(options.first_seed), options.count)
    away = True if options.minute_away else None
    plans = (draw_plan(seed, options.exchange, options.duration, minute_away=away) for seed in seeds)
    if options.plan:
        sys.stdout.write(msgspec.json.encode(next(plans)).decode() + "\n")
        return 0
    reports: list[Report] = []
    try:
        _run(plans, options.minutes * 60, options.at_once, reports)
    except KeyboardInterrupt:
        sys.stdout.write("ended early\n")
    sys.stdout.write("\n" + table(reports))
    return 1 if any(report.complaints for report in reports) else 0


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").strip()
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="no schedule begins later")
    parser.add_argument("--first-seed", type=int, default=1, help="seeds count up from here")
    parser.add_argument("--count", type=int, default=10**9, help="schedules at most")
    parser.add_argument("--at-once", type=int, default=6, help="schedules side by side")
    parser.add_argument("--duration", type=int, default=DURATION_S, help="seconds of faults in each schedule")
    parser.add_argument("--exchange", choices=EXCHANGES, help="default: the seed says which")
    parser.add_argument("--minute-away", action="store_true", help="in each, Redis is away for a minute")
    parser.add_argument("--plan", action="store_true", help="only show what the first seed draws")
    return parser


def _run(plans: Iterator[Plan], seconds: float, at_once: int, reports: list[Report]) -> None:
    began_s = time.monotonic()
    with ProcessPoolExecutor(at_once) as pool:
        running: dict[Future[Report], Plan] = {}
        while True:
            while len(running) < at_once and time.monotonic() < began_s + seconds:
                plan = next(plans, None)
                if plan is None:
                    break
                running[pool.submit(run_plan, plan)] = plan
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                reports.append(_outcome(future, running.pop(future)))
                clock = f"{_minutes(time.monotonic() - began_s)} of {_minutes(seconds)}"
                sys.stdout.write(f"[{len(reports)}, {clock}] {reports[-1].line()}\n")
                sys.stdout.flush()


def _outcome(future: Future[Report], plan: Plan) -> Report:
    error = future.exception()
    if error is None:
        return future.result()
    return Report(plan=plan, complaints=[f"the schedule could not be played: {error!r}"])


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
