"""The words for the health of a collector, and what a judgement consists of."""

from enum import Enum

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from manager.model.processes import Process
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId


class Verdict(Enum):
    """How a collector is; what is to be done about it is the policy's business."""

    HEALTHY = "healthy"
    QUIET = "quiet"  # silent, but something else shows that the market rests: healthy
    STARTING = "starting"
    SILENT = "silent"  # its loop turns but data that should flow does not
    HUNG = "hung"  # its process lives but its loop hangs
    DEAD = "dead"  # there is no process
    CRASH_LOOPING = "crash_looping"  # parked after too many restarts, until its next try
    EXCHANGE_OUTAGE = "exchange_outage"  # silent together with most of its exchange; no restart helps
    MISCONFIGURED = "misconfigured"  # it refused its configuration; a restart cannot help
    DISABLED = "disabled"
    UNKNOWN = "unknown"  # the manager is blind for it: Redis or supervisord gives no answer, or none that can be read


WELL = frozenset({Verdict.HEALTHY, Verdict.QUIET})


class Pulse(Struct, frozen=True, kw_only=True):
    """What is known of a collector's heartbeat.

    Attributes:
        heartbeat: The last one read, also after its key has expired; None where there never was one.
        age_s: Seconds since it last moved.
        expired: Its key is gone, so nobody has written it for the length of its TTL.
        readable: False where the key holds something else than a heartbeat, or we may not read it.
        refusal: Why we may not, a phrase.
        fields: The hash as it is in Redis now.
    """

    heartbeat: Heartbeat | None = None
    age_s: float = 0.0
    expired: bool = True
    readable: bool = True
    refusal: str = ""
    fields: dict[str, str] = {}


class Judgement(Struct, frozen=True, kw_only=True):
    """The verdict on one collector with its reason, and the facts it rests on.

    Attributes:
        why: A short sentence for people; our own words only.
        process: None where supervisord is out of reach or does not know the program.
        on_absence: It rests on a heartbeat that is not there, or does not move.
    """

    config: ExchangeCollectorConfig
    verdict: Verdict
    why: str
    pulse: Pulse = Pulse()
    process: Process | None = None
    on_absence: bool = False

    @property
    def id(self) -> CollectorId:
        """The collector."""
        return self.config.id

    @property
    def well(self) -> bool:
        """Whether it does what it should."""
        return self.verdict in WELL


def summarise(judgements: list[Judgement]) -> dict[str, int]:
    """Counts for summary lines: ``desired`` (all that are not disabled), ``healthy``, and one per other verdict.

    ``healthy`` includes ``quiet``: a quiet market is healthy.
    """
    counts = {verdict.value: 0 for verdict in Verdict}
    for judgement in judgements:
        counts[judgement.verdict.value] += 1
    counts["healthy"] += counts["quiet"]
    return {"desired": len(judgements) - counts["disabled"], **counts}
