"""Finds out whether a silent feed is quiet or stalled. The worker does this itself, before anybody restarts it.

For a data type that is silent for longer than usual (``silence_limits``) on an open connection:

| seen | then |
| --- | --- |
| a trade has come, and no book, ticker or bar after it within their limit | stalled: each trade moves all three |
| a promise of the protocol has been broken for long, and resubscribing did not help | stalled |
| REST has a newer trade than the socket, and the socket does not bring it within seconds | stalled |
| REST has nothing newer | the market is quiet; checked again with growing pauses, at least every ten minutes |

The sockets of a stalled data type are reconnected, with growing pauses, and missed data is fetched. The heartbeat
reports all this: ``rest_look``, ``mute``, ``mute_reconnects``.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from math import inf

from collector_worker.exchanges.adapter import ExchangeCollector, Instrument
from collector_worker.exchanges.trusted_time import is_ahead
from collector_worker.health.silence_limits import NS_PER_S, SilenceLimits
from collector_worker.publish.buffer import BackPressure
from collector_worker.rest.client import RestClient
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import Failures, get_logger
from tickfleet._util.backoff import GrowingPause
from tickfleet._util.clock import Clock
from tickfleet.contract.health import RestLook
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError

PAUSE_CAP_S = 600.0
"""Between looks, and between connections made for nothing. The manager believes a look for somewhat longer."""

SETTLE_S = 2.0
"""A trade may be at REST before it is here, or happen while we ask."""

CLOCK_MARGIN_S = 5.0
"""For comparing the exchange's times with ours."""

PROMISES_BROKEN = 2.5
"""The connection itself resubscribes after one promised time and gives up after two."""

NS_PER_MS = 1_000_000


class _Paced:
    """An action that is repeated with growing pauses."""

    def __init__(self, pause: GrowingPause) -> None:
        self._pause, self._next_s = pause, -inf

    def due(self, now_s: float) -> bool:
        """Whether the action may be done."""
        return now_s >= self._next_s

    def note_done(self, now_s: float) -> None:
        """The action is done now."""
        self._next_s = now_s + self._pause.after_attempt(now_s)

    def reset(self) -> None:
        """The action is not needed now; the next time it may be done at once."""
        self._next_s = -inf
        self._pause.reset()


