"""How long a feed may be silent before it is checked.

Each data type has its own limit: three times the longest recent pause between its entries; a pause counts half after an
hour. The limit is at least ``health_check_interval`` and the time that the protocol promises, and at most an hour,
unless those are longer. Pauses are measured once a second, so entries cost nothing. Pauses without a connection, or
while the feed was mute, do not count. A new run continues with the limits in the last run's heartbeat, if that still
exists.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from collector_worker.exchanges.adapter import Feed
from tickfleet.contract.health import read_heartbeat
from tickfleet.contract.identity import DataType

TIMES_LONGEST = 3.0
HALF_LIFE_S = 3600.0
LIMIT_CAP_S = 3600.0

NS_PER_S = 1_000_000_000


class Floor(Struct, frozen=True):
    """The smallest limit of a data type, and whether the protocol promises an entry within that time."""

    limit_s: float
    promised: bool


def floors_of(health_check_interval_s: float, feeds: Iterable[Feed]) -> dict[DataType, Floor]:
    """The floors of all data types of a collector; with several channels, the longest counts."""
    floors: dict[DataType, Floor] = {}
    for channel in (channel for feed in feeds for channel in feed.channels):
        limit_s = max(health_check_interval_s, channel.silence_limit_s)
        known = floors.get(channel.data_type)
        if known is None or known.limit_s < limit_s:
            floors[channel.data_type] = Floor(limit_s, promised=channel.silence_limit_s > 0)
    return floors


def limits_of_former_run(fields: Mapping[str, str], config_id: str) -> dict[DataType, float]:
    """The limits (s) that an earlier run of the same configuration has learnt, from its heartbeat."""
    heartbeat = read_heartbeat(fields)
    if heartbeat is None or heartbeat.config_id != config_id:
        return {}
    return {data_type: progress.silence_limit / NS_PER_S for data_type, progress in heartbeat.progress.items()}


class SilenceLimits:
    """One data type: its usual pauses, and how long it has been silent. Times are monotonic seconds."""

    def __init__(self, floor: Floor, now_s: float, former_limit_s: float = 0.0) -> None:
        self.floor = floor
        self.event_s = now_s
        """When the last entry was seen, or this began."""
        self.since_s = now_s
        """Since when it is silent on a connection that is up, and nobody has done anything about it."""
        self.waited_s = 0.0
        """How long connections stood since the last entry, all together."""
        self.overtaken_s: float | None = None
        """When the first trade came after the last entry; noted by whoever sees the trades."""
        self._seen_s = now_s
        self._longest_s = min(former_limit_s, LIMIT_CAP_S) / TIMES_LONGEST if former_limit_s > floor.limit_s else 0.0
        self._idle_s = 0.0
        self._last_event_at = self._connected_since = 0

    @property
    def limit_s(self) -> float:
        """A silence longer than this is unusual."""
        return max(self.floor.limit_s, min(TIMES_LONGEST * self._longest_s, LIMIT_CAP_S))

    @property
    def limit_ns(self) -> int:
        """The same in ns, as it is in the heartbeat."""
        return round(self.limit_s * NS_PER_S)

    def is_silent(self, now_s: float) -> bool:
        """Whether it is silent for longer than usual; what a former run saw excuses none that saw nothing yet."""
        return now_s - self.since_s > (self.limit_s if self._last_event_at else self.floor.limit_s)

    def observe(self, last_event_at: int, connected_since: int, now_s: float) -> None:
        """Measure the silence; call it about once a second."""
        if last_event_at != self._last_event_at:
            faded_s = self._longest_s * 2.0 ** -((now_s - self.event_s) / HALF_LIFE_S)
            self._longest_s = max(faded_s, self._idle_s)
            self._last_event_at = last_event_at
            self.event_s = self.since_s = now_s
            self.waited_s, self.overtaken_s = 0.0, None
        elif connected_since:
            self.waited_s += now_s - self._seen_s
        if connected_since != self._connected_since:
            self._connected_since = connected_since
            self.since_s, self.overtaken_s = now_s, None
        self._idle_s = now_s - self.since_s if connected_since else 0.0
        self._seen_s = now_s

    def excuse(self, now_s: float) -> None:
        """Restart the count: nothing can come, or we have already reacted."""
        self.since_s, self._idle_s, self.overtaken_s = now_s, 0.0, None
