import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector_worker.exchanges as module
from collector_worker.exchanges import (
    REGISTRY,
    DataType,
    ExchangeCollectorConfig,
    ExchangeFactory,
    ExchangeNotSupportedError,
    InvalidConfigurationError,
)
from collector_worker.exchanges.okx import Okx
from common.config.collector import ExchangeCollectorConfig as CommonConfig
from common.config.exchanges import PROFILES
from tests.simulator import binance_klines, okx_bars
from tickfleet.contract.intervals import length_ns, number_at, opens_at


def config(symbol: str = "BTC-USDT", exchange: str = "okx") -> ExchangeCollectorConfig:
    return ExchangeCollectorConfig(exchange=exchange, symbol=symbol, data_types=(DataType.TRADE,))


def test_the_registry_and_the_profiles_list_the_same_exchanges() -> None:
    assert REGISTRY.keys() == PROFILES.keys()


@pytest.mark.parametrize("name", REGISTRY)
def test_an_exchange_can_do_what_its_profile_promises(name: str) -> None:
    known = PROFILES[name]
    everything = ExchangeCollectorConfig(
        exchange=name, symbol="BTC-USDT", data_types=known.data_types, candle_intervals=known.candle_intervals
    )

    channels = [channel for feed in ExchangeFactory.create_collector(everything).feeds() for channel in feed.channels]
    assert {channel.data_type for channel in channels} == set(known.data_types)
    assert sorted(channel.interval for channel in channels if channel.interval) == sorted(known.candle_intervals)
    assert len({channel.name for channel in channels}) == len(channels)
    addresses = {feed.url for feed in ExchangeFactory.create_collector(everything).feeds()}
    roots = {known.endpoints.ws_public, known.endpoints.ws_business} - {""}
    assert ExchangeFactory.create_collector(everything).time_path() == known.time_path
    assert addresses == {root + known.ws_path for root in roots}


BARS = {"binance": ("kline_", binance_klines.PERIODS), "okx": ("candle", okx_bars.PERIODS)}
"""What is before the interval in the name of a channel, and the simulator's bars by the exchange's own names."""


@pytest.mark.parametrize(
    ("name", "interval"), [(name, each) for name in BARS for each in PROFILES[name].candle_intervals]
)
@given(ts_ms=st.integers(0, 4_102_444_800_000))
def test_bars_begin_where_those_of_the_exchange_do(name: str, interval: str, ts_ms: int) -> None:
    """The channel that we subscribe to, against bars that were written from the exchange's documentation."""
    collected = ExchangeCollectorConfig(name, "BTC-USDT", (DataType.CANDLES,), candle_intervals=(interval,))
    (channel,) = [channel for feed in ExchangeFactory.create_collector(collected).feeds() for channel in feed.channels]
    before, periods = BARS[name]
    period = next(each for each in periods if each.name == channel.name.removeprefix(before))
    opened_ns = period.open_of(ts_ms) * 1_000_000
    assert opens_at(interval, number_at(interval, ts_ms * 1_000_000)) == opened_ns
    assert period.next_open(period.open_of(ts_ms)) * 1_000_000 == opened_ns + length_ns(interval)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        (name, key, value)
        for name, known in PROFILES.items()
        for key, all_of in known.custom_params.items()
        for value in all_of
    ],
)
def test_every_value_of_a_parameter_leads_to_a_channel_of_that_name(name: str, parameter: str, value: str) -> None:
    made = ExchangeCollectorConfig(
        exchange=name, symbol="BTC-USDT", data_types=PROFILES[name].data_types, custom_params={parameter: value}
    )

    feeds = ExchangeFactory.create_collector(made).feeds()
    assert value in [channel.name for feed in feeds for channel in feed.channels]


def test_the_factory_makes_a_collector_of_its_configuration() -> None:
    made = ExchangeFactory.create_collector(config("ETH-USDT-PERP"))

    assert isinstance(made, Okx)
    assert made.instruments_path() == "/api/v5/public/instruments?instType=SWAP"


def test_the_factory_makes_several_in_their_order() -> None:
    made = ExchangeFactory.create_multiple_collectors(config(symbol) for symbol in ("BTC-USDT", "BTC-USDT-PERP"))

    assert [collector.instruments_path().rpartition("=")[2] for collector in made] == ["SPOT", "SWAP"]
    assert ExchangeFactory.create_multiple_collectors([]) == []


def test_the_supported_exchanges_are_sorted() -> None:
    assert ExchangeFactory.get_supported_exchanges() == sorted(PROFILES)


def test_a_configuration_that_exists_is_valid() -> None:
    assert ExchangeFactory.validate_config(config()) == (True, [])


def test_an_exchange_without_a_class_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    made = config()
    monkeypatch.setattr(module, "REGISTRY", {})

    with pytest.raises(ExchangeNotSupportedError, match=r"^exchange 'okx' is not supported$"):
        ExchangeFactory.create_collector(made)
    assert ExchangeFactory.validate_config(made) == (False, ["exchange 'okx' is not supported"])
    assert ExchangeFactory.get_supported_exchanges() == []


def test_an_invalid_exchange_cannot_even_be_configured() -> None:
    with pytest.raises(ExchangeNotSupportedError):
        config(exchange="invalid")


def test_the_names_of_the_reference_are_exported() -> None:
    assert CommonConfig is ExchangeCollectorConfig
    assert issubclass(ExchangeNotSupportedError, InvalidConfigurationError)
    assert set(module.__all__) <= set(vars(module))


def test_the_configuration_takes_what_the_reference_gives_it() -> None:
    """Its fields in its order, with its checks; ``store_raw_data`` is off unless asked for, as the fleet file says."""
    made = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,), False, 5.0, True, {"book_channel": "books5"})

    assert (made.auto_restart, made.health_check_interval, made.store_raw_data, made.custom_params) == (
        False,
        5.0,
        True,
        {"book_channel": "books5"},
    )
    for changes in ({"exchange": ""}, {"symbol": ""}, {"data_types": ()}):
        given = {"exchange": "okx", "symbol": "BTC-USDT", "data_types": (DataType.TRADE,)} | changes
        with pytest.raises(InvalidConfigurationError):
            ExchangeCollectorConfig(**given)  # type: ignore[arg-type]
