"""A collector that waits for its start is starting, not dead: a normal start is no alarm.

Collectors start in turn. One that waits longer than a turn can take keeps its own verdict.
"""

from collections import Counter
from collections.abc import Iterable, Set

from msgspec.structs import replace

from manager.decide.history import CollectorPast, History, is_ordered
from manager.decide.start_limits import share
from manager.model.processes import STARTABLE
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tickfleet.contract.identity import CollectorId

NOT_STARTED = "not started yet"
ORDERED = "to be started, as it was told to run"


class Turns:
    """Marks the collectors that wait for a start, and remembers since when."""

    def __init__(self) -> None:
        self._since_s: dict[CollectorId, float] = {}

    def waiting(
        self,
        judgements: Iterable[Judgement],
        history: History,
        now_s: float,
        settings: ManagerSettings,
        busy: Set[CollectorId] = frozenset(),
    ) -> list[Judgement]:
        """The judgements, where supervisord was asked, with those that wait for their start as starting.

        Args:
            judgements: Of this round.
            history: Of the collectors.
            now_s: Monotonic time.
            settings: The limits.
            busy: Collectors that something is being done to, such as to replace their program.
        """
        judgements = list(judgements)
        reasons = {
            each.id: why
            for each in judgements
            if (why := _why_it_waits(each, history.get(str(each.id), CollectorPast()), busy=each.id in busy))
        }
        self._since_s = {collector: self._since_s.get(collector, now_s) for collector in reasons}
        crowds = Counter(collector.exchange for collector in reasons)
        at_once = share(crowds, settings)
        limits_s = {
            name: settings.start_limit_s * max(1.0, start_limits / at_once) for name, start_limits in crowds.items()
        }
        return [
            replace(each, verdict=Verdict.STARTING, why=reasons[each.id])
            if each.id in reasons and now_s - self._since_s[each.id] < limits_s[each.id.exchange]
            else each
            for each in judgements
        ]


def _why_it_waits(judgement: Judgement, track: CollectorPast, *, busy: bool) -> str:
    """Empty where it does not: then it has run, and nobody has told it to stop."""
    process = judgement.process
    if judgement.verdict is not Verdict.DEAD:
        return ""
    if process is None:  # its program is not taken up, or is being replaced; else somebody has taken it out
        return NOT_STARTED if busy or track.ordered or not track.run_started_s else ""
    if process.state not in STARTABLE:
        return ""
    if not process.started_s:
        return NOT_STARTED
    return ORDERED if is_ordered(track, process) else ""
