"""Restarts collectors by supervisord's own means, so that it works without the manager."""

from collections.abc import Iterable

from manager.cli.context import login_name
from manager.cli.effective import Site
from manager.cli.orders.progress import WaitMessages, reason
from manager.cli.orders.restart_steps import Command, Restart, Step, advance, fail, first_step, replaced
from manager.cli.orders.results import Report
from manager.cli.orders.target import Result
from manager.cli.orders.wait import LOOK_EVERY_S, Watch
from manager.model.journal_entries import JournalEntry, What, write_now
from manager.supervisord.client import Fault, SupervisorRefusedError
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import UsageError


class RestartJob:
    """Restarts lists of collectors, some at a time, and reports each as it ends."""

    def __init__(self, site: Site, limit_s: float, report: Report) -> None:
        self._site, self._watch = site, Watch(site)
        self._limit_s, self._report = limit_s, report

    def run(self, collectors: list[CollectorId], at_once: int) -> bool:
        """Restart them all, a number at the same time; returns whether all are running again."""
        waiting, active, failures = list(collectors), list[Restart](), 0
        patience = WaitMessages(self._watch.now_s())
        processes = self._watch.supervisor.processes()
        while waiting or active:
            fresh, waiting = waiting[: at_once - len(active)], waiting[at_once - len(active) :]
            pulses = self._watch.pulses([*fresh, *(restart.id for restart in active)])
            now_s = self._watch.now_s()
            # a program may be gone for a moment while the manager replaces it
            steps = [first_step(c, processes.get(c.program), pulses[c], now_s) for c in fresh]
            steps += [advance(r, processes.get(r.id.program), pulses[r.id], now_s, self._limit_s) for r in active]
            done = [self._command(restart, command) for restart, command in steps]
            active = [restart for restart in done if not restart.over]
            for restart in (restart for restart in done if restart.over):
                failures += restart.step is Step.FAILED
                self._tell(restart)
            reasons = {each.id: reason(processes.get(each.id.program), pulses[each.id]) for each in active}
            if line := patience.line(self._watch.now_s(), reasons):
                self._report.note(line)
            if waiting or active:
                self._site.tools.wait(LOOK_EVERY_S)
                processes = self._watch.supervisor.processes()
        return not failures

    def _command(self, restart: Restart, command: Command) -> Restart:
        try:
            if command is Command.STOP:
                self._watch.supervisor.begin_stop(restart.id.program)
            elif command is Command.START:
                self._watch.supervisor.start(restart.id.program)
        except SupervisorRefusedError as refusal:
            return replaced(restart) if refusal.fault == Fault.BAD_NAME else fail(restart, str(refusal))
        return restart

    def _tell(self, restart: Restart) -> None:
        from common.redis.redis_py import translated_errors  # see ``tools``

        self._report.add(Result(id=restart.id, done=restart.step is Step.DONE, outcome=restart.outcome))
        entry = JournalEntry(
            at_ns=self._site.tools.clock.now_ns(),
            who=login_name(),
            what=What.RESTARTED,
            collector=str(restart.id),
            why="asked for by an operator",
            details={"outcome": f"{restart.step.value}: {restart.outcome}"},
        )
        with translated_errors(self._site.file.redis):
            write_now(self._site.client, entry)


def known(
    site: Site, collectors: list[CollectorId], names: Iterable[str]
) -> tuple[list[CollectorId], list[CollectorId]]:
    """Those that can be restarted, and those that supervisord does not know yet.

    Raises:
        UsageError: supervisord does not know one that is named by its ID, or none at all.
    """
    processes, named = Watch(site).supervisor.processes(), set(names)
    found = [each for each in collectors if each.program in processes]
    unknown = [each for each in collectors if each.program not in processes]
    missing = next((each for each in unknown if not found or str(each) in named), None)
    if missing is not None:
        raise UsageError(f"supervisord does not know {missing} yet (does the manager run?)")
    return found, unknown
