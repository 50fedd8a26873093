"""``manager-cli restart``: by supervisord's own means, so that it works without the manager."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from common.config import ExchangeCollectorConfig
from common.errors import EXIT_FAILURE, EXIT_OK, UsageError
from common.fleet_file import Fleet
from common.identity import CollectorId
from manager.cli.restart import Command, Restart, advance, begin, fail, replaced
from manager.cli.select import is_pattern, select
from manager.cli.tools import Tools, login_name
from manager.facts import queue_heartbeats, read_pulses
from manager.journal import Entry, What, write_now
from manager.supervisor_client import RPC_TIMEOUT_S, Fault, SupervisorClient, SupervisorRefusedError
from manager.verdicts import Pulse

if TYPE_CHECKING:
    from common.redis_client import SyncRedis

AT_ONCE = 10
"""Collectors that are down together while many are restarted."""

LOOK_EVERY_S = 0.2


def restart(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="ID|PATTERN|all...", help="Which collectors.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for each to be running again.")] = 90.0,
) -> None:
    """Restart collectors and wait until they are running again; the others go on untouched.

    Many are restarted ten at a time. Disabled collectors are left out. Works without the manager.

    \b
    exit codes: 0 all are running again, 1 some are not,
                2 no such collector, 3 Redis or supervisord cannot be reached

    \b
    manager-cli restart okx:BTC-USDT
    manager-cli restart 'okx:*-USDT' --timeout 120
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    fleet = tools.fleet()
    chosen = _enabled(select(fleet, names), names)
    client = tools.connect(fleet.redis)
    try:
        job = _Job(tools, fleet, client)
        results = job.run([config.id for config in chosen], timeout)
    finally:
        client.close()
    raise typer.Exit(EXIT_FAILURE if any(result.step.value == "failed" for result in results) else EXIT_OK)


def _enabled(chosen: list[ExchangeCollectorConfig], names: list[str]) -> list[ExchangeCollectorConfig]:
    enabled = [config for config in chosen if config.enabled]
    named = next((str(c.id) for c in chosen if not c.enabled and str(c.id) in names), None)
    if named is not None:
        raise UsageError(f"{named} is disabled in the fleet file")
    if not enabled:
        what = "the pattern names" if any(map(is_pattern, names)) else "you named"
        raise UsageError(f"all collectors that {what} are disabled in the fleet file")
    return enabled


class _Job:
    """Restarts a list of collectors, some at a time, and reports each as it ends."""

    def __init__(self, tools: Tools, fleet: Fleet, client: "SyncRedis") -> None:
        self._tools, self._fleet, self._client = tools, fleet, client
        self._supervisor: SupervisorClient = tools.supervisor(tools.environment.supervisor_socket, RPC_TIMEOUT_S)

    def run(self, collectors: list[CollectorId], limit_s: float) -> list[Restart]:
        """Restart them all; the results come as they ended."""
        waiting, active, ended = list(collectors), list[Restart](), list[Restart]()
        processes = self._supervisor.processes()
        missing = [str(collector) for collector in collectors if collector.program not in processes]
        if missing:
            raise UsageError(f"supervisord does not know {missing[0]} yet (does the manager run?)")
        with _progress(len(collectors)) as show:
            while waiting or active:
                fresh, waiting = waiting[: AT_ONCE - len(active)], waiting[AT_ONCE - len(active) :]
                pulses = self._pulses([*fresh, *(restart.id for restart in active)])
                now_s = self._tools.clock.monotonic_s()
                # a program may be gone for a moment while the manager replaces it
                steps = [begin(c, processes.get(c.program), pulses[c], now_s) for c in fresh]
                steps += [advance(r, processes.get(r.id.program), pulses[r.id], now_s, limit_s) for r in active]
                done = [self._command(restart, command) for restart, command in steps]
                active = [restart for restart in done if not restart.over]
                for restart in (restart for restart in done if restart.over):
                    ended.append(restart)
                    show(len(ended))
                    self._report(restart)
                if waiting or active:
                    self._tools.wait(LOOK_EVERY_S)
                    processes = self._supervisor.processes()
        return ended

    def _command(self, restart: Restart, command: Command) -> Restart:
        try:
            if command is Command.STOP:
                self._supervisor.begin_stop(restart.id.program)
            elif command is Command.START:
                self._supervisor.start(restart.id.program)
        except SupervisorRefusedError as refusal:
            return replaced(restart) if refusal.fault == Fault.BAD_NAME else fail(restart, str(refusal))
        return restart

    def _pulses(self, collectors: list[CollectorId]) -> dict[CollectorId, Pulse]:
        from common.redis_client import translated_errors  # see ``tools``

        with translated_errors(self._fleet.redis), self._client.pipeline(transaction=False) as pipe:
            queue_heartbeats(pipe, collectors)
            replies = pipe.execute(raise_on_error=False)
        return read_pulses(collectors, replies, self._tools.clock.now_ns())

    def _report(self, restart: Restart) -> None:
        from common.redis_client import translated_errors  # see ``tools``

        typer.echo(f"{restart.id}: {restart.step.value}: {restart.outcome}")
        entry = Entry(
            at_ns=self._tools.clock.now_ns(),
            who=login_name(),
            what=What.RESTARTED,
            collector=str(restart.id),
            why="asked for by an operator",
            details={"outcome": f"{restart.step.value}: {restart.outcome}"},
        )
        with translated_errors(self._fleet.redis):
            write_now(self._client, entry)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; the function given takes how many are done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console  # slow to import, and only wanted on a terminal
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("restarting", total=total)
        yield lambda done: bar.update(task, completed=done)
