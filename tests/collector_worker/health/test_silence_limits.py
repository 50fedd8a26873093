import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.exchanges.binance import BinanceSpot
from collector_worker.exchanges.okx import Okx
from collector_worker.health.silence_limits import Floor, SilenceLimits, floors_of, limits_of_former_run
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.health import Heartbeat, Progress
from tickfleet.contract.identity import DataType

FLOOR = Floor(30.0, promised=False)
TYPES = tuple(DataType)


class Life:
    """One data type, second by second."""

    def __init__(self, floor: Floor = FLOOR, former_limit_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.limits = SilenceLimits(floor, self.now_s, former_limit_s)
        self.event_at, self.connected_since = 0, 1
        self.limits.observe(self.event_at, self.connected_since, self.now_s)

    def wait(self, seconds: float) -> float:
        """So long without an entry; the limit after it."""
        for _ in range(round(seconds)):
            self.now_s += 1.0
            self.limits.observe(self.event_at, self.connected_since, self.now_s)
        return self.limits.limit_s

    def bring(self, after_s: float = 1.0) -> float:
        """An entry, so long after the last one; the limit after it."""
        self.wait(after_s - 1)
        self.event_at += 1
        return self.wait(1)


@pytest.mark.parametrize(
    ("pauses_s", "limit_s"),
    [
        ([1, 1, 1], 30),
        ([1, 11], 30),  # three times ten
        ([1, 12], 33),
        ([1, 101], 300),
        ([1, 101, 51, 1], pytest.approx(300 * 2 ** (-52 / 3600))),
        ([1, 2001], 3600),  # no longer than an hour
        ([1, 501, 3601], 3600),
    ],
)
def test_the_limit_is_three_times_the_longest_pause(pauses_s: list[float], limit_s: float) -> None:
    life = Life()
    assert [life.bring(pause_s) for pause_s in pauses_s][-1] == limit_s


def test_an_old_pause_counts_half_after_an_hour() -> None:
    life = Life()
    assert life.bring(101) == 300
    for _ in range(3600):
        limit_s = life.bring()
    assert limit_s == pytest.approx(150)
    for _ in range(3 * 3600):
        limit_s = life.bring()
    assert limit_s == 30


def test_while_it_is_silent_the_limit_stays() -> None:
    life = Life()
    life.bring(101)
    assert life.wait(250) == 300
    assert not life.limits.is_silent(life.now_s)
    life.wait(51)
    assert life.limits.is_silent(life.now_s)


def test_the_first_entry_is_waited_for_as_for_any_other() -> None:
    life = Life()
    life.wait(31)
    assert life.limits.is_silent(life.now_s)
    assert life.bring(10) == 120


def test_a_pause_without_a_connection_teaches_nothing() -> None:
    life = Life()
    life.bring()
    life.wait(20)
    life.connected_since = 0
    life.wait(500)
    life.connected_since = 2
    life.wait(13)
    assert not life.limits.is_silent(life.now_s)
    assert life.bring() == 36
    assert life.limits.waited_s == 0.0


def test_a_pause_that_was_our_own_doing_teaches_nothing() -> None:
    life = Life()
    life.bring()
    life.wait(500)
    life.limits.excuse(life.now_s)
    assert not life.limits.is_silent(life.now_s)
    assert life.bring() == 30


def test_how_long_connections_stood_since_the_last_entry() -> None:
    life = Life()
    life.bring()
    for connected_since in (1, 0, 2, 3):
        life.connected_since = connected_since
        life.wait(10)
    assert life.limits.waited_s == 30.0


def test_the_floor_may_be_longer_than_an_hour() -> None:
    life = Life(Floor(86_430.0, promised=True))
    assert life.bring(5000) == 86_430.0


@pytest.mark.parametrize(
    ("former_s", "limit_s"), [(0.0, 30.0), (30.0, 30.0), (90.0, 90.0), (1e300, 3600.0), (-5.0, 30.0)]
)
def test_a_new_run_goes_on_with_the_limit_of_the_one_before(former_s: float, limit_s: float) -> None:
    assert Life(former_limit_s=former_s).limits.limit_s == pytest.approx(limit_s)


def test_one_that_has_brought_nothing_yet_is_not_excused_by_the_run_before() -> None:
    life = Life(former_limit_s=3_000.0)
    life.wait(31.0)
    assert life.limits.is_silent(life.now_s)
    life.bring()
    life.wait(2_000.0)
    assert not life.limits.is_silent(life.now_s)


@given(st.lists(st.integers(1, 90), max_size=40), st.floats(0.5, 100))
def test_no_pause_is_unusual_that_was_just_seen(pauses_s: list[int], floor_s: float) -> None:
    life = Life(Floor(floor_s, promised=False))
    for pause_s in pauses_s:
        limit_s = life.bring(pause_s)
        assert limit_s >= min(2.9 * (pause_s - 1), 3600)
        assert floor_s <= limit_s <= 3600


def test_the_floors_of_the_exchanges() -> None:
    okx = ExchangeCollectorConfig("okx", "BTC-USDT", TYPES, candle_intervals=("1m", "1h"))
    assert floors_of(20.0, Okx(okx).feeds()) == {
        DataType.TRADE: Floor(20.0, promised=False),
        DataType.ORDERBOOK: Floor(65.0, promised=True),
        DataType.TICKER: Floor(20.0, promised=False),
        DataType.CANDLES: Floor(3630.0, promised=True),
    }
    binance = ExchangeCollectorConfig("binance", "BTC-USDT", TYPES)
    assert floors_of(20.0, BinanceSpot(binance).feeds()) == dict.fromkeys(TYPES, Floor(20.0, promised=False))


BEAT = Heartbeat(
    collector="okx:BTC-USDT",
    pid=1,
    host="h",
    run_id="r",
    config_id="same",
    version="0",
    started_at=1,
    progress={DataType.TRADE: Progress(silence_limit=90_000_000_000), DataType.TICKER: Progress()},
)


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({name: str(value) for name, value in BEAT.to_fields().items()}, {DataType.TRADE: 90.0, DataType.TICKER: 0.0}),
        ({name: str(value) for name, value in BEAT.to_fields().items()} | {"config_id": "another"}, {}),
        ({"config_id": "same"}, {}),  # no heartbeat
        ({}, {}),
    ],
)
def test_what_the_run_before_has_learnt(fields: dict[str, str], limits: dict[DataType, float]) -> None:
    assert limits_of_former_run(fields, "same") == limits
