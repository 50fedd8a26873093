from msgspec.structs import replace

from common.config.exchanges import LowerLimits
from manager.report.figures.capacity import (
    OTHER_KEYS_BYTES,
    REDIS_ITSELF_BYTES,
    StartTime,
    capacity_of,
    on_nodes,
    start_times,
)
from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.document import Figures
from manager.report.figures.forecast import MemoryForecast, StreamForecast
from manager.report.figures.system import SystemFigures
from tests.manager.fakes import NOW_NS, config
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.redis.config import MaxLen

MAXLEN = MaxLen(trade=1_000, orderbook=500, ticker=200, candles=100)
LEDGER = 50_000 * 94
BTC, ETH = config(data_types=(DataType.TRADE,)), config("ETH-USDT", data_types=(DataType.TRADE,))


def figures(entries: int, size: int, others: int = 0) -> Figures:
    """A manager has measured the trades of BTC."""
    none = Totals(
        healthy=0, failed=0, restarted=0, reconnects=0, gaps=0, cpu_percent=0.0, rss_bytes=0, entries_per_s=0.0
    )
    key = keys.stream(CollectorId("okx", "BTC-USDT"), DataType.TRADE)
    trades = StreamForecast(key=key, kind="trade", entries=entries, maxlen=1_000, bytes=size, full_bytes=1)
    return Figures(
        at=NOW_NS,
        totals=none,
        system=SystemFigures(cpu_count=2, manager_cpu_s=0.1),
        collectors={"okx:BTC-USDT": CollectorFigures(restarts=0, streams=[trades])},
        memory=MemoryForecast(
            streams_bytes=1, streams_full_bytes=7, redis_full_bytes=7 + others, measured=1, streams=1
        ),
    )


def test_a_fleet_that_nobody_has_measured_is_told_by_typical_sizes() -> None:
    found = capacity_of([BTC, replace(ETH, enabled=False)], MAXLEN, None)
    full = 1_000 * 80 + LEDGER
    assert found.streams_full_bytes == full
    assert found.redis_full_bytes == full + OTHER_KEYS_BYTES + REDIS_ITSELF_BYTES
    assert found.full_bytes_of == {"okx:BTC-USDT": full + OTHER_KEYS_BYTES}
    assert found.basis == "0 of 2 streams by what this fleet's entries take, 2 by typical sizes"
    assert (found.redis_connections, found.exchange_connections, found.descriptors) == (9, 2, 84)
    assert found.disk_bytes(redis_here=True) == found.disk_bytes(redis_here=False) + 3 * found.redis_full_bytes


def test_measured_entry_sizes_are_used_for_new_collectors_of_that_exchange() -> None:
    binance = replace(ETH, exchange="binance")
    found = capacity_of([ETH, binance], MAXLEN, figures(entries=2_000, size=100_000))
    assert found.full_bytes_of == {
        "okx:ETH-USDT": 1_000 * 50 + LEDGER + OTHER_KEYS_BYTES,
        "binance:ETH-USDT": 1_000 * 80 + LEDGER + OTHER_KEYS_BYTES,
    }
    assert found.basis == "1 of 4 streams by what this fleet's entries take, 3 by typical sizes"


def test_a_stream_that_is_too_short_tells_nothing() -> None:
    assert capacity_of([ETH], MAXLEN, figures(entries=999, size=999_000)).measured_streams == 0


def test_what_redis_holds_beside_streams_counts() -> None:
    found = capacity_of([BTC], MAXLEN, figures(entries=2_000, size=100_000, others=10**9))
    assert found.redis_full_bytes == 1_000 * 50 + LEDGER + 10**9


def test_the_start_waits_for_the_narrowest_limit_of_each_exchange() -> None:
    okx = [config(f"C{number}-USDT") for number in range(100)]
    binance = [replace(each, exchange="binance", limits=LowerLimits(connects_per_s=0.4)) for each in okx]
    assert start_times(okx + binance) == (
        StartTime(
            exchange="binance", collectors=100, connects=100, connect_s=187.5, rest_units=8_000, rest_s=90.0
        ),  # 25 at once, then 0.4/s; REST: 800 at once, then 80/s
        StartTime(exchange="okx", collectors=100, connects=200, connect_s=79.6, rest_units=800, rest_s=99.5),
    )
    assert [each.within_s for each in start_times(okx + binance)] == [187.5, 99.5]


def test_all_keys_of_a_collector_are_on_one_node() -> None:
    found = capacity_of([BTC, ETH], MAXLEN, None)
    each = found.full_bytes_of["okx:BTC-USDT"]
    assert on_nodes(found, {"okx:BTC-USDT": "a", "okx:ETH-USDT": "a"}) == {"a": REDIS_ITSELF_BYTES + 2 * each}
    assert on_nodes(found, {"okx:BTC-USDT": "a", "okx:ETH-USDT": "b"}) == {
        "a": REDIS_ITSELF_BYTES + each,
        "b": REDIS_ITSELF_BYTES + each,
    }
