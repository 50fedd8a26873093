import asyncio
from collections.abc import Coroutine
from typing import Any

from manager.hands import Hands
from manager.journal import Entry
from manager.policy import Action, ActionKind
from tests.manager.fakes import AsyncFakeSupervisor, FakeSupervisor, ManualClock, config

ID = config().id


async def test_an_action_that_ends_does_not_release_what_another_still_holds() -> None:
    clock, notes = ManualClock(), list[Entry]()
    supervisor = FakeSupervisor(clock)
    supervisor.know(ID.program)
    hands = Hands(AsyncFakeSupervisor(supervisor), clock, notes.append)
    begun = list[Coroutine[Any, Any, None]]()
    hands.begin(Action(kind=ActionKind.START, collector=ID, why="because"), begun.append)
    hands.hold([ID])
    await asyncio.gather(*begun)
    assert (hands.busy, [note.details["outcome"] for note in notes]) == (frozenset({ID}), ["done"])
    hands.release([ID])
    assert hands.busy == frozenset()
