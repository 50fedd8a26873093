import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.report.figures.forecast import (
    MemoryForecast,
    StreamForecast,
    StreamOfCollector,
    StreamSize,
    forecast_memory,
    forecast_stream,
    streams_of,
)
from tests.manager.fakes import config
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen

MAXLEN = MaxLen(trade=1_000, orderbook=500, ticker=200, candles=100)


def name(kind: str = "trade", maxlen: int = 10_000) -> StreamOfCollector:
    return StreamOfCollector(collector="okx:BTC-USDT", kind=kind, key=f"md:{kind}", maxlen=maxlen)


def growing(now: int, full: int, full_in_s: float | None) -> StreamForecast:
    return StreamForecast(
        key="k", kind="trade", entries=1, maxlen=9, bytes=now, full_bytes=full, full_in_s=full_in_s, keeps_s=None
    )


def test_the_streams_of_a_collector() -> None:
    wide = config(data_types=(DataType.TRADE, DataType.CANDLES), candle_intervals=("1m", "5m"))
    prefix = "md:v1:{okx:BTC-USDT}:"
    assert [(each.key.removeprefix(prefix), each.kind, each.maxlen) for each in streams_of(wide, MAXLEN)] == [
        ("trade", "trade", 1_000),
        ("candles:1m", "candles", 100),
        ("candles:5m", "candles", 100),
        ("coverage", "coverage", 50_000),
    ]


@pytest.mark.parametrize(
    ("size", "per_s", "expected"),
    [
        # long enough to be measured: 2,000 entries of 50 bytes
        (StreamSize(name=name(), length=2_000, bytes=100_000), 20.0, (500_000, 400.0, 500.0)),
        # too short: the node that is being filled would count for all
        (StreamSize(name=name(), length=10, bytes=4_000), 20.0, (800_000, 499.5, 500.0)),
        (StreamSize(name=name()), None, (800_000, None, None)),
        (StreamSize(name=name(), length=10, bytes=4_000), 0.0, (800_000, None, None)),
        # as long as it may become, and a little longer, as MAXLEN ~ lets it be
        (StreamSize(name=name(), length=10_050, bytes=600_000), 20.0, (600_000, 0.0, 500.0)),
        (StreamSize(name=name(), length=10_050, bytes=600_000), None, (600_000, 0.0, None)),
    ],
)
def test_what_becomes_of_a_stream(
    size: StreamSize, per_s: float | None, expected: tuple[int, float | None, float | None]
) -> None:
    forecast = forecast_stream(size, per_s)
    assert (forecast.full_bytes, forecast.full_in_s, forecast.keeps_s) == expected
    assert (forecast.key, forecast.kind, forecast.entries, forecast.bytes, forecast.maxlen) == (
        "md:trade",
        "trade",
        size.length,
        size.bytes,
        10_000,
    )


def test_what_becomes_of_redis() -> None:
    measured = [growing(100, 1_100, 10.0), growing(200, 4_200, 40.0), growing(50, 50, 0.0), growing(5, 95, None)]
    others = [growing(0, 1_000, None)]
    assert forecast_memory(measured, others, used_bytes=1_355, limit_bytes=4_000) == MemoryForecast(
        streams_bytes=355,
        streams_full_bytes=6_445,
        redis_full_bytes=1_000 + 6_445,
        measured=4,
        streams=5,
        limit_bytes=4_000,
        # 200 bytes/s for the first 10 s, then 100: 2,645 bytes of room are used after 2,000 + 645
        exceeded_in_s=16.4,
    )


@pytest.mark.parametrize(
    ("limit", "fits", "exceeded_in_s"),
    [(None, True, None), (6_000, True, None), (5_999, False, 40.0), (999, False, 0.0), (1_400, False, 2.0)],
)
def test_whether_it_fits(limit: int | None, fits: bool, exceeded_in_s: float | None) -> None:
    forecast = forecast_memory([growing(100, 1_100, 10.0), growing(200, 4_200, 40.0)], [], 1_000, limit)
    assert (forecast.fits, forecast.exceeded_in_s) == (fits, exceeded_in_s)


bytes_now = st.integers(0, 10**9)


@given(
    st.lists(st.tuples(bytes_now, bytes_now, st.floats(0.1, 1e7) | st.just(0.0) | st.none()), max_size=8),
    bytes_now,
    bytes_now,
)
def test_at_the_time_that_is_told_the_limit_is_reached(
    streams: list[tuple[int, int, float | None]], rest: int, limit: int
) -> None:
    forecasts = [growing(now, now + more if full_in_s else now, full_in_s) for now, more, full_in_s in streams]
    used = rest + sum(each.bytes for each in forecasts)
    told_s = forecast_memory(forecasts, [], used, limit).exceeded_in_s

    def used_at(passed_s: float) -> float:
        grown = (
            (each.full_bytes - each.bytes) * min(1.0, passed_s / each.full_in_s) for each in forecasts if each.full_in_s
        )
        return used + sum(grown)

    if told_s is None:
        assert used_at(1e9) <= limit * (1 + 1e-9) + 1
    else:
        assert used_at(told_s + 0.1) >= limit * (1 - 1e-9) - 1
        assert used_at(told_s - 0.1) <= max(limit, used) * (1 + 1e-9) + 1
