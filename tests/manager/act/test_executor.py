import asyncio
from collections.abc import Coroutine
from typing import Any

from manager.act.executor import Executor
from manager.decide.policy import Action, ActionKind
from manager.model.journal_entries import JournalEntry, What
from manager.supervisord.client import Fault
from tests.manager.fakes import AsyncFakeSupervisor, FakeSupervisor, ManualClock, config
from tickfleet.contract.identity import CollectorId

ID = config().id


class Rig:
    """Hands over a supervisord in memory; what they begin continues when the test says so."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.notes = list[JournalEntry]()
        self.supervisor = FakeSupervisor(clock)
        self.supervisor.know(ID.program)
        self.supervisor.start(ID.program)
        self.supervisor.calls.clear()
        self.begun = list[Coroutine[Any, Any, None]]()
        self.executor = Executor(AsyncFakeSupervisor(self.supervisor), clock, self.notes.append)

    def submit(self, kind: ActionKind) -> None:
        """Begin an action against the process."""
        pid = self.supervisor.table[ID.program].pid
        self.executor.start(Action(kind=kind, collector=ID, why="because", pid=pid), self.begun.append)

    def told(self) -> list[tuple[What, dict[str, str]]]:
        """What was noted."""
        assert {(note.collector, note.why) for note in self.notes} <= {("okx:BTC-USDT", "because")}
        return [(note.what, note.details) for note in self.notes]


async def test_an_action_that_ends_does_not_release_what_another_still_holds() -> None:
    clock, notes = ManualClock(), list[JournalEntry]()
    supervisor = FakeSupervisor(clock)
    supervisor.know(ID.program)
    executor = Executor(AsyncFakeSupervisor(supervisor), clock, notes.append)
    begun = list[Coroutine[Any, Any, None]]()
    executor.start(Action(kind=ActionKind.START, collector=ID, why="because"), begun.append)
    executor.hold([ID])
    await asyncio.gather(*begun)
    assert (executor.busy, [note.details["outcome"] for note in notes]) == (frozenset({ID}), ["done"])
    executor.release([ID])
    assert executor.busy == frozenset()


async def test_a_restart_is_a_stop_and_a_start() -> None:
    rig = Rig()
    rig.submit(ActionKind.RESTART)
    assert rig.executor.busy == {ID}
    assert rig.told() == []
    await asyncio.gather(*rig.begun)
    assert rig.supervisor.calls == [("stop", ID.program), ("start", ID.program)]
    assert rig.told() == [(What.ACTION, {"action": "restart", "pid": "101", "outcome": "done"})]
    assert (rig.executor.busy, rig.executor.restarting) == (frozenset(), frozenset())


async def test_while_a_collector_is_restarted_the_hands_say_so() -> None:
    rig, seen = Rig(), list[frozenset[CollectorId]]()

    class Watched(AsyncFakeSupervisor):
        async def start(self, program: str) -> None:
            seen.append(rig.executor.restarting)
            await super().start(program)

    rig.executor = Executor(Watched(rig.supervisor), rig.supervisor.clock, rig.notes.append)
    for kind in (ActionKind.RESTART, ActionKind.PROBE, ActionKind.START):
        rig.submit(kind)
        await asyncio.gather(*rig.begun)
        rig.begun.clear()
    assert seen == [{ID}, {ID}, frozenset()]


async def test_a_restart_that_cannot_be_finished_is_no_restart() -> None:
    rig = Rig()
    rig.supervisor.refusals["start"] = Fault.SPAWN_ERROR
    rig.submit(ActionKind.RESTART)
    await asyncio.gather(*rig.begun)
    ((what, details),) = rig.told()
    assert (what, details["action"], details["outcome"].split(":")[0]) == (What.ACTION, "restart", "refused")
    assert rig.executor.restarting == frozenset()


async def test_a_probe_counts_from_its_beginning() -> None:
    rig = Rig()
    rig.submit(ActionKind.PROBE)
    assert rig.told() == [(What.OUTAGE_PROBED, {"exchange": "okx"})]
    await asyncio.gather(*rig.begun)
    assert rig.supervisor.calls == [("stop", ID.program), ("start", ID.program)]
    assert rig.told()[1:] == [(What.ACTION, {"action": "probe", "pid": "101", "outcome": "done"})]


async def test_standing_down_is_a_note_and_no_deed() -> None:
    rig = Rig()
    rig.submit(ActionKind.STAND_DOWN)
    assert (rig.begun, rig.executor.busy, rig.told()) == ([], frozenset(), [(What.STOOD_DOWN, {})])
