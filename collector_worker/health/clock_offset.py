"""How far the exchange's clock is ahead of ours, measured now and then by REST.

The exchange puts a time stamp on its answer somewhere between our question and the arrival of the answer. We assume the
middle; it is wrong by at most half of the round trip. So we time only the question, on an open connection, and use the
quickest of several. A slow answer, e.g. on a busy machine, tells little: the known offset stays, unless that answer
proves it wrong.
"""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

from collector_worker.exchanges.adapter import ExchangeCollector
from collector_worker.rest import http as rest
from collector_worker.rest.client import RestClient
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import Failures
from tickfleet._util.clock import Clock
from tickfleet.errors import ExchangeUnavailableError

QUESTIONS = 3
"""At most: each takes a part of the limits of all collectors of this machine."""

ENOUGH_S = 0.05
"""A round trip as short as that needs no second question."""

QUICK_S = 0.3
"""The middle of a longer one is no measure."""

SLOWEST_S = 2.0
"""A longer one says nothing at all."""

_MARGIN_MS = 20
"""What may be known less exactly, and the exchange's stamp is cut to whole milliseconds."""

_SOON = 10
"""What could not be measured is tried again after this part of the usual pause."""


class Sample(Struct, frozen=True):
    """One answer: the exchange's clock minus ours in the middle of the round trip (ms), and the length of the trip."""

    offset_ms: int
    round_trip_s: float


def offset_of(samples: Sequence[Sample], known_ms: int) -> int | None:
    """The offset (ms) to use; None if the samples are no better than the known offset.

    A quick sample is used even if it does not contradict the known offset: that one is from the last measurement, and
    the clock may have drifted since. A quick sample is wrong by 150 ms at most (half of ``QUICK_S``).
    """
    best = min(samples, key=lambda sample: sample.round_trip_s)
    if best.round_trip_s <= QUICK_S:
        return best.offset_ms
    possible = abs(best.offset_ms - known_ms) <= best.round_trip_s * 1000 / 2 + _MARGIN_MS
    return None if possible or best.round_trip_s > SLOWEST_S else best.offset_ms


class ClockOffset:
    """Keeps ``clock_offset_ms`` true; see the module.

    Args:
        every_s: Seconds between measurements.
    """

    def __init__(
        self, exchange: ExchangeCollector, client: RestClient, telemetry: Telemetry, clock: Clock, every_s: float
    ) -> None:
        self._exchange, self._client, self._telemetry, self._clock = exchange, client, telemetry, clock
        self._every_s = every_s
        self._failures = Failures()

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        while True:
            pause_s = self._every_s
            try:
                await self.measure()
            except ExchangeUnavailableError as error:
                self._failures.warn("clock_unmeasured", error)
                pause_s /= _SOON
            await asyncio.sleep(pause_s)

    async def measure(self) -> None:
        """Measure once.

        Raises:
            ExchangeUnavailableError: There was no answer, or no quick enough one.
        """
        samples: list[Sample] = []
        try:
            await self._gather(samples)
        except ExchangeUnavailableError:
            if not samples:
                raise
        offset_ms = offset_of(samples, self._telemetry.beat.clock_offset_ms)
        if offset_ms is None:
            quickest_s = min(sample.round_trip_s for sample in samples)
            raise ExchangeUnavailableError(f"REST answers too slowly to tell its time (after {quickest_s:.1f} s)")
        self._telemetry.clock_is(offset_ms)

    async def _gather(self, samples: list[Sample]) -> None:
        path, client = self._exchange.time_path(), self._client
        units = self._exchange.rest_units(path) * QUESTIONS
        await client.rate_limiter.acquire(
            "rest", client.rate, units
        )  # for all: a line that is open does not wait for long
        while len(samples) < QUESTIONS:
            async with rest.opened(client.root) as line:
                samples.append(await self._ask(line, path))
                while line.goes_on and len(samples) < QUESTIONS and samples[-1].round_trip_s > ENOUGH_S:
                    samples.append(await self._ask(line, path))
            if samples[-1].round_trip_s <= ENOUGH_S:
                return

    async def _ask(self, line: rest.HttpConnection, path: str) -> Sample:
        began_ns, began_s = self._clock.now_ns(), self._clock.monotonic_s()
        answer = await line.get(path, last=False)
        round_trip_s = self._clock.monotonic_s() - began_s
        await self._client.heed(answer)
        there_ms = answer.read(self._exchange.read_time_ms)
        middle_ms = began_ns / 1e6 + round_trip_s * 1000 / 2
        return Sample(round(there_ms - middle_ms), round_trip_s)
