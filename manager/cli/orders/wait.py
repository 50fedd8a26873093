"""Waits until collectors are where an order wants them, by supervisord, their heartbeats and the manager's."""

from collections.abc import Iterable, Mapping
from typing import Any

from manager.cli.effective import Site
from manager.cli.orders.progress import WaitMessages, reason
from manager.cli.orders.results import Report
from manager.cli.orders.target import Ear, Task, ear_at, failed, heard, look_at, too_late
from manager.model.processes import Process
from manager.model.verdicts import Pulse
from manager.observe.facts import queue_heartbeats, read_pulses
from manager.supervisord.client import RPC_TIMEOUT_S, SupervisorClient
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId

LOOK_EVERY_S = 0.2
KEPT = "kept, carried out when the manager starts"


class Watch:
    """Reads supervisord and heartbeats until each collector is where it should be."""

    def __init__(self, site: Site) -> None:
        tools = site.tools
        self._site, self._tools = site, tools
        self.supervisor: SupervisorClient = tools.supervisor(tools.environment.supervisor_socket, RPC_TIMEOUT_S)

    def pulses(self, collectors: Iterable[CollectorId]) -> dict[CollectorId, Pulse]:
        """The heartbeats as they are now."""
        return self._read_heartbeats(list(collectors))[0]

    def manager(self) -> dict[str, str]:
        """The manager's heartbeat; empty where none runs."""
        return self._read_heartbeats([])[1]

    def until_there(self, tasks: list[Task], manager: dict[str, str], limit_s: float, report: Report) -> None:
        """Report each task as it ends, and give up when none has for ``limit_s``.

        ``manager`` is the manager's heartbeat after the order was given; tasks that are not ``unheard`` do not need it.
        """
        ear, reached_s, patience = ear_at(manager), self.now_s(), WaitMessages(self.now_s())
        while tasks:
            processes = self.supervisor.processes()
            pulses, manager = self._read_heartbeats([task.id for task in tasks])
            ear, tasks = _listen(ear, manager, tasks)
            waiting, late = list[Task](), self.now_s() - reached_s > limit_s
            for task in tasks:
                process, pulse = processes.get(task.id.program), pulses[task.id]
                result = look_at(task, process, pulse, self.now_s())
                if result is None and task.unheard and not manager:
                    result = failed(task, KEPT)
                if result is None and late:
                    result = too_late(task, process, pulse, limit_s)
                if result is None:
                    waiting.append(task)
                else:
                    report.add(result)
            if len(waiting) < len(tasks):
                reached_s = self.now_s()
            tasks = waiting
            reasons = {each.id: _reason(each, processes, pulses) for each in tasks}
            if line := patience.line(self.now_s(), reasons):
                report.note(line)
            if tasks:
                self._tools.wait(LOOK_EVERY_S)

    def _read_heartbeats(self, collectors: list[CollectorId]) -> tuple[dict[CollectorId, Pulse], dict[str, str]]:
        from common.redis.redis_py import check_serves, translated_errors  # see ``tools``

        with translated_errors(self._site.file.redis), self._site.client.pipeline(transaction=False) as pipe:
            queue_heartbeats(pipe, collectors)
            pipe.hgetall(keys.FLEET_MANAGER)
            *replies, manager = pipe.execute(raise_on_error=False)
            check_serves((*replies, manager))
        return read_pulses(collectors, replies, self._tools.clock.now_ns()), _hash(manager)

    def now_s(self) -> float:
        """The monotonic clock."""
        return self._tools.clock.monotonic_s()


def start_of(process: Process | None) -> int:
    """The process' last start, by supervisord's clock; 0 where there was none."""
    return process.started_s if process else 0


def _reason(task: Task, processes: Mapping[str, Process], pulses: Mapping[CollectorId, Pulse]) -> str:
    if task.unheard:
        return "the manager has not taken it up yet"
    return reason(processes.get(task.id.program), pulses[task.id])


def _listen(ear: Ear, manager: dict[str, str], tasks: list[Task]) -> tuple[Ear, list[Task]]:
    ear, has_heard = ear.listen(manager)
    return ear, [heard(task) for task in tasks] if has_heard else tasks


def _hash(reply: Any) -> dict[str, str]:
    return reply if isinstance(reply, dict) else {}
