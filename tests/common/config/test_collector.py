from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from rich.pretty import pretty_repr

from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import PROFILES, Endpoints, Limits, LowerLimits, Rate
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.redis.config import MaxLen, RedisConfig

SECRET = "hunter2"  # noqa: S105 - made up


def config(**changes: Any) -> ExchangeCollectorConfig:
    return ExchangeCollectorConfig(
        **{"exchange": "okx", "symbol": "BTC-USDT", "data_types": (DataType.TRADE,)} | changes
    )


def test_fields_and_defaults() -> None:
    made = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,))

    assert {name: getattr(made, name) for name in made.__struct_fields__} == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "data_types": (DataType.TRADE,),
        "auto_restart": True,
        "health_check_interval": 30.0,
        "store_raw_data": False,
        "custom_params": None,
        "candle_intervals": ("1m",),
        "max_backfill_wait": 60.0,
        "enabled": True,
        "transport": "picows",
        "endpoints": Endpoints(),
        "limits": LowerLimits(),
    }
    assert made.id == CollectorId("okx", "BTC-USDT")


@dataclass(frozen=True)
class Bad:
    changes: dict[str, Any]
    message: str
    error: type[InvalidConfigurationError] = InvalidConfigurationError


REFUSED = {
    "no exchange": Bad({"exchange": ""}, "exchange must not be empty"),
    "no symbol": Bad({"symbol": ""}, "symbol must not be empty"),
    "an unknown exchange": Bad(
        {"exchange": "invalid"},
        "exchange 'invalid' is not supported (supported: binance, okx)",
        ExchangeNotSupportedError,
    ),
    "a misspelt symbol": Bad(
        {"symbol": "btc/usdt"},
        "symbol 'btc/usdt' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
        " did you mean 'BTC-USDT'?",
    ),
    "small letters where OKX lists capitals": Bad(
        {"symbol": "btc-usdt"},
        "symbol 'btc-usdt' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
        " did you mean 'BTC-USDT'?",
    ),
    "small letters where Binance lists capitals": Bad(
        {"exchange": "binance", "symbol": "kPEPE-USDT"},
        "symbol 'kPEPE-USDT' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
        " did you mean 'KPEPE-USDT'?",
    ),
    "a perpetual where there is none": Bad(
        {"exchange": "binance", "symbol": "BTC-USDT-PERP"},
        "symbol 'BTC-USDT-PERP' is a perpetual; collectors of Binance know: spot",
    ),
    "a future where there is none": Bad(
        {"exchange": "binance", "symbol": "BTC-USDT-270326"},
        "symbol 'BTC-USDT-270326' is a future; collectors of Binance know: spot",
    ),
    "a day that is none": Bad(
        {"symbol": "BTC-USDT-270230"}, "symbol 'BTC-USDT-270230': its expiry 270230 is not a date (YYMMDD)"
    ),
    "no data type": Bad(
        {"data_types": ()}, "data_types must name at least one data type (known: trade, orderbook, ticker, candles)"
    ),
    "a data type twice": Bad({"data_types": (DataType.TRADE, DataType.TRADE)}, "data_types names 'trade' twice"),
    "an interval twice": Bad({"candle_intervals": ("1m", "1m")}, "candle_intervals names '1m' twice"),
    "an unknown interval": Bad(
        {"candle_intervals": ("1min",)},
        "candle_intervals: OKX has no '1min'; did you mean '1m'? "
        "(known: 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w)",
    ),
    "candles without an interval": Bad(
        {"data_types": (DataType.CANDLES,), "candle_intervals": ()},
        "candle_intervals must name at least one interval when candles are collected"
        " (known: 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w)",
    ),
    "an unknown parameter": Bad(
        {"custom_params": {"trade_chanel": "trades"}},
        "custom_params: OKX has no parameter 'trade_chanel'; did you mean 'trade_channel'?"
        " (known: trade_channel, book_channel)",
    ),
    "an unknown value": Bad(
        {"custom_params": {"book_channel": "books400"}},
        "custom_params.book_channel is 'books400' (known: books, books5, bbo-tbt)",
    ),
    "an unknown transport": Bad({"transport": "aiohttp"}, "transport is 'aiohttp' (known: picows, websockets)"),
    "no patience": Bad(
        {"health_check_interval": 0.0}, "health_check_interval is 0, must be above 0 and at most 604800 seconds"
    ),
    "negative patience": Bad(
        {"health_check_interval": -1.0}, "health_check_interval is -1, must be above 0 and at most 604800 seconds"
    ),
    "endless patience": Bad(
        {"health_check_interval": float("inf")},
        "health_check_interval is inf, must be above 0 and at most 604800 seconds",
    ),
    "patience that is no number": Bad(
        {"health_check_interval": float("nan")},
        "health_check_interval is nan, must be above 0 and at most 604800 seconds",
    ),
    "a negative wait": Bad({"max_backfill_wait": -0.1}, "max_backfill_wait is -0.1, must be from 0 to 604800 seconds"),
    "a wait that is no number": Bad(
        {"max_backfill_wait": float("nan")}, "max_backfill_wait is nan, must be from 0 to 604800 seconds"
    ),
    "http for a socket": Bad(
        {"endpoints": Endpoints(ws_public="https://x")}, "ws_public must begin with ws:// or wss://"
    ),
    "a space behind an address": Bad(
        {"endpoints": Endpoints(rest="https://x ")}, "rest holds a space or a control character"
    ),
    "ftp for a socket": Bad(
        {"endpoints": Endpoints(ws_business="ftp://x")}, "ws_business must begin with ws:// or wss://"
    ),
    "a socket for REST": Bad({"endpoints": Endpoints(rest="wss://x")}, "rest must begin with http:// or https://"),
    "no host": Bad({"endpoints": Endpoints(rest="https:///path")}, "rest is not an address (host or port)"),
    "a port too high": Bad(
        {"endpoints": Endpoints(ws_public="wss://x:99999/")}, "ws_public is not an address (host or port)"
    ),
    "port 0": Bad({"endpoints": Endpoints(rest="http://x:0")}, "rest is not an address (host or port)"),
    "half an address": Bad({"endpoints": Endpoints(rest="http://[::1")}, "rest is not an address (host or port)"),
    "a secret in an address": Bad(
        {"endpoints": Endpoints(ws_public=f"wss://me:{SECRET}@x/")},
        "ws_public must not hold a user or password: market data needs none",
    ),
    "a secret behind an address": Bad(
        {"endpoints": Endpoints(rest=f"https://x/?token={SECRET}")},
        "rest must end before the ? or #: what may follow there is a secret, or changes what is received",
    ),
    "another unit of time": Bad(
        {"endpoints": Endpoints(ws_public="wss://x/stream?timeUnit=MICROSECOND")},
        "ws_public must end before the ? or #: what may follow there is a secret, or changes what is received",
    ),
    "a path that collectors append": Bad(
        {"exchange": "binance", "endpoints": Endpoints(ws_public="wss://x:9443/stream/")},
        "ws_public must end before /stream: collectors append /stream to it",
    ),
    "the path to frames of another shape": Bad(
        {"exchange": "binance", "endpoints": Endpoints(ws_public="wss://x/proxy/ws")},
        "ws_public must end before /ws: collectors append /stream to it",
    ),
    "a fragment": Bad(
        {"endpoints": Endpoints(ws_business="wss://x/#a")},
        "ws_business must end before the ? or #: what may follow there is a secret, or changes what is received",
    ),
    "more connections than the exchange takes": Bad(
        {"limits": LowerLimits(connects_per_s=2.6)},
        "connects_per_s is 2.6, must be from 0.025 to 2.5 connections a second, which keeps OKX's own limit",
    ),
    "next to no connections": Bad(
        {"limits": LowerLimits(connects_per_s=0.0)},
        "connects_per_s is 0, must be from 0.025 to 2.5 connections a second, which keeps OKX's own limit",
    ),
    "more REST than the exchange takes": Bad(
        {"limits": LowerLimits(rest_units_per_s=8.1)},
        "rest_units_per_s is 8.1, must be from 0.08 to 8 calls a second, which keeps OKX's own limit",
    ),
    "REST that is no number": Bad(
        {"limits": LowerLimits(rest_units_per_s=float("nan"))},
        "rest_units_per_s is nan, must be from 0.08 to 8 calls a second, which keeps OKX's own limit",
    ),
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_cannot_be_made(bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:
        config(**bad.changes)
    assert str(caught.value) == bad.message


def test_a_configuration_that_is_changed_is_checked_again() -> None:
    with pytest.raises(InvalidConfigurationError, match="data_types must name"):
        msgspec.convert({"exchange": "okx", "symbol": "BTC-USDT", "data_types": []}, ExchangeCollectorConfig)


def test_own_addresses_outrank_those_of_the_exchange() -> None:
    made = config(endpoints=Endpoints(rest="http://127.0.0.1:8000"))

    assert made.address == Endpoints(
        ws_public="wss://ws.okx.com/ws/v5/public",
        ws_business="wss://ws.okx.com/ws/v5/business",
        rest="http://127.0.0.1:8000",
    )


def test_the_rates_are_the_exchanges_own() -> None:
    assert config().rates == PROFILES["okx"].limits


def test_a_lowered_rate_lowers_its_burst() -> None:
    own = PROFILES["binance"].limits
    made = config(exchange="binance", limits=LowerLimits(connects_per_s=0.4))
    assert made.rates == Limits(connect=Rate(0.4, own.connect.burst / 2), rest=own.rest)

    least = LowerLimits(connects_per_s=0.008, rest_units_per_s=0.8)
    assert config(exchange="binance", limits=least).rates == Limits(connect=Rate(0.008, 1.0), rest=Rate(0.8, 8.0))


def test_a_parameter_has_a_default() -> None:
    made = config(custom_params={"book_channel": "books5"})

    assert (made.param("book_channel"), made.param("trade_channel")) == ("books5", "trades-all")


CHANGES: dict[str, Any] = {
    "symbol": "ETH-USDT",
    "data_types": (DataType.TICKER,),
    "health_check_interval": 31.0,
    "store_raw_data": True,
    "custom_params": {"book_channel": "books5"},
    "candle_intervals": ("5m",),
    "max_backfill_wait": 61.0,
    "transport": "websockets",
    "endpoints": Endpoints(rest="http://127.0.0.1:1"),
    "limits": LowerLimits(connects_per_s=1.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_setting_changes_the_fingerprint(name: str) -> None:
    assert config(**{name: CHANGES[name]}).fingerprint() != config().fingerprint()


def test_what_only_the_manager_reads_does_not_change_the_fingerprint() -> None:
    plain = config()

    assert plain.fingerprint() == config().fingerprint()
    assert replace(plain, enabled=False, auto_restart=False).fingerprint() == plain.fingerprint()
    assert len(plain.fingerprint()) == 12


def test_every_setting_is_known_to_one_of_the_two() -> None:
    assert {*CHANGES, "exchange", "enabled", "auto_restart"} == set(ExchangeCollectorConfig.__struct_fields__)


def test_bounds_of_streams() -> None:
    bounds = MaxLen(trade=7)

    assert [bounds.of(data_type) for data_type in DataType] == [7, 50_000, 20_000, 10_000]


@pytest.mark.parametrize("name", MaxLen.__struct_fields__)
def test_a_stream_of_no_length_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        MaxLen(**{name: 0})
    assert str(caught.value) == f"redis.maxlen.{name} must be at least 1"


def test_the_password_is_never_shown() -> None:
    secret = RedisConfig(url="redis://me@h:6379/0", password=SECRET)

    assert repr(secret) == str(secret) == f"{secret}" == "RedisConfig(url='redis://me@h:6379/0')"
    assert pretty_repr(secret) == "RedisConfig(url='redis://me@h:6379/0')"
