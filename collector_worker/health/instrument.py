"""Keeps the ``:instrument`` hash true for months: tick size, lot size and state change while a collector runs.

A suspended or delisted symbol is reported in the hash, in the heartbeat and once in the log. It does not end the
collector: a suspension ends, and for a delisted symbol the final refusal of the subscription ends the collector.
"""

import asyncio
from random import Random

from msgspec import Struct
from msgspec.structs import asdict, replace

from collector_worker.exchanges.adapter import ExchangeCollector, Instrument
from collector_worker.integrity.book_sync import BookSync
from collector_worker.publish.publisher import Publisher
from collector_worker.rest.client import RestClient
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import Failures, get_logger
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import ExchangeUnavailableError, NotTradedError, UnknownSymbolError

DELISTED = "delisted"
"""Our word for the state of an instrument that the exchange does not list any more; all other states are its own."""


class Rhythm(Struct, frozen=True, kw_only=True):
    """How often to check, seconds; each pause is random, between three and five quarters of the value.

    Attributes:
        every_s: While the instrument is traded.
        soon_s: While it is not traded, or before its market opens.
    """

    every_s: float = 3600.0
    soon_s: float = 300.0


class InstrumentWatch:
    """The facts of one instrument, published again each hour.

    Args:
        instrument: What was found at the start.
        book: Its order book; the last known state decides how it is checked.
    """

    def __init__(
        self,
        collector: CollectorId,
        instrument: Instrument,
        book: BookSync,
        exchange: ExchangeCollector,
        rest: RestClient,
        publisher: Publisher,
        telemetry: Telemetry,
        random: Random,
        rhythm: Rhythm | None = None,
    ) -> None:
        self._key = keys.instrument(collector)
        self._known = instrument
        self._book = book
        self._exchange = exchange
        self._rest = rest
        self._publisher = publisher
        self._telemetry = telemetry
        self._random = random
        self._rhythm = rhythm or Rhythm()
        self._traded = True
        self._failures = Failures()

    def publish(self) -> None:
        """Write all known facts: the hash may have been lost."""
        self._publisher.set_hash(self._key, _facts(self._known))

    async def run(self) -> None:
        """Check now and then, until cancelled."""
        while True:
            settled = self._traded and not self._known.crossed_is_legal
            pause_s = self._rhythm.every_s if settled else self._rhythm.soon_s
            await asyncio.sleep(pause_s * self._random.uniform(0.75, 1.25))
            await self._refresh()

    async def _refresh(self) -> None:
        path = self._exchange.instrument_path(self._known)
        try:
            answer = await self._rest.fetch(path, self._exchange.rest_units(path))
            found = answer.read(self._exchange.read_instruments)
        except NotTradedError as error:
            self._not_traded(error.state, str(error))
        except UnknownSymbolError as error:
            self._not_traded(DELISTED, str(error))
        except ExchangeUnavailableError as error:
            self._failures.warn("instrument_unasked", error)  # what was known may still hold
        else:
            self._traded = True
            self._telemetry.settled("instrument")
            self._note(found)

    def _not_traded(self, state: str, why: str) -> None:
        self._traded = False
        self._telemetry.trouble("instrument", why, ours=False)
        self._note(replace(self._known, state=state))

    def _note(self, found: Instrument) -> None:
        before = _facts(self._known)
        changes = {name: value for name, value in _facts(found).items() if value != before[name]}
        if changes:
            get_logger().warning("instrument_changed", **changes)
        self._known = found
        self._book.crossed_is_legal = found.crossed_is_legal
        self.publish()


def _facts(instrument: Instrument) -> dict[str, str]:
    """The exchange's facts, without how to check its books: only this process needs that."""
    return {name: value for name, value in asdict(instrument).items() if name != "crossed_is_legal"}
