"""What the manager knows beyond a single look, and how that changes the judgements.

The manager's heartbeat carries it too, so that commands report the same as the manager.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from manager.decide.history import History, stood_down
from manager.decide.outage import Outages
from manager.model.formatting import clock_time
from manager.model.verdicts import Judgement, Verdict
from manager.observe.writes import NoWrites, decode, encode
from manager.settings import ManagerSettings

_SETTLING = "its next heartbeat is awaited: Redis, or the manager, was not there until a moment ago"


class OutageMark(Struct, frozen=True):
    """An outage that lasts (times in ns)."""

    since_ns: int
    next_probe_ns: int


class Overlays(Struct, frozen=True, kw_only=True):
    """Outages, stand-downs, and a Redis that was away or takes no writes: they change the judgements.

    Attributes:
        outages: The exchanges that are out.
        stood_down: Ids of the collectors that are not restarted any more for being hung or silent.
        no_writes: That Redis takes no writes, so that no heartbeat proves anything: a missing one is no death, and data
            that flows into a collector flows no further.
        settling: That Redis was away, or we did not look, until a moment ago: a heartbeat that is missing, or has not
            moved, proves nothing before its collector has had the time to write the next one.
    """

    outages: dict[str, OutageMark] = {}
    stood_down: frozenset[str] = frozenset()
    no_writes: NoWrites | None = None
    settling: bool = False

    def applied(self, judgements: Iterable[Judgement]) -> list[Judgement]:
        """The judgements, changed by these overlays."""
        return [self._applied_to(judgement) for judgement in judgements]

    def hide(self, judgement: Judgement) -> bool:
        """Whether we cannot know how a collector is, because Redis takes no writes or was away."""
        if self.no_writes is not None:
            return judgement.on_absence or judgement.well
        return self.settling and judgement.on_absence and judgement.verdict is not Verdict.STARTING

    def _applied_to(self, judgement: Judgement) -> Judgement:
        if self.hide(judgement):
            return replace(judgement, verdict=Verdict.UNKNOWN, why=str(self.no_writes or _SETTLING))
        if judgement.verdict not in (Verdict.SILENT, Verdict.HUNG):
            return judgement
        if str(judgement.id) in self.stood_down:
            judgement = replace(
                judgement, why=f"{judgement.why}; the restarts did not hold: left alone until a person restarts it"
            )
        outage = self.outages.get(judgement.id.exchange)
        if outage is None or judgement.verdict is not Verdict.SILENT:
            return judgement
        since, probe = clock_time(outage.since_ns), clock_time(outage.next_probe_ns)
        why = f"{judgement.id.exchange} has been out since {since}, next probe at {probe}: {judgement.why}"
        return replace(judgement, verdict=Verdict.EXCHANGE_OUTAGE, why=why)

    def to_fields(self) -> dict[str, str]:
        """As they stand in the manager's heartbeat."""
        names = sorted(self.stood_down)
        return {
            "outages": msgspec.json.encode(self.outages).decode(),
            "stood_down": msgspec.json.encode(names).decode(),
            "no_writes": encode(self.no_writes),
            "settling": str(int(self.settling)),
        }


NO_OVERLAYS = Overlays()


def overlays_of(
    outages: Outages,
    history: History,
    now_ns: int,
    settings: ManagerSettings,
    no_writes: NoWrites | None = None,
    *,
    settling: bool = False,
) -> Overlays:
    """The marks that follow from the journal, and from the last look at Redis."""
    return Overlays(
        outages={
            exchange: OutageMark(outage.began_ns, outage.next_probe_ns(settings))
            for exchange, outage in outages.items()
            if outage.lasts
        },
        stood_down=stood_down(history, now_ns, settings),
        no_writes=no_writes,
        settling=settling,
    )


def read_overlays(fields: Mapping[str, str]) -> Overlays:
    """The overlays in the manager's heartbeat; none if no manager runs, or if the field holds something else."""
    try:
        outages = msgspec.json.decode(fields.get("outages", "{}"), type=dict[str, OutageMark])
        names = msgspec.json.decode(fields.get("stood_down", "[]"), type=frozenset[str])
    except msgspec.MsgspecError:
        return NO_OVERLAYS
    no_writes, settling = decode(fields.get("no_writes", "")), fields.get("settling") == "1"
    return Overlays(outages=outages, stood_down=names, no_writes=no_writes, settling=settling)
