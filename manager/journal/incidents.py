"""What the manager notices beside the verdicts, as entries of the journal: Redis away, data lost, two managers.

Pure but for the clock that it is given.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from common.process.log import get_logger
from manager.decide.bans import bans_of
from manager.desired.rival import with_a_way_out
from manager.model.formatting import clock_time, one_line, span
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.model.verdicts import Pulse
from manager.observe.clock_jumps import Instant
from manager.observe.lease import Lease
from manager.observe.writes import NoWrites
from manager.settings import NS_PER_S, ManagerSettings
from tickfleet._util.clock import Clock
from tickfleet.contract.identity import CollectorId

LOSSES_EVERY_S = 60.0
"""Neither a feed that often loses data nor a Redis that evicts keys must fill the journal."""

SPELLS_EVERY_S = 60.0
"""A Redis that comes and goes must not fill the journal either."""


BAN_LASTS_S = 20.0
"""Shorter bans are everyday life: a limit was met, and is heeded."""

_NO_ALARM = frozenset(
    {What.REDIS_BACK, What.WRITES_TAKEN, What.MANAGER_TOOK_OVER, What.BAN_OVER, What.FLEETS_AGREE, What.VERSIONS_SEEN}
)


class Incidents:
    """Turns what happens beside the verdicts into entries of the journal, each once."""

    def __init__(self, clock: Clock, settings: ManagerSettings) -> None:
        self._clock, self._settings = clock, settings
        self._away: Instant | None = None
        self._away_why, self._has_answered = "", False
        self._spells = list[tuple[Instant, Instant]]()
        self._spells_due_s = float("-inf")
        self._away_told = self._standby_told = self._rival_told = False
        self._no_writes: NoWrites | None = None
        self._no_writes_told = False
        self._banned_since_s: dict[str, float] = {}
        self._banned = set[str]()
        self._gaps: dict[CollectorId, tuple[str, int]] = {}
        self._lost: dict[CollectorId, int] = {}
        self._keys_lost: dict[CollectorId, str] = {}
        self._losses_due_s = self._keys_due_s = float("-inf")

    def of_round(
        self, lease: Lease, redis_trouble: str, pulses: Mapping[CollectorId, Pulse] | None, rival: str = ""
    ) -> Iterator[JournalEntry]:
        """What is new in this round. What concerns the fleet is reported by the manager that leads.

        Args:
            lease: Who leads.
            redis_trouble: Why Redis is away; empty while it is not.
            pulses: None while it is.
            rival: Why we do not stand by for the manager that acts; empty where we do, or act.
        """
        yield from self._of_rival(rival)
        yield from self._of_lease(lease)
        if not (lease.holder or rival):
            yield from self._of_redis(redis_trouble)
        if lease.leading and pulses is not None:
            yield from self._of_bans(pulses)
            yield from self._of_data(pulses)
            yield from self._of_keys(pulses)

    def _of_redis(self, trouble: str) -> Iterator[JournalEntry]:
        """Report an absence of Redis when it is back: only then can an entry be written. Report a long one earlier."""
        now = Instant(self._clock.now_ns(), self._clock.monotonic_s())
        if trouble:
            self._away, self._away_why = self._away or now, trouble
            away_s = now.monotonic_s - self._away.monotonic_s
            if not self._away_told and away_s >= self._settings.redis_away_alert_s:
                self._away_told = True
                yield self._entry(What.REDIS_AWAY, f"{trouble} for {span(away_s)}")
            return
        if self._away is not None and (self._has_answered or self._away_told):  # else it starts together with us
            self._spells.append((self._away, now))
        self._away, self._has_answered = None, True
        if self._spells and (self._away_told or now.monotonic_s >= self._spells_due_s):
            yield self._back(self._spells)
            self._spells, self._spells_due_s = [], now.monotonic_s + SPELLS_EVERY_S
        self._away_told = False

    def _back(self, spells: Sequence[tuple[Instant, Instant]]) -> JournalEntry:
        (since, _), (_, until) = spells[0], spells[-1]
        away_s = sum(end.monotonic_s - start.monotonic_s for start, end in spells)
        details = {"since": str(since.wall_ns), "until": str(until.wall_ns), "away_s": f"{away_s:.0f}"}
        often = ""
        if len(spells) > 1:
            often, details["times"] = f" in {len(spells)} times", str(len(spells))
        why = f"after {span(away_s)}{often}, since {clock_time(since.wall_ns)} ({self._away_why})"
        return self._entry(What.REDIS_BACK, why, details)

    def _of_rival(self, rival: str) -> Iterator[JournalEntry]:
        if bool(rival) is self._rival_told:
            return
        self._rival_told = bool(rival)
        if rival:
            yield self._entry(What.FLEETS_DIFFER, with_a_way_out(rival))
        else:
            yield self._entry(What.FLEETS_AGREE, "no other manager acts for another fleet now")

    def of_writes(self, lease: Lease, no_writes: NoWrites | None) -> Iterator[JournalEntry]:
        """News of a Redis that takes no writes: that it lasts, and that it is over, even after a short time."""
        before, self._no_writes = self._no_writes, no_writes
        if lease.holder:
            return
        now_ns, known = self._clock.now_ns(), no_writes or before
        if known is None:
            return
        lasts_s = (now_ns - known.since_ns) / NS_PER_S
        details = {"code": known.code, "since": str(known.since_ns)}
        if no_writes is None:
            self._no_writes_told = False
            why = f"Redis takes writes again ({known.code}, after {span(lasts_s)})"
            yield self._entry(What.WRITES_TAKEN, why, {**details, "refused_s": f"{lasts_s:.0f}"})
        elif not self._no_writes_told and lasts_s >= self._settings.no_writes_alert_s:
            self._no_writes_told = True
            yield self._entry(What.WRITES_REFUSED, str(no_writes), details)

    def _of_lease(self, lease: Lease) -> Iterator[JournalEntry]:
        if lease.standing_by and not self._standby_told:
            self._standby_told = True
            yield self._entry(What.MANAGER_STANDBY, f"another manager acts: {lease.holder}")
        elif lease.leading and self._standby_told:
            self._standby_told = False
            yield self._entry(What.MANAGER_TOOK_OVER, "the other manager has gone")

    def _of_bans(self, pulses: Mapping[CollectorId, Pulse]) -> Iterator[JournalEntry]:
        """Reports a ban that lasts; a ban that follows another without a pause counts as the same."""
        bans, now_s = bans_of(pulses.items()), self._clock.monotonic_s()
        self._banned_since_s = {exchange: self._banned_since_s.get(exchange, now_s) for exchange in bans}
        for exchange, ban in bans.items():
            if exchange not in self._banned and now_s - self._banned_since_s[exchange] >= BAN_LASTS_S:
                self._banned.add(exchange)
                details = {"exchange": exchange, "until": str(ban.until_ns)}
                yield self._entry(What.EXCHANGE_BANNED, f"{ban}; manager-cli unban {exchange} lifts it", details)
        for exchange in sorted(self._banned - bans.keys()):
            self._banned.discard(exchange)
            yield self._entry(What.BAN_OVER, f"{exchange} may be called again", {"exchange": exchange})

    def _of_data(self, pulses: Mapping[CollectorId, Pulse]) -> Iterator[JournalEntry]:
        for collector, count in _new_gaps(self._gaps, pulses):
            self._lost[collector] = self._lost.get(collector, 0) + count
        self._gaps = {
            collector: (pulse.heartbeat.run_id, pulse.heartbeat.gaps)
            for collector, pulse in pulses.items()
            if pulse.heartbeat is not None
        }
        now_s = self._clock.monotonic_s()
        if not self._lost or now_s < self._losses_due_s:
            return
        self._losses_due_s = now_s + LOSSES_EVERY_S
        lost, self._lost = self._lost, {}
        for collector, count in lost.items():
            why = f"{count} hole{'' if count == 1 else 's'} could not be filled; manager-cli coverage {collector}"
            yield self._entry(What.DATA_LOST, why, {"gaps": str(count)}, str(collector))

    def _of_keys(self, pulses: Mapping[CollectorId, Pulse]) -> Iterator[JournalEntry]:
        """What somebody removed from Redis under a collector. Reports from before our first look at it are not new."""
        lost = {
            collector: pulse.heartbeat.keys_lost for collector, pulse in pulses.items() if pulse.heartbeat is not None
        }
        now_s = self._clock.monotonic_s()
        if now_s < self._keys_due_s:
            self._keys_lost = {**lost, **self._keys_lost}  # what comes meanwhile is news then
            return
        before, self._keys_lost = self._keys_lost, lost
        for collector, why in lost.items():
            if why and before.get(collector, why) != why:
                self._keys_due_s = now_s + LOSSES_EVERY_S
                yield self._entry(What.KEYS_LOST, one_line(why), collector=str(collector))

    def versions(self, pulses: Mapping[CollectorId, Pulse], last: JournalEntry | None) -> Iterator[JournalEntry]:
        """The versions of the collectors that run, where they are not those of the ``last`` entry of this kind."""
        found = Counter(pulse.heartbeat.version for pulse in pulses.values() if pulse.heartbeat and not pulse.expired)
        versions = " ".join(sorted(found))
        if versions in ("", last.details.get("versions", "") if last else ""):
            return
        why = ", ".join(f"{count} of the collectors that run: {version}" for version, count in sorted(found.items()))
        yield self._entry(What.VERSIONS_SEEN, why, {"versions": versions})

    def _entry(self, what: What, why: str, details: dict[str, str] | None = None, collector: str = "") -> JournalEntry:
        log = get_logger().info if what in _NO_ALARM else get_logger().warning
        log(what.value, why=why, **({"collector": collector} if collector else {}), **(details or {}))
        return JournalEntry(
            at_ns=self._clock.now_ns(), who=WHO, what=what, collector=collector, why=why, details=details or {}
        )


def _new_gaps(
    before: Mapping[CollectorId, tuple[str, int]], pulses: Mapping[CollectorId, Pulse]
) -> Iterable[tuple[CollectorId, int]]:
    """Another run counts from 0. Losses from before our first look were reported already, or are old."""
    for collector, pulse in pulses.items():
        if pulse.heartbeat is None or collector not in before:
            continue
        run_id, gaps = before[collector]
        new = pulse.heartbeat.gaps - (gaps if run_id == pulse.heartbeat.run_id else 0)
        if new > 0:
            yield collector, new
