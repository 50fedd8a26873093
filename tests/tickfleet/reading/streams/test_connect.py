import pytest

from tests.support.clock import ManualClock
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.reading.selection import select
from tickfleet.reading.streams.connect import RetryState, within_reach
from tickfleet.redis.config import RedisConfig, redis_config

ERROR = RedisUnreachableError("Redis at nowhere cannot be reached")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is said in the environment."""
    for name in ("TICKFLEET_REDIS_URL", "TICKFLEET_REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_redis_is_on_this_machine_unless_something_is_said(environment: pytest.MonkeyPatch) -> None:
    assert redis_config(None) == RedisConfig()
    environment.setenv("TICKFLEET_REDIS_URL", "redis://db:7000/1")
    assert redis_config(None) == RedisConfig(url="redis://db:7000/1")
    assert redis_config("redis://other/2") == RedisConfig(url="redis://other/2")
    given = RedisConfig(url="redis://third")
    assert redis_config(given) is given


def test_a_password_is_kept_out_of_the_address(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TICKFLEET_REDIS_PASSWORD", "from-outside")
    assert redis_config(None) == RedisConfig(password="from-outside")  # noqa: S106 - made up
    environment.setenv("TICKFLEET_REDIS_URL", "redis://:in-it@db")
    assert redis_config(None) == RedisConfig(url="redis://db", password="from-outside")  # noqa: S106 - made up
    assert redis_config("redis://:own@db") == RedisConfig(url="redis://db", password="own")  # noqa: S106 - made up


def test_what_is_no_address_is_refused(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidConfigurationError, match="redis must begin with"):
        redis_config("http://db")
    environment.setenv("TICKFLEET_REDIS_URL", "db:6379")
    with pytest.raises(InvalidConfigurationError, match="TICKFLEET_REDIS_URL must begin with"):
        redis_config(None)


def test_a_first_answer_is_waited_for_so_long(clock: ManualClock) -> None:
    perseverance = RetryState(clock, 10.0)
    clock.advance(100)  # before it is asked for the first time
    assert 0 <= perseverance.pause_s(ERROR) <= 0.1
    clock.advance(9.9)
    assert 0 <= perseverance.pause_s(ERROR) <= 0.2
    clock.advance(0.1)
    with pytest.raises(RedisUnreachableError, match="nowhere"):
        perseverance.pause_s(ERROR)
    assert (perseverance.working, perseverance.lost) == (False, 1)


def test_after_a_first_answer_it_goes_on_for_ever(clock: ManualClock) -> None:
    perseverance = RetryState(clock, 10.0)
    perseverance.works()
    for _ in range(50):
        clock.advance(1_000)
        assert 0 <= perseverance.pause_s(ERROR) <= 2.0
    assert (perseverance.working, perseverance.lost) == (False, 1)
    perseverance.works()
    perseverance.pause_s(ERROR)
    assert (perseverance.working, perseverance.lost) == (False, 2)


CLUSTER = RedisConfig(url="redis+cluster://127.0.0.1:7000")


@pytest.mark.parametrize(
    ("collectors", "data_types", "readable"),
    [
        ("okx:BTC-USDT", ["trade", "orderbook", "candles:1m"], True),
        (["okx:BTC-USDT", "okx:ETH-USDT"], "trade", False),
        ("okx:*", "trade", False),
        ("okx:BTC-USDT", "candles", False),
    ],
)
def test_in_a_cluster_one_collector_is_read_by_name(
    collectors: str | list[str], data_types: str | list[str], readable: bool
) -> None:
    selection = select(collectors, data_types)
    assert within_reach(selection, RedisConfig()) is selection
    if readable:
        assert within_reach(selection, CLUSTER) is selection
    else:
        with pytest.raises(InvalidConfigurationError, match="take one reader for each collector"):
            within_reach(selection, CLUSTER)
