"""A fleet that is simulated second by second under the real judgement, policy and hands of the manager.

What is not real: supervisord is in memory, the workers are a few lines that say what real ones would, time is a number.
"""

from collections.abc import Coroutine, Iterable
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.act.executor import Executor
from manager.decide.evaluate import Evaluation, Observation
from manager.decide.history import History, rebuild, remember
from manager.decide.outage import Outages, rebuild_outages, remember_outage
from manager.decide.policy import Action, Conditions
from manager.model.journal_entries import JournalEntry
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Pulse
from manager.observe.clock_jumps import Instant
from manager.settings import ManagerSettings
from tests.manager.fakes import AsyncFakeSupervisor, FakeSupervisor, ManualClock, S
from tickfleet.contract.health import Heartbeat, Progress, RestLook, WorkerState
from tickfleet.contract.identity import CollectorId, DataType

BRISK = ManagerSettings(
    hung_after_s=3.0,
    start_limit_s=5.0,
    blip_s=0.0,
    silent_confirm_s=4.0,
    restarts_max=3,
    restart_window_s=12.0,
    park_first_s=2.0,
    park_max_s=8.0,
    forgive_after_s=30.0,
    starting_max=2,
    flow_fresh_s=2.0,
    outage_settle_s=4.0,
    probe_first_s=3.0,
    probe_max_s=12.0,
    rekill_after_s=2.0,
)
"""Everything some ten times faster than it is meant, so that a short history sees all of it."""

SILENCE_LIMIT_S = 2


class Trouble(Enum):
    """What is the matter with a collector."""

    NONE = "none"
    QUIET = "quiet"  # nobody trades
    STALLED = "stalled"  # the exchange sends it nothing, whatever it does
    STUCK = "stuck"  # its process gets nothing, another one would
    HANGS = "hangs"  # its loop hangs
    ALWAYS_HANGS = "always_hangs"  # and so does that of every other process
    CRASHES = "crashes"  # every process ends within a second
    EXITS = "exits"  # its process ends, another one would not
    REVIVES = "revives"  # its process ends, and supervisord starts another one by itself


_ENDS_WITH_THE_PROCESS = (Trouble.STUCK, Trouble.HANGS, Trouble.EXITS, Trouble.REVIVES)


class Event(Struct, frozen=True):
    """From now on a collector (by its place in the fleet; None: every one of the exchange) has a trouble."""

    place: int | None
    trouble: Trouble
    lasts_s: int


class Deed(Struct, frozen=True):
    """An action with the moment, the verdict it follows from, and what was the matter in truth."""

    at_s: int
    action: Action
    judgement: Judgement
    trouble: Trouble


class Past:
    """What a manager remembers, and the journal that it is a fold of."""

    def __init__(self, settings: ManagerSettings, journal: Iterable[JournalEntry] = ()) -> None:
        self.settings, self.journal = settings, list(journal)
        self.history: History = rebuild(self.journal, settings)
        self.outages: Outages = rebuild_outages(self.journal)

    def note(self, entry: JournalEntry) -> None:
        """Remember it."""
        self.journal.append(entry)
        self.history = remember(self.history, entry, self.settings)
        self.outages = remember_outage(self.outages, entry)


class _Worker(Struct):
    """A collector's process, as far as it shows in its heartbeat."""

    pid: int = 0
    trouble: Trouble = Trouble.NONE
    last_data_s: int = 0
    beat_s: int = 0


