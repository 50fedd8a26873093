import itertools

import pytest

from tests.simulator.binance_instruments import parse
from tests.simulator.binance_klines import PERIODS, KlinePushes
from tests.simulator.desk import Activity
from tests.simulator.events import CandleClosed
from tests.simulator.market import Market

_START_MS = 1_790_000_040_000
"""The start of a minute."""
_NAME = "BTCUSDT"


def _market(trades_per_s: float = 5.0) -> Market:
    activity = Activity(trades_per_s=trades_per_s, quotes_per_s=1.0)
    return Market([parse(_NAME)], seed=1, start_ms=_START_MS, activity=activity, periods=PERIODS)


def _run(market: Market, pushes: KlinePushes, until_ms: int) -> list[tuple[int, str, int, bool]]:
    """All pushes up to a moment as (time, interval, open, final), asked on the grid of 10 ms."""
    found = []
    for now_ms in range(market.now_ms + 10, until_ms + 1, 10):
        for event in market.advance(now_ms):
            if isinstance(event, CandleClosed):
                pushes.ended(event.period, event.candle, now_ms)
        found += [(now_ms, interval, candle.open_ms, True) for interval, candle in pushes.final(now_ms)]
        if now_ms % 2_000 == 0:
            found += [
                (now_ms, i, candle.open_ms, False) for i, candle in pushes.running(now_ms, market.desks[_NAME].candles)
            ]
    return found


def test_names_are_those_of_the_sheet() -> None:
    assert " ".join(p.name for p in PERIODS) == "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"


@pytest.mark.parametrize("trades_per_s", [0.0, 5.0])
def test_each_candle_is_final_once_and_5_ms_to_2_s_after_its_end(trades_per_s: float) -> None:
    """The final push comes before the first one of the next candle."""
    market = _market(trades_per_s)
    pushes = KlinePushes(market.desks[_NAME], lambda interval: interval == "1m")
    rows = _run(market, pushes, _START_MS + 185_000)

    finals = [(now_ms, opened) for now_ms, _, opened, final in rows if final]
    assert [opened for _, opened in finals] == [_START_MS + 60_000 * n for n in range(3)]
    assert all(5 <= now_ms - (opened + 60_000) <= 2_000 for now_ms, opened in finals)
    for before, after in itertools.pairwise(rows):
        assert before[2] == after[2] or before[3]


def test_seconds_end_one_after_the_other() -> None:
    market = _market()
    pushes = KlinePushes(market.desks[_NAME], lambda interval: interval == "1s")
    finals = [opened for _, _, opened, final in _run(market, pushes, _START_MS + 10_990) if final]

    assert finals == [_START_MS + 1_000 * n for n in range(10)]


def test_running_candle_is_pushed_only_when_it_changed() -> None:
    market = _market(trades_per_s=0.0)
    pushes = KlinePushes(market.desks[_NAME], lambda interval: interval == "1m")

    rows = _run(market, pushes, _START_MS + 58_000)
    assert rows == [(_START_MS + 2_000, "1m", _START_MS, False)]


def test_nothing_is_pushed_that_nobody_wants() -> None:
    market = _market()
    assert _run(market, KlinePushes(market.desks[_NAME], lambda _: False), _START_MS + 65_000) == []
