"""One round after the look and before the actions: assess, debounce, find outages, remember, decide. Does no I/O.

So a test can run thousands of rounds of a simulated fleet through the real manager's code.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from math import inf
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.decide.assess import assess
from manager.decide.debounce import Debounce
from manager.decide.history import History, observe, parked
from manager.decide.outage import Outages, observe_outages
from manager.decide.overlays import overlays_of
from manager.decide.policy import Action, Conditions, decide
from manager.decide.turns import Turns
from manager.model.journal_entries import WHO, JournalEntry
from manager.model.processes import Process
from manager.model.verdicts import Judgement, Pulse, Verdict
from manager.observe.clock_jumps import Instant
from manager.observe.writes import NoWrites
from manager.settings import ManagerSettings
from tickfleet.contract.identity import CollectorId


class Past(Protocol):
    """What is remembered, see ``Memory``."""

    @property
    def history(self) -> History:
        """Of the collectors."""
        ...

    @property
    def outages(self) -> Outages:
        """Of the exchanges."""
        ...

    def note(self, entry: JournalEntry) -> None:
        """Remember one more thing."""
        ...


class Observation(Struct, frozen=True, kw_only=True):
    """What one look has shown, and when.

    Attributes:
        processes: By program; None where supervisord cannot be asked.
        restarting: Collectors that are being restarted by us: no process is no death then.
        no_writes: That Redis takes no writes.
        watched_since_s: Since when we watch without a pause (monotonic), see ``Poller``.
        explain: Gives those that are not to run their reason.
    """

    at: Instant
    desired: tuple[ExchangeCollectorConfig, ...]
    pulses: Mapping[CollectorId, Pulse]
    processes: Mapping[str, Process] | None
    restarting: Set[CollectorId] = frozenset()
    no_writes: NoWrites | None = None
    watched_since_s: float = -inf
    explain: Callable[[list[Judgement]], list[Judgement]] = list


class Round(Struct, frozen=True):
    """The result of one round: the verdicts, and the journal entries of the changes, which are already noted."""

    judgements: list[Judgement]
    entries: list[JournalEntry]


class Evaluation:
    """Makes the facts of one round into judgements, changes and actions.

    Attributes:
        settings: The limits; may be replaced.
    """

    def __init__(self, settings: ManagerSettings) -> None:
        self.settings = settings
        self._debounce, self._turns = Debounce(), Turns()

    def judge(self, seen: Observation, past: Past, conditions: Conditions) -> Round:
        """The verdicts of this round; what is new in them is noted in ``past``."""
        settings, now_ns, entries = self.settings, seen.at.wall_ns, list[JournalEntry]()
        judgements = assess(seen.desired, seen.pulses, seen.processes, parked(past.history, now_ns, settings), settings)
        judgements = _without_restarts(seen.explain(judgements), seen.restarting)
        if seen.processes is not None:
            judgements = self._turns.waiting(judgements, past.history, seen.at.monotonic_s, settings, conditions.busy)
        well_runs, now_s = _well_runs(past.history), seen.at.monotonic_s
        judgements = self._debounce.steady(judgements, now_s, settings, well_runs, seen.watched_since_s)
        if not conditions.settling:
            entries = observe_outages(judgements, past.outages, past.history, now_ns, settings, WHO)
            _note_all(entries, past)
        overlays = overlays_of(
            past.outages, past.history, now_ns, settings, seen.no_writes, settling=conditions.settling
        )
        told = overlays.applied(each for each in judgements if not overlays.hide(each))  # one cause is one entry
        judgements = overlays.applied(judgements)
        changes = observe(told, past.history, now_ns, WHO)
        _note_all(changes, past)
        return Round(judgements, entries + changes)

    def decide(self, judgements: list[Judgement], past: Past, now_ns: int, conditions: Conditions) -> list[Action]:
        """What is to be done about them."""
        return decide(judgements, past.history, now_ns, conditions, self.settings, past.outages)


def _note_all(entries: Iterable[JournalEntry], past: Past) -> None:
    for entry in entries:
        past.note(entry)


def _without_restarts(judgements: Iterable[Judgement], restarting: Set[CollectorId]) -> list[Judgement]:
    return [
        replace(judgement, verdict=Verdict.STARTING, why="being restarted by the manager")
        if judgement.id in restarting and judgement.verdict is Verdict.DEAD
        else judgement
        for judgement in judgements
    ]


def _well_runs(history: History) -> dict[str, int]:
    return {name: track.run_started_s for name, track in history.items() if track.well_since_ns}
