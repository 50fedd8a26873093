"""Pure: is an exchange out, since when, and which collector is to probe whether it is back?

A collector that is silent, or cannot connect, counts against its exchange. One that is well and has just got data
counts for it. All others do not count. The exchange is out when most of the counted collectors, and at least two, are
silent. Then only one collector at a time is restarted, at growing intervals, a different one each time. The outage is
over as soon as data flows again at a collector that had none. The memory of it is a fold over the journal, like
``manager.decide.history``.

Collectors still silent after the end do not begin another outage while another collector shows that the exchange works:
the trouble is their own, and the normal policy handles it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from manager.decide.data_flow import is_connected
from manager.decide.history import CollectorPast, History
from manager.model.formatting import one_line
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Judgement, Verdict
from manager.settings import NS_PER_S, ManagerSettings, to_ns


class Outage(Struct, frozen=True, kw_only=True):
    """The last known outage of an exchange.

    Attributes:
        ended_ns: 0 while it lasts.
        probes: Collectors restarted so far to see whether that helps.
        probed: The last of them.
        probed_ns: When that was.
    """

    began_ns: int
    ended_ns: int = 0
    probes: int = 0
    probed: str = ""
    probed_ns: int = 0

    @property
    def lasts(self) -> bool:
        """Whether it is not over."""
        return not self.ended_ns

    def next_probe_ns(self, settings: ManagerSettings) -> int:
        """When the next probe is due."""
        pause_s = min(settings.probe_first_s * 2.0 ** min(self.probes, 30), settings.probe_max_s)
        return max(self.began_ns, self.probed_ns) + to_ns(pause_s)


Outages = Mapping[str, Outage]
"""By exchange."""


def remember_outage(outages: Outages, entry: JournalEntry) -> Outages:
    """The outages after one more entry of the journal; those given stay as they are."""
    exchange = entry.details.get("exchange", "")
    known = outages.get(exchange)
    if entry.what is What.OUTAGE_BEGAN:
        return {**outages, exchange: Outage(began_ns=entry.at_ns)}
    if known is None:
        return outages
    if entry.what is What.OUTAGE_PROBED:
        probed = replace(known, probes=known.probes + 1, probed=entry.collector, probed_ns=entry.at_ns)
        return {**outages, exchange: probed}
    if entry.what is What.OUTAGE_ENDED:
        return {**outages, exchange: replace(known, ended_ns=entry.at_ns)}
    return outages


def rebuild_outages(entries: Iterable[JournalEntry]) -> Outages:
    """The outages that a journal tells of."""
    outages: Outages = {}
    for entry in entries:
        outages = remember_outage(outages, entry)
    return outages


def observe_outages(
    judgements: Iterable[Judgement],
    outages: Outages,
    history: History,
    now_ns: int,
    settings: ManagerSettings,
    who: str,
) -> list[JournalEntry]:
    """What is new: outages that begin and that are over."""
    by_exchange: dict[str, list[Judgement]] = {exchange: [] for exchange, known in outages.items() if known.lasts}
    for judgement in judgements:
        by_exchange.setdefault(judgement.id.exchange, []).append(judgement)
    entries = []
    for exchange, members in by_exchange.items():
        view = _View(members, history, settings)
        known = outages.get(exchange)
        if known is not None and known.lasts:
            if why := view.why_over(known):
                entries.append(_entry(What.OUTAGE_ENDED, exchange, now_ns, who, why, {}))
        elif view.begins(known, now_ns):
            counts = {"silent": str(len(view.silent)), "of": str(view.wanted)}
            why = f"{counts['silent']} of {counts['of']} collectors of {exchange} have no data{view.reason()}"
            entries.append(_entry(What.OUTAGE_BEGAN, exchange, now_ns, who, why, counts))
    return entries


def _entry(what: What, exchange: str, at_ns: int, who: str, why: str, details: dict[str, str]) -> JournalEntry:
    return JournalEntry(at_ns=at_ns, who=who, what=what, why=why, details={"exchange": exchange, **details})


class _View:
    """The collectors of one exchange: which count against it and which for it."""

    def __init__(self, members: list[Judgement], history: History, settings: ManagerSettings) -> None:
        self._history, self._settings = history, settings
        self.wanted = sum(each.verdict is not Verdict.DISABLED for each in members)
        self.silent = [each for each in members if self._tells_against(each)]
        self.telling = [each for each in members if each.well and has_fresh_data(each, settings)]

    def reason(self) -> str:
        """What most of those without data say of it: ``, 3 of them: the name cannot be resolved``; else empty."""
        said = Counter(filter(None, (each.pulse.heartbeat.last_error for each in self.silent if each.pulse.heartbeat)))
        return "".join(f", {count} of them: {one_line(text)}" for text, count in said.most_common(1))

    def begins(self, last: Outage | None, now_ns: int) -> bool:
        silent = self.silent
        if last is not None:
            passed_ns = now_ns - last.ended_ns
            if 0 <= passed_ns < to_ns(self._settings.outage_settle_s):
                return False
            if self.telling and 0 <= passed_ns < to_ns(self._settings.forgive_after_s):
                silent = [each for each in silent if self._track(each).unwell_since_ns > last.ended_ns]
        return len(silent) >= self._settings.outage_least and self._are_most(silent)

    def why_over(self, outage: Outage) -> str:
        """Why an outage is over; empty while it lasts."""
        revived = [each for each in self.telling if not 0 < self._track(each).well_since_ns <= outage.began_ns]
        if revived:
            return f"data flows again at {revived[0].id}"
        if not self._are_most(self.silent):
            return "most of its collectors are not silent any more"
        return ""

    def _are_most(self, silent: list[Judgement]) -> bool:
        return len(silent) > self._settings.outage_fraction * (len(silent) + len(self.telling))

    def _tells_against(self, judgement: Judgement) -> bool:
        """Whether it lacks data that its exchange should send.

        False after we stood down, as the trouble is known to be the collector's own. Also false if it gets its data and
        is degraded by something else, such as a checksum that no longer matches.
        """
        heartbeat = judgement.pulse.heartbeat
        if judgement.verdict is not Verdict.SILENT or heartbeat is None or self._track(judgement).stood_down_ns:
            return False
        lacks = is_connected(heartbeat) or bool(heartbeat.mute)
        return lacks or not has_fresh_data(judgement, self._settings)

    def _track(self, judgement: Judgement) -> CollectorPast:
        return self._history.get(str(judgement.id), CollectorPast())


def has_fresh_data(judgement: Judgement, settings: ManagerSettings) -> bool:
    """Whether it got data a moment ago: a connection alone proves nothing."""
    heartbeat = judgement.pulse.heartbeat
    if heartbeat is None:
        return False
    newest = max((progress.last_event_at for progress in heartbeat.progress.values()), default=0)
    return (heartbeat.beat_at - newest) / NS_PER_S <= settings.flow_fresh_s
