"""Runs schedules of faults against a simulator: begins and ends each fault at its time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from random import Random

import msgspec

from tests.simulator import faults_false, faults_frames, faults_rest
from tests.simulator.clock import Clock
from tests.simulator.faults import DropOnAccept, Fault, RefuseConnect, RefuseSubscription, RestLost, Schedule
from tests.simulator.faults_dialect import Dialect, Request
from tests.simulator.faults_ends import Ends
from tests.simulator.gate import Active, Gate
from tests.simulator.hub import Hub
from tests.simulator.source import Answer, Source

_RUNS = 200
"""Schedules, or single faults, up to which those that are over are remembered."""
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Run:
    """A schedule that was started."""

    schedule: Schedule
    from_ms: int
    waiting: deque[Active] = field(default_factory=deque)
    active: list[Active] = field(default_factory=list)
    all: list[Active] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return not self.waiting and not self.active


class FaultLab:
    """The faults of one simulator.

    Args:
        hub: The connections.
        gate: Where faults are applied.
        source: The exchange.
        clock: The time.
        dialect: How the exchange speaks.
    """

    def __init__(self, hub: Hub, gate: Gate, source: Source, clock: Clock, dialect: Dialect) -> None:
        self._gate = gate
        self._hub = hub
        self._source = source
        self._clock = clock
        self._dialect = dialect
        self._ends = Ends(hub, source)
        self._runs: deque[_Run] = deque()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        gate.on_late = self._wake.set

    def run(self, schedule: Schedule) -> None:
        """Start a schedule now, beside those that run."""
        now_ms = self._clock.now_ms()
        run = _Run(schedule, now_ms)
        for fault in sorted(schedule.faults, key=lambda fault: fault.at_ms):
            run.all.append(Active(fault, now_ms + fault.at_ms, now_ms + fault.end_ms))
        run.waiting.extend(run.all)
        while len(self._runs) >= _RUNS and self._runs[0].over:
            self._runs.popleft()
        self._runs.append(run)
        self.tick()
        self._wake.set()

    def start(self, fault: Fault, seed: int = 0) -> None:
        """Start a single fault; it begins after its `at_ms`."""
        self.run(Schedule(seed=seed, faults=(fault,)))

    def end(self) -> None:
        """End all faults that are at work, and forget those to come."""
        for run in self._runs:
            run.waiting.clear()
            for active in list(run.active):
                self._end(run, active)
        self._wake.set()

    @property
    def over(self) -> bool:
        """Whether no fault is at work or to come."""
        return all(run.over for run in self._runs)

    async def wait_over(self) -> None:
        """Wait until no fault is at work or to come; use it under a timeout."""
        while not self.over:
            await self._changed.wait()

    def rows(self) -> list[dict[str, object]]:
        """All schedules started, oldest first: their seed, when, and each fault with its state and its hits."""
        return [
            {
                "seed": run.schedule.seed,
                "state": "done" if run.over else "active",
                "from_ms": run.from_ms,
                "until_ms": run.from_ms + run.schedule.length_ms,
                "faults": [
                    {
                        "state": _state(run, active),
                        "from_ms": active.from_ms,
                        "until_ms": active.until_ms,
                        "hits": active.hits,
                        "fault": msgspec.to_builtins(active.fault),
                    }
                    for active in run.all
                ],
            }
            for run in self._runs
        ]

    def tick(self) -> None:
        """Do what is due. It happens by itself; after moving a ManualClock it may be done at once."""
        now_ms = self._clock.now_ms()
        for run in self._runs:
            while run.waiting and run.waiting[0].from_ms <= now_ms:
                self._start_fault(run, run.waiting.popleft())
            for active in run.active:
                self._ends.step(active, now_ms)
            for active in [active for active in run.active if active.until_ms <= now_ms]:
                self._end(run, active)
        self._hub.deliver(self._gate.due(now_ms))

    async def drive(self) -> None:
        """Tick when something is due, for ever."""
        while True:
            self._wake.clear()
            self.tick()
            await self._clock.wait(self._next_ms(), self._wake)

    def _next_ms(self) -> int | None:
        times = [self._gate.next_ms()]
        for run in self._runs:
            times += [active.from_ms for active in run.waiting] + [active.until_ms for active in run.active]
            times += [self._ends.next_ms(active) for active in run.active]
        return min((time for time in times if time is not None), default=None)

    def _start_fault(self, run: _Run, active: Active) -> None:
        fault, dialect, seed = active.fault, self._dialect, f"{run.schedule.seed}:{run.all.index(active)}"
        _log.info("begins %s", fault)
        run.active.append(active)
        if self._effect_of(fault, seed) is not None:

            def build(conn_id: str) -> faults_frames.Effect:
                effect = self._effect_of(fault, f"{seed}:{conn_id}")
                if effect is None:
                    raise AssertionError("a fault has an effect on all connections or on none")
                return effect

            self._gate.change_frames(active, build)
        window = (active.from_ms, active.until_ms)
        rest = faults_rest.effect_of(fault, dialect, Random(seed), self._ask, *window)
        if rest := rest or faults_false.rest_effect_of(fault, dialect, Random(seed), self._ask):
            self._gate.change_answers(active, rest)
        if isinstance(fault, RefuseSubscription):
            code = fault.code
            self._gate.refuse_requests(active, lambda text, conn_id: dialect.refusal(text, conn_id, code))
        if isinstance(fault, (DropOnAccept, RefuseConnect)):
            self._gate.guard(active)
        self._ends.start(active)
        self._tell()

    def _effect_of(self, fault: Fault, seed: str) -> faults_frames.Effect | None:
        effect = faults_frames.effect_of(fault, self._dialect, Random(seed))
        return effect or faults_false.effect_of(fault, self._dialect, Random(seed), self._clock.now_ms)

    def _end(self, run: _Run, active: Active) -> None:
        _log.info("ends %s, hits %d", active.fault, active.hits)
        run.active.remove(active)
        if not isinstance(active.fault, RestLost):  # what is lost is lost for good
            self._hub.deliver(self._gate.end(active))
        self._ends.end(active)
        self._tell()

    def _ask(self, request: Request) -> Answer:
        return self._source.rest(request.path, request.query, request.now_ms)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _state(run: _Run, active: Active) -> str:
    if active in run.active:
        return "active"
    return "waiting" if active in run.waiting else "done"
