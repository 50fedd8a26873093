"""What happens in one schedule, drawn from its seed: the faults of exchange, Redis and process. Pure data."""

from itertools import combinations
from typing import TypeGuard

import msgspec

from tests.simulator.faults import ClockOff, Fault, Schedule
from tests.simulator.faults_draw import draw_schedule
from tests.simulator.faults_hostile import FalseTime
from tests.support.process_faults import ProcessFault, draw_process_schedule
from tests.support.redis_faults import RedisFault, draw_redis_schedule
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

EXCHANGES = ("okx", "binance")
NATIVE = {"okx": "BTC-USDT", "binance": "BTCUSDT"}
DURATION_S = 20
MINUTE_S = 60
_MINUTE_OF = 16
"""In one of so many schedules Redis is away for a minute."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule.

    Attributes:
        seed: What all of it was drawn from, the market, too.
        duration_s: When the last fault is over at the latest.
        market: Faults of the exchange.
        redis: Of Redis and the way to it.
        process: Of the collector.
    """

    seed: int
    exchange: str
    duration_s: int
    market: Schedule
    redis: tuple[RedisFault, ...] = ()
    process: tuple[ProcessFault, ...] = ()

    @property
    def collector(self) -> CollectorId:
        """Who suffers."""
        return CollectorId(self.exchange, "BTC-USDT")

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was drawn, by name."""
        return (
            *(f"exchange {fault.kind}" for fault in self.market.faults),
            *(f"redis {fault.kind}" for fault in self.redis),
            *(f"process {fault.kind}" for fault in self.process),
        )

    @property
    def shifts_ms(self) -> frozenset[int]:
        """How far times of trades may be off: by any fault of the exchange's clock or of theirs, which add up."""
        faults = self.market.faults
        drawn = [fault.shift_ms for fault in faults if isinstance(fault, ClockOff) or _redates_trades(fault)]
        return frozenset(sum(some) for size in range(len(drawn) + 1) for some in combinations(drawn, size))


def _redates_trades(fault: Fault) -> TypeGuard[FalseTime]:
    return isinstance(fault, FalseTime) and fault.channel == "trade"


def stream_keys(collector: CollectorId) -> dict[str, str]:
    """The data streams of a collector with all data types, by the name in their key."""
    names = {kind.value: keys.stream(collector, kind) for kind in (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)}
    return names | {"candles": keys.stream(collector, DataType.CANDLES, "1m")}


def draw_plan(
    seed: int, exchange: str | None = None, duration_s: int = DURATION_S, *, minute_away: bool | None = None
) -> Plan:
    """Draw a schedule; same arguments, same schedule.

    Args:
        seed: Any number.
        exchange: One of `EXCHANGES`; else the seed says which.
        duration_s: How long there shall be faults; longer where Redis is away for a minute.
        minute_away: Whether Redis is; else the seed says.
    """
    exchange = exchange or EXCHANGES[seed % len(EXCHANGES)]
    collector = CollectorId(exchange, "BTC-USDT")
    if minute_away is None:
        minute_away = seed % _MINUTE_OF == 0
    redis: tuple[RedisFault, ...] = ()
    if minute_away:
        duration_s = max(duration_s, MINUTE_S + 5)
        redis = (RedisFault(at_ms=1_000 + seed % 1_000, kind="refuse", for_ms=MINUTE_S * 1_000),)
    elif seed % 4 in (1, 2):
        redis = draw_redis_schedule(
            seed, duration_s * 1_000, list(stream_keys(collector).values()), keys.coverage(collector)
        )
    return Plan(
        seed=seed,
        exchange=exchange,
        duration_s=duration_s,
        market=draw_schedule(seed, duration_s * 1_000, instruments=[NATIVE[exchange]]),
        redis=redis,
        process=draw_process_schedule(seed, duration_s * 1_000) if seed % 3 else (),
    )
