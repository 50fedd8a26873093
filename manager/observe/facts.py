"""What the manager looks at each round: all heartbeats in one round trip, all processes in one call."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from manager.model.verdicts import Pulse
from manager.settings import NS_PER_S
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat, read_heartbeat
from tickfleet.contract.identity import CollectorId


def queue_heartbeats(pipe: Any, collectors: Iterable[CollectorId]) -> None:
    """Put the reads into a pipeline of redis-py, blocking or not; run it with ``raise_on_error=False``."""
    for collector in collectors:
        pipe.hgetall(keys.heartbeat(collector))


def read_pulses(collectors: Iterable[CollectorId], replies: Sequence[Any], now_ns: int) -> dict[CollectorId, Pulse]:
    """The pulses in the replies. An error in place of a hash means that the key holds something else."""
    return {collector: _pulse(collector, reply, now_ns) for collector, reply in zip(collectors, replies, strict=True)}


def _pulse(collector: CollectorId, reply: Any, now_ns: int) -> Pulse:
    if isinstance(reply, Exception):
        from common.redis.redis_py import why_refused  # the commands that need no Redis start faster

        return Pulse(expired=False, readable=False, refusal=why_refused(reply, f"hgetall {keys.heartbeat(collector)}"))
    if not isinstance(reply, dict):
        return Pulse(expired=False, readable=False)
    if not reply:
        return Pulse()
    heartbeat = read_heartbeat(reply)
    if heartbeat is None:
        return Pulse(expired=False, readable=False, fields=reply)
    age_s = max(0.0, (now_ns - heartbeat.beat_at) / NS_PER_S)
    return Pulse(heartbeat=heartbeat, age_s=age_s, expired=False, fields=reply)


class _Seen(Struct, frozen=True):
    """The last heartbeat of a collector and when it was first seen (monotonic)."""

    heartbeat: Heartbeat
    moved_at_s: float


class PulseMemory:
    """Remembers heartbeats, so that their age is what passed here since they moved.

    A clock that was set, and a Redis that lost its data, then make no heartbeat look old; and a heartbeat whose key
    has expired still tells which process it was of.
    """

    def __init__(self) -> None:
        self._seen: dict[CollectorId, _Seen] = {}

    def update(self, pulses: Mapping[CollectorId, Pulse], monotonic_s: float) -> dict[CollectorId, Pulse]:
        """The pulses just read, with their age by our own clock; collectors not among them are forgotten."""
        updated = {collector: self._update(collector, pulse, monotonic_s) for collector, pulse in pulses.items()}
        self._seen = {collector: seen for collector, seen in self._seen.items() if collector in pulses}
        return updated

    def _update(self, collector: CollectorId, pulse: Pulse, monotonic_s: float) -> Pulse:
        seen = self._seen.get(collector)
        if pulse.heartbeat is None:
            if seen is None or not pulse.readable:
                return pulse
            return Pulse(heartbeat=seen.heartbeat, age_s=monotonic_s - seen.moved_at_s)
        if seen is None:
            seen = _Seen(pulse.heartbeat, monotonic_s - pulse.age_s)
        elif _beat(seen.heartbeat) != _beat(pulse.heartbeat):
            seen = _Seen(pulse.heartbeat, monotonic_s)
        self._seen[collector] = seen
        return Pulse(heartbeat=pulse.heartbeat, age_s=monotonic_s - seen.moved_at_s, expired=False, fields=pulse.fields)


def _beat(heartbeat: Heartbeat) -> tuple[str, int, int]:
    return heartbeat.run_id, heartbeat.beats, heartbeat.beat_at
