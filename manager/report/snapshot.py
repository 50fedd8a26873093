"""What the loop leaves for those who show it: each part is replaced as a whole, so any thread may read it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from manager.model.verdicts import Judgement
from manager.report.figures.document import Figures

TURNS_WITHIN_S = 30.0
"""A round takes a second, or about twenty if Redis and supervisord delay every answer."""


class Shown(Struct, frozen=True, kw_only=True):
    """What was known at the end of a round.

    Attributes:
        at_s: When that was (monotonic).
        rounds: Rounds so far.
        judgements: The last ones made; none while another manager acts.
        beat: The last heartbeat written; empty while another manager acts.
        redis_trouble, supervisor_trouble: Why the source is away; empty while it answers.
        writes_trouble: That Redis takes no writes; empty while it does.
        leading: Whether we act; else another manager does.
        rival: Why we do not even stand by for that one; empty where we do.
    """

    at_s: float
    rounds: int = 0
    judgements: Sequence[Judgement] = ()
    beat: Mapping[str, str | int] = {}
    redis_trouble: str = ""
    writes_trouble: str = ""
    supervisor_trouble: str = ""
    leading: bool = False
    rival: str = ""


class Snapshot:
    """The last round, for those who show it.

    Attributes:
        shown: Of the last round; at first that none has been.
        figures: The last ones taken; None before the first, and while another manager acts.
        alerts_sent, alerts_dropped: Since our start.
    """

    def __init__(self, now_s: float) -> None:
        self.shown = Shown(at_s=now_s)
        self.figures: Figures | None = None
        self.alerts_sent = self.alerts_dropped = 0

    def count_alerts(self, sent: int, dropped: int) -> None:
        """Alerts that the webhook took, and those given up."""
        self.alerts_sent += sent
        self.alerts_dropped += dropped


def why_unwell(shown: Shown, now_s: float) -> str:
    """Why the manager cannot do its work, a phrase; empty while it can. One that is on standby is well."""
    age_s = now_s - shown.at_s
    if age_s > TURNS_WITHIN_S:
        return f"the loop has not turned for {age_s:.0f} s"
    return shown.redis_trouble or shown.writes_trouble or shown.supervisor_trouble or shown.rival
