"""Tells a blip from trouble: what is remembered from round to round of when each collector was last well.

A socket that is replaced within seconds is everyday life: the verdict stays as it was. A collector whose sockets never
last is not starting for ever.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from common.health import BookState, Heartbeat, WorkerState
from common.identity import CollectorId
from manager.settings import ManagerSettings
from manager.verdicts import Judgement, Verdict
from manager.words import span

_PASSING = frozenset({WorkerState.CONNECTING, WorkerState.SUBSCRIBING, WorkerState.CATCHING_UP, WorkerState.DEGRADED})


class _Seen(Struct, frozen=True):
    """A run of a collector: when it was last well and how, else when it was first seen (monotonic)."""

    run_id: str
    at_s: float
    verdict: Verdict | None = None


class Steadiness:
    """See the module."""

    def __init__(self, settings: ManagerSettings) -> None:
        self._settings = settings
        self._seen: dict[CollectorId, _Seen] = {}

    def steady(self, judgements: Iterable[Judgement], now_s: float) -> list[Judgement]:
        """The judgements with blips left out; collectors not among them are forgotten."""
        steadied = [self._steady_one(judgement, now_s) for judgement in judgements]
        present = {judgement.id for judgement in steadied}
        self._seen = {collector: seen for collector, seen in self._seen.items() if collector in present}
        return steadied

    def _steady_one(self, judgement: Judgement, now_s: float) -> Judgement:
        heartbeat, process = judgement.pulse.heartbeat, judgement.process
        if heartbeat is None or (process is not None and process.pid != heartbeat.pid):
            return judgement
        seen = self._seen.get(judgement.id)
        if judgement.well:
            seen = _Seen(heartbeat.run_id, now_s, judgement.verdict)
        elif seen is None or seen.run_id != heartbeat.run_id:
            seen = _Seen(heartbeat.run_id, now_s)
        self._seen[judgement.id] = seen
        if judgement.verdict not in (Verdict.STARTING, Verdict.SILENT) or not _is_passing(heartbeat):
            return judgement
        passed_s = now_s - seen.at_s
        if seen.verdict is not None and passed_s < self._settings.grace_s:
            return replace(judgement, verdict=seen.verdict)
        if judgement.verdict is Verdict.STARTING and passed_s >= self._limit_s(judgement, heartbeat):
            return replace(judgement, verdict=Verdict.SILENT, why=f"not running for {span(passed_s)}: {judgement.why}")
        return judgement

    def _limit_s(self, judgement: Judgement, heartbeat: Heartbeat) -> float:
        """How long it may be on its way to running, however often it begins anew."""
        if heartbeat.state is WorkerState.CATCHING_UP:
            return 2 * self._settings.start_limit_s + judgement.config.max_backfill_wait
        return self._settings.start_limit_s


def _is_passing(heartbeat: Heartbeat) -> bool:
    return heartbeat.state in _PASSING or heartbeat.book_state is BookState.STALE
