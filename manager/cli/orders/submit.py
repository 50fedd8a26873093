"""Carries an order out: writes it where the manager reads it, then waits for what it should bring about."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from manager.cli.context import Tools
from manager.cli.effective import at_site
from manager.cli.orders.orders import Change, Order
from manager.cli.orders.results import Report
from manager.cli.orders.target import NO_START, Result, Target, Task, failed
from manager.cli.orders.wait import KEPT, Watch, start_of
from manager.cli.orders.write_orders import stamp_of, tell_no_manager, write_order
from manager.desired.overrides import Desired, Stamp
from manager.model.processes import STARTABLE, Process
from manager.supervisord.client import Fault, SupervisorRefusedError

Decide = Callable[[Desired, Stamp], list[Change]]
"""What an order changes in the fleet as it is wanted; raises what is wrong with the order."""


def carry_out(
    tools: Tools, order: Order, why: str, decide: Decide, timeout_s: float, *, as_json: bool, hint: str = ""
) -> int:
    """Write an order, and wait for what it should bring about; returns the exit code.

    A wrong order, and a Redis or supervisord that does not answer, is reported before anything has been changed.

    ``hint`` says what to do with a collector that refuses its configuration.
    """
    with at_site(tools) as site:
        stamp = stamp_of(tools, why)
        decide(site.desired, stamp)
        watch = Watch(site)
        processes = watch.supervisor.processes()
        changes = write_order(site, order, stamp, lambda desired: decide(desired, stamp))
        with Report(order.value, len(changes), as_json=as_json) as report:
            _follow(watch, order, changes, processes, timeout_s, report, hint)
    return report.exit_code


def _follow(
    watch: Watch,
    order: Order,
    changes: list[Change],
    processes: Mapping[str, Process],
    timeout_s: float,
    report: Report,
    hint: str,
) -> None:
    """Wait for what was ordered; ``processes`` are those before it."""
    manager, target, tasks = watch.manager(), _TARGETS.get(order, Target.RUNNING), list[Task]()
    for each in changes:
        process = processes.get(each.id.program)
        rests = process is None or process.state in STARTABLE
        task = Task(
            id=each.id,
            target=target,
            began_s=watch.now_s(),
            unheard=not each.keeps,
            old_start_s=start_of(process),
            hint=hint,
        )
        if each.keeps and rests and target is Target.STOPPED:
            report.add(Result(id=each.id, done=True, outcome=f"it was {each.why}"))
        elif task.unheard and not manager:
            report.add(failed(task, KEPT))
        elif each.keeps and rests:
            begun = _start_now(watch, task, managed=bool(manager))
            if isinstance(begun, Task):
                tasks.append(begun)
            else:
                report.add(begun)
        else:
            tasks.append(task)
    if not manager and any(not each.keeps for each in changes):
        tell_no_manager()
    watch.until_there(tasks, manager, timeout_s, report)


_TARGETS = {Order.REMOVE: Target.GONE, Order.STOP: Target.STOPPED, Order.DISABLE: Target.STOPPED}


def _start_now(watch: Watch, task: Task, *, managed: bool) -> Task | Result:
    """Start the stopped processes that should run. This does not need the manager, which may have parked them."""
    try:
        watch.supervisor.start(task.id.program)
    except SupervisorRefusedError as refusal:
        if refusal.fault == Fault.BAD_NAME and managed:  # about to be there
            return task
        return failed(task, str(refusal))
    return replace(task, old_start_s=NO_START)
