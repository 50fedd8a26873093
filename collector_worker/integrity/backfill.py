"""Fetches missing items by REST. It runs beside the sockets and outlives them: a reconnect does not close a hole."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from collector_worker.exchanges.adapter import ExchangeCollector, Instrument
from collector_worker.integrity.flows import CandleFlow, DataFlow, TradeFlow
from collector_worker.publish.buffer import BackPressure
from collector_worker.rest.client import RestClient
from common.process.log import Failures
from tickfleet._util.clock import Clock
from tickfleet.errors import ExchangeUnavailableError

_NEVER_S = 3600.0


class Backfiller:
    """Serves the requests of all flows of a collector, one after the other."""

    def __init__(
        self,
        rest: RestClient,
        exchange: ExchangeCollector,
        instrument: Instrument,
        back_pressure: BackPressure,
        clock: Clock,
    ) -> None:
        self.trades: TradeFlow | None = None
        self.candles: dict[str, CandleFlow] = {}
        self._rest = rest
        self._exchange = exchange
        self._instrument = instrument
        self._back_pressure = back_pressure
        self._clock = clock
        self._attention = asyncio.Event()
        self._failures = Failures()

    def wake(self) -> None:
        """Something may be missing."""
        self._attention.set()

    def probe(self) -> None:
        """Check whether anything was missed, although the numbers show no hole."""
        for data_flow in self._flows():
            data_flow.probe()

    def pass_time(self) -> None:
        """Release items that have waited long enough, whatever REST does."""
        for data_flow in self._flows():
            data_flow.pass_time()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            self._attention.clear()
            if self.trades is not None:
                await self._serve(self.trades, self._fetch_trades)
            for data_flow in self.candles.values():
                await self._serve(data_flow, partial(self._fetch_candles, data_flow))
            await self._rest_until_needed()

    def _flows(self) -> list[DataFlow]:
        trades: list[DataFlow] = [] if self.trades is None else [self.trades]
        return [*trades, *self.candles.values()]

    async def _serve(self, data_flow: DataFlow, fetch: Callable[[int], Awaitable[None]]) -> None:
        data_flow.pass_time()
        while (number := data_flow.request()) is not None:
            try:
                await fetch(number)
            except ExchangeUnavailableError as error:
                self._failures.warn("backfill_failed", error, what=data_flow.name, first=number)
                data_flow.failed()
            data_flow.pass_time()
            if self._back_pressure.paused:
                await self._back_pressure.resumed()

    async def _fetch_trades(self, first_id: int) -> None:
        if self.trades is None:
            return
        self.trades.note_missing()
        path = self._exchange.trades_path(self._instrument, first_id)
        answer = await self._rest.fetch(path, self._exchange.rest_units(path))
        page = answer.read(lambda body: self._exchange.read_trades(body, self._instrument, self._clock.now_ns()))
        more = bool(page) and int(page[-1].trade_id) >= first_id + self._exchange.trades_page - 1
        self.trades.on_page(page, more=more)

    async def _fetch_candles(self, data_flow: CandleFlow, number: int) -> None:
        data_flow.note_missing()
        interval, now_ns = data_flow.sequence.interval, self._clock.now_ns()
        path = self._exchange.candles_path(self._instrument, interval, data_flow.sequence.opens_at(number), now_ns)
        answer = await self._rest.fetch(path, self._exchange.rest_units(path))
        page = answer.read(lambda body: self._exchange.read_candles(body, interval, self._clock.now_ns()))
        last_ns = data_flow.sequence.opens_at(
            number + self._exchange.candles_page - 2
        )  # where the last bar of all is running
        data_flow.on_page(page, more=bool(page) and page[-1].open_time >= last_ns)

    async def _rest_until_needed(self) -> None:
        """Wait for the next moment that matters."""
        moments = [at_s for data_flow in self._flows() if (at_s := data_flow.next_at_s) is not None]
        pause_s = min(moments, default=self._clock.monotonic_s() + _NEVER_S) - self._clock.monotonic_s()
        try:
            async with asyncio.timeout(max(0.0, pause_s)):
                await self._attention.wait()
        except TimeoutError:
            return
