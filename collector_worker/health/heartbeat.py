"""Writes the heartbeat each second, from the event loop that does the work: a blocked loop sends no heartbeat."""

import asyncio

from collector_worker.publish.publisher import Publisher
from collector_worker.publish.stream_tips import Reader
from collector_worker.telemetry.telemetry import Telemetry
from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import EXIT_BAD_CONFIGURATION
from tickfleet.redis.protocol import Reply, pack_command

BEAT_EVERY_S = 1.0


async def read_former(pipe: Reader, collector: CollectorId) -> dict[str, str]:
    """The heartbeat of an earlier run; empty if it has expired, or the key is not a hash.

    Raises:
        RedisUnreachableError: Redis went away.
    """
    (reply,) = await pipe.execute([pack_command(("HGETALL", keys.heartbeat(collector)))])
    return parse_hash(reply)


def parse_hash(reply: Reply) -> dict[str, str]:
    """The fields in an answer to HGETALL; none if the key is no hash."""
    if not isinstance(reply, list):
        return {}
    texts = [part.decode(errors="replace") for part in reply if isinstance(part, bytes)]
    return dict(zip(texts[::2], texts[1::2], strict=False))


class HeartbeatWriter:
    """The beat of one run."""

    def __init__(self, collector: CollectorId, publisher: Publisher, telemetry: Telemetry, clock: Clock) -> None:
        self._key = keys.heartbeat(collector)
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._fresh = True
        self._due_s = 0.0

    def beat_if_due(self) -> None:
        """Beat if the last beat is a while ago; used while a run takes over and its other parts do not run yet."""
        if self._clock.monotonic_s() >= self._due_s:
            self._due_s = self._clock.monotonic_s() + BEAT_EVERY_S
            self.beat()

    async def run(self) -> None:
        """Beat until cancelled."""
        due_s = self._clock.monotonic_s()
        while True:
            late_s = self._clock.monotonic_s() - due_s
            self._telemetry.beat.loop_lag_ms = max(0, round(late_s * 1000))
            self.beat()
            due_s = max(due_s + BEAT_EVERY_S, self._clock.monotonic_s())
            await asyncio.sleep(due_s - self._clock.monotonic_s())

    def beat(self, ttl_s: int = keys.HEARTBEAT_TTL_S) -> None:
        """Write one beat now; the first of a run removes what an earlier run left."""
        self._publisher.withdraw()
        beat = self._telemetry.snapshot(self._clock.now_ns(), self._clock.monotonic_s())
        beat.entries_buffered = self._publisher.buffered
        self._publisher.set_expiring_hash(self._key, beat.to_fields(), ttl_s, fresh=self._fresh)
        self._fresh = False

    def last_words(self, state: WorkerState, error: str = "", exit_code: int = 0) -> None:
        """The last beat of a run. The reason of a refused configuration stays readable for a day."""
        beat = self._telemetry.beat
        beat.state, beat.exit_code = state, exit_code
        if error:
            beat.last_error = error
        self.beat(keys.EXIT_NOTE_TTL_S if exit_code == EXIT_BAD_CONFIGURATION else keys.HEARTBEAT_TTL_S)
