"""Tells a blip from trouble: remembers from round to round when each collector was last well.

Sockets are often replaced within seconds: the verdict stays the same. It also stays the same in any other short
silence. A collector whose sockets never last does not count as starting for ever.
"""

from collections.abc import Iterable, Mapping
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from manager.decide.data_flow import first_data_limit_s, is_connected
from manager.decide.start_limits import start_limits_s
from manager.model.formatting import span
from manager.model.verdicts import Judgement, Verdict
from manager.settings import ManagerSettings
from tickfleet.contract.health import BookState, Heartbeat, WorkerState
from tickfleet.contract.identity import CollectorId

_PASSING = frozenset({WorkerState.CONNECTING, WorkerState.SUBSCRIBING, WorkerState.CATCHING_UP, WorkerState.DEGRADED})


class _LastWell(Struct, frozen=True):
    """A run of a collector: when it was last well, else when it was first seen (monotonic).

    Attributes:
        verdict: How it was then; None where it was not well, or has been called unwell since: then nothing passes for
            a blip before it is well again.
    """

    run_id: str
    at_s: float
    verdict: Verdict | None = None


class Debounce:
    """Remembers when each collector was last well, and keeps short troubles out of the verdicts."""

    def __init__(self) -> None:
        self._seen: dict[CollectorId, _LastWell] = {}

    def steady(
        self,
        judgements: Iterable[Judgement],
        now_s: float,
        settings: ManagerSettings,
        well_runs: Mapping[str, int],
        watched_since_s: float = -inf,
    ) -> list[Judgement]:
        """The judgements without blips; collectors that have no judgement are forgotten.

        Args:
            judgements: Of this round.
            now_s: Monotonic time.
            settings: The limits.
            well_runs: Collectors that were well when an earlier manager last saw them, with the start of that run by
                supervisord's clock: a manager that begins in the middle of a blip calls it one, too.
            watched_since_s: Since when we watch without a pause (monotonic). Before that nobody could see them well.
        """
        judgements = list(judgements)
        limits_s = start_limits_s(((each.id, each.pulse, each.process) for each in judgements), settings)
        steadied = [
            self._steady_one(each, now_s, limits, well_runs, watched_since_s)
            for each in judgements
            for limits in (replace(settings, start_limit_s=limits_s[each.id.exchange]),)
        ]
        present = {judgement.id for judgement in steadied}
        self._seen = {collector: seen for collector, seen in self._seen.items() if collector in present}
        return steadied

    def _steady_one(
        self,
        judgement: Judgement,
        now_s: float,
        settings: ManagerSettings,
        well_runs: Mapping[str, int],
        watched_since_s: float,
    ) -> Judgement:
        heartbeat, process = judgement.pulse.heartbeat, judgement.process
        if heartbeat is None or (process is not None and process.pid != heartbeat.pid):
            return judgement
        seen = self._seen.get(judgement.id)
        if judgement.well:
            seen = _LastWell(heartbeat.run_id, now_s, judgement.verdict)
        elif seen is None or seen.run_id != heartbeat.run_id:
            was_well = process is not None and process.started_s == well_runs.get(str(judgement.id))
            seen = _LastWell(heartbeat.run_id, now_s, Verdict.HEALTHY if seen is None and was_well else None)
        self._seen[judgement.id] = seen
        if judgement.verdict not in (Verdict.STARTING, Verdict.SILENT):
            return judgement
        passed_s = now_s - seen.at_s
        grace_s = settings.grace_s if _is_passing(heartbeat) else settings.blip_s
        if seen.verdict is not None and now_s - max(seen.at_s, watched_since_s) < grace_s:
            return replace(judgement, verdict=seen.verdict)
        self._seen[judgement.id] = replace(seen, verdict=None)
        limit_s = _limit_s(judgement, heartbeat, settings.start_limit_s)
        if judgement.verdict is Verdict.STARTING and _is_passing(heartbeat) and passed_s >= limit_s:
            return replace(judgement, verdict=Verdict.SILENT, why=f"not running for {span(passed_s)}: {judgement.why}")
        return judgement


def _limit_s(judgement: Judgement, heartbeat: Heartbeat, start_limit_s: float) -> float:
    """How long it may be on its way to running, however often it begins anew."""
    if heartbeat.state is WorkerState.CATCHING_UP:
        return 2 * start_limit_s + judgement.config.max_backfill_wait
    if is_connected(heartbeat):
        return first_data_limit_s(judgement.config, start_limit_s)
    return start_limit_s


def _is_passing(heartbeat: Heartbeat) -> bool:
    return not heartbeat.mute and (heartbeat.state in _PASSING or heartbeat.book_state is BookState.STALE)