class SilenceWatch:
    """Finds out whether a silent feed is quiet or stalled, and has a stalled feed reconnected.

    Args:
        types: The data types that are collected.
        last_trade_ts: The exchange's time (ns) of the last trade that is in the stream; 0 if there is none.
        fetch_missed: Requests that missed data is fetched.
        settle_s: How long a trade may be on its way.
    """

    def __init__(
        self,
        types: Mapping[DataType, SilenceLimits],
        *,
        exchange: ExchangeCollector,
        instrument: Instrument,
        rest: RestClient,
        back_pressure: BackPressure,
        telemetry: Telemetry,
        clock: Clock,
        last_trade_ts: Callable[[], int],
        fetch_missed: Callable[[], None],
        settle_s: float = SETTLE_S,
    ) -> None:
        self._types = types
        self._exchange, self._instrument, self._rest = exchange, instrument, rest
        self._back_pressure, self._telemetry, self._clock = back_pressure, telemetry, clock
        self._last_trade_ts, self._fetch_missed, self._settle_s = last_trade_ts, fetch_missed, settle_s
        self._stalled: dict[DataType, float] = {}  # when that was found
        self._looked_for: list[DataType] = []  # what the last look was about
        self._looked_s = -inf
        first_s = min(limits.floor.limit_s for limits in types.values())
        self._looks = _Paced(GrowingPause(first_s, PAUSE_CAP_S))
        self._finds = _Paced(GrowingPause(first_s, PAUSE_CAP_S))
        self._due = asyncio.Event()
        self._failures = Failures()

    # --- once a second -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at all data types."""
        now_s, beat = self._clock.monotonic_s(), self._telemetry.beat
        self._observe(now_s)
        if self._back_pressure.paused:  # we do not read: what has not come is not the exchange's fault
            for limits in self._types.values():
                limits.excuse(now_s)
            return
        self._forget_what_is_over(now_s)
        if not beat.connected_since:
            return
        if self._finds.due(now_s) and (stalled := self._proven_stalled(now_s)):
            self._found_stalled(stalled, now_s, "it follows no trade, or the protocol promises more")
        elif self._looks.due(now_s) and self._silent(now_s):
            self._due.set()

    def _observe(self, now_s: float) -> None:
        self._telemetry.gather()
        beat = self._telemetry.beat
        for data_type, limits in self._types.items():
            progress = beat.progress[data_type]
            limits.observe(progress.last_event_at, beat.connected_since, now_s)
            progress.silence_limit = limits.limit_ns
        trades = self._types.get(DataType.TRADE)
        if trades is not None and trades.event_s == now_s:
            for limits in self._types.values():
                if limits.overtaken_s is None and limits.event_s < now_s:
                    limits.overtaken_s = now_s

    def _forget_what_is_over(self, now_s: float) -> None:
        beat, silent = self._telemetry.beat, self._silent(now_s)
        self._now_stalled(
            {each: found_s for each, found_s in self._stalled.items() if self._types[each].event_s <= found_s}
        )
        over = {
            RestLook.NONE: False,
            RestLook.FAILED: not silent,
            RestLook.NOTHING_NEWER: self._moved_since_look(),
            RestLook.NEWER: not self._stalled,
        }
        if over[beat.rest_look]:
            beat.rest_look = RestLook.NONE
        if not self._stalled:
            self._finds.reset()
            if not silent:
                self._looks.reset()

    def _moved_since_look(self) -> bool:
        reference = [DataType.TRADE] if DataType.TRADE in self._types else self._looked_for
        return any(self._types[each].event_s > self._looked_s for each in reference)

    def _silent(self, now_s: float) -> list[DataType]:
        """Silent data types that need a check by REST; the connection itself checks what the protocol promises."""
        return [each for each, limits in self._types.items() if not limits.floor.promised and limits.is_silent(now_s)]

    def _proven_stalled(self, now_s: float) -> list[DataType]:
        """Data types that did not follow a trade, and those whose promise has been broken for long."""
        return [
            each
            for each, limits in self._types.items()
            if (limits.overtaken_s is not None and now_s - limits.overtaken_s > limits.limit_s)
            or (limits.floor.promised and limits.waited_s > PROMISES_BROKEN * limits.floor.limit_s)
        ]

    def _found_stalled(self, types: Iterable[DataType], now_s: float, why: str) -> None:
        """Have the sockets of these data types reconnected, and missed data fetched."""
        beat = self._telemetry.beat
        for each in types:
            self._telemetry.stalled_s[each] = now_s
            self._types[each].excuse(now_s)
        self._now_stalled({**dict.fromkeys(types, now_s), **self._stalled})
        beat.mute_reconnects += 1
        self._finds.note_done(now_s)
        get_logger().warning("feed_stalled", data_types=beat.mute, why=why, reconnects=beat.mute_reconnects)
        self._fetch_missed()

    def _now_stalled(self, stalled: dict[DataType, float]) -> None:
        self._stalled, beat = stalled, self._telemetry.beat
        beat.mute = _names(stalled)
        if not stalled:
            beat.mute_reconnects = 0

    # --- looks ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Check by REST when it is due, until cancelled."""
        while True:
            await self._due.wait()
            await self._ask_rest()
            self._due.clear()

    async def _ask_rest(self) -> None:
        now_s, beat = self._clock.monotonic_s(), self._telemetry.beat
        silent = self._silent(now_s)
        if not silent:
            return
        self._looks.note_done(now_s)
        since_s = {each: limits.since_s for each, limits in self._types.items() if each in (*silent, DataType.TRADE)}
        try:
            newest_ts = await self._newest_trade_ts()
        except ExchangeUnavailableError as error:
            if beat.rest_look is not RestLook.NOTHING_NEWER:  # which holds for a while
                beat.rest_look = RestLook.FAILED
            self._failures.warn("look_failed", error)
            return
        looked_at, self._looked_s, self._looked_for = self._clock.now_ns(), self._clock.monotonic_s(), silent
        outdated = self._outdated(newest_ts, since_s)
        if not outdated:
            beat.rest_looked_at, beat.rest_look = looked_at, RestLook.NOTHING_NEWER
            self._now_stalled({each: at_s for each, at_s in self._stalled.items() if self._types[each].floor.promised})
            get_logger().info("market_rests", data_types=_names(silent))
            return
        await asyncio.sleep(self._settle_s)
        now_s = self._clock.monotonic_s()
        self._observe(now_s)
        still = [each for each in outdated if self._types[each].since_s == since_s[each]]
        if still and (DataType.TRADE in still or DataType.TRADE not in outdated):
            beat.rest_looked_at, beat.rest_look = looked_at, RestLook.NEWER
            self._found_stalled(still, now_s, "REST has newer trades")

    async def _newest_trade_ts(self) -> int:
        """The exchange's time (ns) of the newest trade at REST, as far as it is trusted; 0 if there is none."""
        path = self._exchange.newest_trades_path(self._instrument)
        answer = await self._rest.fetch(path, self._exchange.rest_units(path))
        trades = answer.read(lambda body: self._exchange.read_trades(body, self._instrument, self._clock.now_ns()))
        return max((trade.ts_event for trade in trades if not is_ahead(trade.ts_event, trade.ts_recv)), default=0)

    def _outdated(self, newest_ts: int, since_s: Mapping[DataType, float]) -> list[DataType]:
        """Those of the silent data types that should have changed with the newest trade."""
        self._telemetry.gather()
        last_ts = self._last_trade_ts()
        if last_ts:
            return list(since_s) if newest_ts > last_ts else []
        newest_at = newest_ts - self._telemetry.beat.clock_offset_ms * NS_PER_MS
        ago_s = (self._clock.now_ns() - newest_at) / NS_PER_S
        now_s = self._clock.monotonic_s()
        return [each for each, silent_s in since_s.items() if now_s - silent_s > ago_s + CLOCK_MARGIN_S]


def _names(types: Iterable[DataType]) -> str:
    return ",".join(each.value for each in types)
