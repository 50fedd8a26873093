"""What became of schedules, for people."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from tests.simulator.faults import KINDS as EXCHANGE_KINDS
from tests.soak.plan import DURATION_S, Plan, draw_plan
from tests.support.process_faults import KINDS as PROCESS_KINDS
from tests.support.redis_faults import KINDS as REDIS_KINDS


class Report(msgspec.Struct, kw_only=True):
    """What became of one schedule.

    Attributes:
        plan: What was to happen.
        hits: Kinds of the exchange's faults that changed something: a frame, an answer, a connection.
        trades: In the stream.
        backfilled: Of these, fetched by REST.
        books: Entries of the order book's stream.
        runs: Processes that were needed.
        complaints: What is wrong; nothing should be.
    """

    plan: Plan
    hits: list[str] = []
    trades: int = 0
    backfilled: int = 0
    books: int = 0
    runs: int = 1
    complaints: list[str] = []

    def line(self) -> str:
        """One line for people."""
        verdict = "ok" if not self.complaints else "; ".join(self.complaints[:4])
        counts = f"{self.trades} trades ({self.backfilled} fetched), {self.books} book entries, {self.runs} runs"
        return f"{self.plan.exchange} seed {self.plan.seed}: {counts}: {verdict}"


def again(plan: Plan) -> str:
    """The command that plays a plan once more."""
    command = f"python -m tests.soak --exchange {plan.exchange} --first-seed {plan.seed} --count 1"
    if plan.duration_s != DURATION_S:
        command += f" --duration {plan.duration_s}"
    if plan != draw_plan(plan.seed, plan.exchange, plan.duration_s):
        command += " --minute-away"
    return command


def table(reports: Sequence[Report]) -> str:
    """All schedules together: how often each kind of fault was drawn and took effect, and what was found."""
    drawn = Counter(kind for report in reports for kind in report.plan.kinds)
    in_effect = drawn.copy()
    for name in EXCHANGE_KINDS:
        in_effect[f"exchange {name}"] = sum(report.hits.count(name) for report in reports)
    kinds = [
        *(f"exchange {name}" for name in EXCHANGE_KINDS),
        *(f"redis {name}" for name in REDIS_KINDS),
        *(f"process {name}" for name in PROCESS_KINDS),
    ]
    lines = [f"{'fault':32}{'drawn':>8}{'in effect':>12}"]
    lines += [f"{kind:32}{drawn[kind]:8}{in_effect[kind]:12}" for kind in kinds]
    found = [report for report in reports if report.complaints]
    trades, fetched = (sum(getattr(report, name) for report in reports) for name in ("trades", "backfilled"))
    books, runs = (sum(getattr(report, name) for report in reports) for name in ("books", "runs"))
    by_exchange = Counter(report.plan.exchange for report in reports)
    which = ", ".join(f"{count} on {name}" for name, count in sorted(by_exchange.items()))
    lines += [
        "",
        f"{len(reports)} schedules ({which or 'none'}), {drawn.total()} faults, {runs} runs of the collector",
        f"{trades} trades compared ({fetched} of them fetched), {books} book entries",
        f"{len(found)} schedules with complaints",
    ]
    lines += [f"  {report.line()}\n    {again(report.plan)}" for report in found]
    return "\n".join(lines) + "\n"
