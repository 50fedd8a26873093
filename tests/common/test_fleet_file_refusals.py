"""Every kind of mistake in a fleet file, with the whole of what is said about it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ExchangeNotSupportedError, InvalidConfigurationError
from common.fleet_file import load_fleet
from common.settings import Environment

BTC = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
AT_BTC = "collectors[0] (okx:BTC-USDT)"
ESCAPES = "(in a user or password write / ? # @ % as %2F %3F %23 %40 %25)"

MISTAKES = {
    "no TOML": ("[redis", "not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
    "a number without end": (f"a = {'1' * 5_000}", "not valid TOML: a value is too long or too deep"),
    "an unknown section": ("[redi]", "unknown key 'redi'; did you mean 'redis'?"),
    "an unknown key without a likeness": ("zzz = 1", "unknown key 'zzz'"),
    "an unknown key of redis": ("[redis]\nurls = 1", "redis: unknown key 'urls'; did you mean 'url'?"),
    "an unknown key of maxlen": (
        "[redis.maxlen]\ntrades = 1",
        "redis.maxlen: Object contains unknown field `trades`",
    ),
    "an unknown default": ("[defaults]\nenable = true", "defaults: unknown key 'enable'; did you mean 'enabled'?"),
    "an unknown key of a collector": (
        BTC + 'data_type = ["trade"]',
        "collectors[0]: unknown key 'data_type'; did you mean 'data_types'?",
    ),
    "an unknown key of an exchange": (
        "[exchanges.okx]\nrests = ''",
        "exchanges.okx: unknown key 'rests'; did you mean 'rest'?",
    ),
    "an unknown section of an exchange": (
        "[exchanges.okex]\nrest = ''",
        "exchanges.okex: exchange 'okex' is not supported; did you mean 'okx'?",
    ),
    "a section that is a value": ("redis = 1", "redis: Expected `object`, got `int`"),
    "exchanges that are a value": ("exchanges = 1", "exchanges: Expected `object`, got `int`"),
    "an exchange that is a value": ("[exchanges]\nokx = 1", "exchanges[...]: Expected `object`, got `int`"),
    "collectors that are a table": ("[collectors]\nexchange = 'okx'", "collectors: Expected `array`, got `object`"),
    "a collector that is a value": ("collectors = [1]", "collectors[0]: Expected `object`, got `int`"),
    "a number for a text": (BTC + "[redis]\nurl = 1", "redis.url: Expected `str`, got `int`"),
    "a text for a number": (
        "[defaults]\nhealth_check_interval = '30'",
        "defaults.health_check_interval: Expected `float`, got `str`",
    ),
    "a text for a truth": (BTC + "enabled = 'no'", "collectors[0].enabled: Expected `bool`, got `str`"),
    "a text for a list": (BTC + "data_types = 'trade'", "collectors[0].data_types: Expected `array`, got `str`"),
    "an unknown data type": (
        BTC + "data_types = ['trade', 'trades']",
        "collectors[0].data_types[1]: Invalid enum value 'trades'",
    ),
    "a number for a parameter": (
        BTC + "custom_params = { trade_channel = 1 }",
        "collectors[0].custom_params[...]: Expected `str`, got `int`",
    ),
    "no symbol": ("[[collectors]]\nexchange = 'okx'", "collectors[0]: Object missing required field `symbol`"),
    "no exchange": ("[[collectors]]\nsymbol = 'BTC-USDT'", "collectors[0]: Object missing required field `exchange`"),
    "a stream of no length": ("[redis.maxlen]\ntrade = 0", "redis.maxlen.trade must be at least 1"),
    "a number for a transport": (BTC + "transport = 1", "collectors[0].transport: Expected `str`, got `int`"),
    "an unknown transport": (
        BTC + "[defaults]\ntransport = 'websocket'",
        f"{AT_BTC}: transport is 'websocket', must be one of: picows, websockets",
    ),
    "no data types": (BTC + "data_types = []", f"{AT_BTC}: data_types must name at least one data type"),
    "no data types by default": (
        BTC + "[defaults]\ndata_types = []",
        f"{AT_BTC}: data_types must name at least one data type",
    ),
    "a data type twice": (BTC + "data_types = ['trade', 'trade']", f"{AT_BTC}: data_types names something twice"),
    "a misspelt interval": (
        BTC + "candle_intervals = ['1M']",
        f"{AT_BTC}: candle_intervals: OKX has no '1M' (known: 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w)",
    ),
    "endless patience": (
        BTC + "health_check_interval = inf",
        f"{AT_BTC}: health_check_interval must be above 0 and at most 604800 seconds",
    ),
    "an unknown parameter": (
        BTC + "custom_params = { chan = 'x' }",
        f"{AT_BTC}: custom_params: OKX has no parameter 'chan'",
    ),
    "a misspelt symbol": (
        "[[collectors]]\nexchange = 'okx'\nsymbol = 'btc'",
        "collectors[0] (okx:btc): symbol 'btc' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in"
        " capitals",
    ),
    "a collector twice": (BTC + BTC, "collectors[1] (okx:BTC-USDT): the collector is listed twice"),
    "an address of nothing": (
        "[exchanges.okx]\nrest = 'wss://x'",
        "exchanges.okx: rest must begin with http:// or https://",
    ),
    "more connections than the exchange takes": (
        "[exchanges.okx]\nconnects_per_s = 3",
        "exchanges.okx: connects_per_s must be from 0.025 to 2.5 connections a second, which keeps OKX's own limit",
    ),
    "more REST than the exchange takes": (
        "[exchanges.binance]\nrest_units_per_s = 80.1",
        "exchanges.binance: rest_units_per_s must be from 0.8 to 80 request weight a second, which keeps Binance's own"
        " limit",
    ),
    "a misspelt limit": (
        "[exchanges.okx]\nconnect_per_s = 1",
        "exchanges.okx: unknown key 'connect_per_s'; did you mean 'connects_per_s'?",
    ),
    "a text for a limit": (
        "[exchanges.okx]\nrest_units_per_s = '1'",
        "exchanges[...].rest_units_per_s: Expected `float | null`, got `str`",
    ),
    "an address that is not Redis'": (
        "[redis]\nurl = 'http://h'",
        "redis.url must begin with redis://, rediss:// or unix://, or redis+sentinel:// or redis+cluster://",
    ),
    "half an address of Redis": ("[redis]\nurl = 'redis://[::1'", f"redis.url is not an address {ESCAPES}"),
    "a port that is none": (
        "[redis]\nurl = 'redis://h:hunter2'",
        f"redis.url: the port is not a number from 1 to 65535 {ESCAPES}",
    ),
}


def load(path: Path, redis_url: str | None = None) -> None:
    load_fleet(path, Environment(root=path.parent, fleet_path=path, redis_url=redis_url))


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_file_place_and_reason(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text)

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {message}"
    assert type(caught.value) is InvalidConfigurationError


def test_an_unsupported_exchange_keeps_its_class(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("[[collectors]]\nexchange = 'invalid'\nsymbol = 'BTC-USDT'")

    with pytest.raises(ExchangeNotSupportedError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: collectors[0] (invalid:BTC-USDT): exchange 'invalid' is not supported (supported: binance, okx)"
    )


def test_a_bad_address_in_the_environment_is_named_after_it(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.touch()

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path, "redis://h:hunter2")
    assert str(caught.value) == f"TICKFLEET_REDIS_URL: the port is not a number from 1 to 65535 {ESCAPES}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load(tmp_path / "fleet.toml")
    assert str(caught.value) == f"{tmp_path}/fleet.toml: there is no such file"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: the file cannot be read (check its permissions)"


def test_a_folder_is_no_fleet_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: the file cannot be read (check its permissions)"


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing", "there is no such file"), ("a\\u0000b", "the file cannot be read (check its permissions)")],
)
def test_a_password_file_that_cannot_be_read(name: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f'[redis]\npassword_file = "{name}"')

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    shown = name.replace("\\u0000", "\0")
    assert str(caught.value) == f"{tmp_path}/{shown}: {why}"


values = st.sampled_from(
    [
        "1",
        "-1",
        "nan",
        "1e400",
        "true",
        "'x'",
        "'trade'",
        "''",
        "[]",
        "['trade']",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
    ]
)
lines = st.tuples(
    st.sampled_from(
        ["url", "password_file", "maxlen", "trade", "data_types", "symbol", "exchange", "enabled", "custom_params",
         "health_check_interval", "candle_intervals", "rest", "connects_per_s", "okx", "redis", "collectors",
         "defaults"]
    ),
    values,
).map(" = ".join)  # fmt: skip
sections = st.sampled_from(
    ["[redis]", "[redis.maxlen]", "[defaults]", "[exchanges.okx]", "[exchanges]", "[[collectors]]", BTC.strip()]
)


@given(st.lists(lines | sections, max_size=8).map("\n".join) | st.text())
def test_any_file_is_a_fleet_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any-fleet.toml"
    path.write_bytes(text.encode(errors="replace"))
    try:
        load(path)
    except InvalidConfigurationError as error:
        assert str(error).startswith(str(path.parent))  # noqa: PT017 - most texts are refused, not all