class World:
    """A fleet that is simulated second by second. ``fleet`` are symbols at one exchange."""

    def __init__(self, size: int, settings: ManagerSettings = BRISK) -> None:
        self.clock = ManualClock()
        self.now_s = 0
        self.supervisor = FakeSupervisor(self.clock)
        self.fleet = tuple(
            ExchangeCollectorConfig("okx", f"C{number}-USDT", (DataType.TRADE,)) for number in range(size)
        )
        self.supervisor.know(*(of.id.program for of in self.fleet))
        self.deeds: list[Deed] = []
        self.judgements: dict[CollectorId, Judgement] = {}
        self._workers = {of.id: _Worker() for of in self.fleet}
        self._settings = settings
        self.past = Past(settings)
        self._judge = Evaluation(settings)
        self.executor = Executor(AsyncFakeSupervisor(self.supervisor), self.clock, lambda entry: self.past.note(entry))

    def new_manager(self) -> None:
        """The manager is killed; another one takes over with nothing but the journal."""
        self.past = Past(self._settings, self.past.journal)
        self._judge = Evaluation(self._settings)

    def live(self, events: Iterable[Event]) -> None:
        """Let everything happen."""
        for event in events:
            self.apply_event(event)
            for _ in range(event.lasts_s):
                self.step()

    def apply_event(self, event: Event) -> None:
        """Let one thing begin."""
        chosen = self.fleet if event.place is None else [self.fleet[event.place % len(self.fleet)]]
        for of in chosen:
            self._workers[of.id].trouble = event.trouble

    def step(self) -> None:
        """One second: the processes do what is the matter with them, then the manager has a round."""
        self.clock.move(1)
        self.now_s += 1
        for of in self.fleet:
            self._happen(of)
        processes = self.supervisor.processes()
        seen = Observation(
            at=Instant(self.clock.now_ns(), self.clock.monotonic_s()),
            desired=self.fleet,
            pulses={of.id: self._pulse(of, processes[of.id.program]) for of in self.fleet},
            processes=processes,
        )
        judgements = self._judge.judge(seen, self.past, Conditions()).judgements
        self.judgements = {judgement.id: judgement for judgement in judgements}
        for action in self._judge.decide(judgements, self.past, seen.at.wall_ns, Conditions()):
            trouble = self._workers[action.collector].trouble
            self.deeds.append(Deed(self.now_s, action, self.judgements[action.collector], trouble))
            self.executor.start(action, _complete)

    def trouble(self, collector: CollectorId) -> Trouble:
        """What is the matter with a collector in truth."""
        return self._workers[collector].trouble

    def _happen(self, of: ExchangeCollectorConfig) -> None:
        worker, process = self._workers[of.id], self.supervisor.table[of.id.program]
        if process.pid != worker.pid:
            cured = worker.trouble in _ENDS_WITH_THE_PROCESS and worker.pid != 0
            trouble = Trouble.NONE if cured else worker.trouble
            worker = self._workers[of.id] = _Worker(process.pid, trouble, 0, 0)
        if not process.alive:
            return
        if worker.trouble in (Trouble.CRASHES, Trouble.EXITS):
            self.supervisor.end(of.id.program, ProcessState.FATAL)
        elif worker.trouble is Trouble.REVIVES:
            self.supervisor.end(of.id.program, ProcessState.EXITED)
            self.supervisor.start(of.id.program)
        elif worker.trouble not in (Trouble.HANGS, Trouble.ALWAYS_HANGS):
            worker.beat_s = self.now_s
            if worker.trouble is Trouble.NONE:
                worker.last_data_s = self.now_s

    def _pulse(self, of: ExchangeCollectorConfig, process: Process) -> Pulse:
        worker = self._workers[of.id]
        if not worker.beat_s or worker.pid != process.pid:
            return Pulse()
        now_ns = self.clock.now_ns()
        beat_ns = now_ns - (self.now_s - worker.beat_s) * S
        data_ns = now_ns - (self.now_s - worker.last_data_s) * S if worker.last_data_s else 0
        since_ns = max(data_ns, process.started_s * S)
        silent_s = (beat_ns - since_ns) // S
        beat = Heartbeat(
            collector=str(of.id),
            pid=process.pid,
            host="testhost",
            run_id=str(process.pid),
            version="0.1.0",
            started_at=process.started_s * S,
            connected_since=process.started_s * S,
            beat_at=beat_ns,
            beats=worker.beat_s,
            last_frame_at=beat_ns,
            state=WorkerState.RUNNING,
            progress={
                DataType.TRADE: Progress(
                    count=worker.last_data_s, last_event_at=data_ns, silence_limit=SILENCE_LIMIT_S * S
                )
            },
        )
        return Pulse(
            heartbeat=_with_looks(beat, worker.trouble, silent_s),
            age_s=self.now_s - worker.beat_s,
            expired=False,
        )


def _with_looks(beat: Heartbeat, trouble: Trouble, silent_s: int) -> Heartbeat:
    """What the worker has found out by itself: it looks at the limit, and connects anew where it finds something."""
    if silent_s <= SILENCE_LIMIT_S:
        return beat
    if trouble is Trouble.QUIET:
        return replace(beat, rest_look=RestLook.NOTHING_NEWER, rest_looked_at=beat.beat_at)
    reconnects = 1 if silent_s <= 2 * SILENCE_LIMIT_S else 2
    return replace(beat, rest_look=RestLook.NEWER, mute="trade", mute_reconnects=reconnects)


def _complete(deed: Coroutine[Any, Any, None]) -> None:
    """Carry out what waits for nothing."""
    try:
        deed.send(None)
    except StopIteration:
        return
    raise AssertionError("the fake supervisord keeps nobody waiting")
