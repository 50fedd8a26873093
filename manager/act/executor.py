"""Carries actions out, each in a task of its own, at most one per collector at a time, and reports how it went."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from common.process.log import get_logger
from manager.decide.history import REFUSED
from manager.decide.policy import Action, ActionKind
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.supervisord.async_client import Supervisor
from manager.supervisord.client import SupervisorRefusedError
from tickfleet._util.clock import Clock
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import FleetError

_NO_ALARM = frozenset({ActionKind.START, ActionKind.STOP})
"""Not a warning: a start is good news, somebody wants a stop, and the trouble before them was reported already."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Starts a task in the loop's task group."""


class Executor:
    """Carries out actions, at most one per collector at a time. ``note`` takes an entry for the journal."""

    def __init__(self, supervisor: Supervisor, clock: Clock, note: Callable[[JournalEntry], None]) -> None:
        self._supervisor, self._clock, self.note = supervisor, clock, note
        self._restarting = set[CollectorId]()
        self._busy: Counter[CollectorId] = Counter()  # each hold counts: one that ends does not end another

    @property
    def busy(self) -> frozenset[CollectorId]:
        """Collectors that something is being done to."""
        return frozenset(self._busy)

    @property
    def restarting(self) -> frozenset[CollectorId]:
        """The collectors under ``busy`` that we stopped in order to start them again."""
        return frozenset(self._restarting)

    def hold(self, collectors: Iterable[CollectorId]) -> None:
        """Let no action touch these until they are released."""
        self._busy.update(collectors)

    def release(self, collectors: Iterable[CollectorId]) -> None:
        """The end of ``hold``."""
        self._busy.subtract(collectors)
        self._busy = +self._busy  # without those that nobody holds any more

    def start(self, action: Action, spawn: Spawn) -> None:
        """Start an action. A park and a probe count from now, whether or not the process obeys."""
        if action.kind is ActionKind.PARK:
            details = {"until": str(action.until_ns), "parks": str(action.parks)}
            self.note(self._entry(What.PARKED, action, details))
            if not action.pid:
                return
        elif action.kind is ActionKind.STAND_DOWN:
            self.note(self._entry(What.STOOD_DOWN, action, {}))
            return
        elif action.kind is ActionKind.PROBE:
            self.note(self._entry(What.OUTAGE_PROBED, action, {"exchange": action.collector.exchange}))
        self.hold([action.collector])
        spawn(self._perform(action))

    async def _perform(self, action: Action) -> None:
        outcome = "done"
        try:
            await self._do(action)
        except SupervisorRefusedError as refusal:
            outcome = f"{REFUSED}: {refusal}"
        except FleetError as error:
            outcome = f"failed: {error}"
        finally:
            self.release([action.collector])
        details = {"action": action.kind.value, "pid": str(action.pid), "outcome": outcome}
        self.note(self._entry(What.ACTION, action, details))

    async def _do(self, action: Action) -> None:
        program = action.collector.program
        match action.kind:
            case ActionKind.START:
                await self._supervisor.start(program)
            case ActionKind.KILL:
                await self._supervisor.kill(program, action.pid)
            case ActionKind.STOP | ActionKind.PARK:
                await self._supervisor.stop(program)
            case ActionKind.RESTART | ActionKind.PROBE:
                await self._restart(action.collector)

    async def _restart(self, collector: CollectorId) -> None:
        self._restarting.add(collector)
        try:
            await self._supervisor.stop(collector.program)
            await self._supervisor.start(collector.program)
        finally:
            self._restarting.discard(collector)

    def _entry(self, what: What, action: Action, details: dict[str, str]) -> JournalEntry:
        log = get_logger().info if action.kind in _NO_ALARM else get_logger().warning
        log(what.value, collector=str(action.collector), why=action.why, **details)
        return JournalEntry(
            at_ns=self._clock.now_ns(),
            who=WHO,
            what=what,
            collector=str(action.collector),
            why=action.why,
            details=details,
        )
