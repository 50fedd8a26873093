"""Pure: which exchanges have turned a machine away for a time, as the heartbeats of their collectors tell."""

from collections.abc import Iterable

from msgspec import Struct

from manager.model.formatting import date_and_time, one_line
from manager.model.verdicts import Pulse
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId


class Banned(Struct, frozen=True):
    """An exchange, until when (ns) it has turned a machine away, and by which answer."""

    exchange: str
    until_ns: int
    why: str

    def __str__(self) -> str:
        return f"banned until {date_and_time(self.until_ns)}: {self.why}"


def ban_of(heartbeat: Heartbeat) -> Banned | None:
    """The ban that a collector knows of, as long as it lasts; None where there is none."""
    if heartbeat.banned_until <= heartbeat.beat_at:
        return None
    return Banned(heartbeat.collector.partition(":")[0], heartbeat.banned_until, one_line(heartbeat.banned_why))


def bans_of(pulses: Iterable[tuple[CollectorId, Pulse]]) -> dict[str, Banned]:
    """By exchange, the longest of those that its living collectors know of."""
    bans = dict[str, Banned]()
    for collector, pulse in pulses:
        ban = None if pulse.expired or pulse.heartbeat is None else ban_of(pulse.heartbeat)
        known = bans.get(collector.exchange)
        if ban is not None and (known is None or ban.until_ns > known.until_ns):
            bans[collector.exchange] = ban
    return bans
