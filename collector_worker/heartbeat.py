"""Writes the heartbeat each second, from the loop that does the work: a loop that is blocked does not beat."""

import asyncio

from collector_worker.publisher import Publisher
from collector_worker.telemetry import Telemetry
from common import keys
from common.clock import Clock
from common.errors import EXIT_BAD_CONFIGURATION
from common.health import WorkerState
from common.identity import CollectorId

BEAT_EVERY_S = 1.0


class HeartbeatWriter:
    """The beat of one run."""

    def __init__(self, collector: CollectorId, publisher: Publisher, telemetry: Telemetry, clock: Clock) -> None:
        self._key = keys.heartbeat(collector)
        self._publisher = publisher
        self._telemetry = telemetry
        self._clock = clock
        self._fresh = True

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
