"""Every kind of mistake in a fleet file, with the whole of what is said about it."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError

BTC = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
AT_BTC = "collectors[0] (okx:BTC-USDT)"
ESCAPES = "(in a user or password write / ? # @ % as %2F %3F %23 %40 %25)"
EXCHANGE_KEYS = "ws_public, ws_business, rest, region, connects_per_s, rest_units_per_s"
OPTIONS = (
    "data_types, candle_intervals, auto_restart, health_check_interval, max_backfill_wait, store_raw_data, transport,"
    " enabled, custom_params"
)

MISTAKES = {
    "no TOML": ("[redis", "not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
    "a number without end": (f"a = {'1' * 5_000}", "not valid TOML: a value is too long or too deep"),
    "an unknown section": (
        "[redi]",
        "unknown key 'redi'; did you mean 'redis'? (known: redis, defaults, exchanges, manager, collectors)",
    ),
    "an unknown key without a likeness": (
        "zzz = 1",
        "unknown key 'zzz' (known: redis, defaults, exchanges, manager, collectors)",
    ),
    "an unknown key of redis": (
        "[redis]\nurls = 1",
        "redis: unknown key 'urls'; did you mean 'url'? (known: url, password_file, maxlen)",
    ),
    "an unknown key of maxlen": (
        "[redis.maxlen]\ntrades = 1",
        "redis.maxlen: unknown key 'trades'; did you mean 'trade'? (known: trade, orderbook, ticker, candles)",
    ),
    "an unknown default": (
        "[defaults]\nenable = true",
        f"defaults: unknown key 'enable'; did you mean 'enabled'? (known: {OPTIONS})",
    ),
    "an unknown key of a collector": (
        BTC + 'data_type = ["trade"]',
        f"{AT_BTC}: unknown key 'data_type'; did you mean 'data_types'? (known: {OPTIONS}, exchange, symbol)",
    ),
    "an unknown key of an exchange": (
        "[exchanges.okx]\nrests = ''",
        f"exchanges.okx: unknown key 'rests'; did you mean 'rest'? (known: {EXCHANGE_KEYS})",
    ),
    "an unknown section of an exchange": (
        "[exchanges.okex]\nrest = ''",
        "exchanges.okex: exchange 'okex' is not supported; did you mean 'okx'? (supported: binance, okx)",
    ),
    "an unknown region": (
        "[exchanges.okx]\nregion = 'eu'",
        "exchanges.okx: region is 'eu'; did you mean 'eea'? (known: global, eea, us)",
    ),
    "a misspelt region": (
        "[exchanges.okx]\nregion = 'globel'",
        "exchanges.okx: region is 'globel'; did you mean 'global'? (known: global, eea, us)",
    ),
    "a region without a name": (
        "[exchanges.binance]\nregion = ''",
        "exchanges.binance: region is '' (known: global)",
    ),
    "a region that is a number": (
        "[exchanges.okx]\nregion = 1",
        "exchanges.okx: region is 1, must be a text in quotes",
    ),
    "a section that is a value": ("redis = 1", "redis: is 1, must be a table"),
    "exchanges that are a value": ("exchanges = 1", "exchanges: is 1, must be tables: [exchanges.NAME]"),
    "an exchange that is a value": ("[exchanges]\nokx = 1", "exchanges.okx: is 1, must be a table"),
    "collectors that are a table": (
        "[collectors]\nexchange = 'okx'",
        "collectors: each collector is written [[collectors]], in double brackets",
    ),
    "a collector that is a value": ("collectors = [1]", "collectors[0]: is 1, must be a table"),
    "a number for a text": (BTC + "[redis]\nurl = 1", "redis: url is 1, must be a text in quotes"),
    "a text for a number": (
        "[defaults]\nhealth_check_interval = '30'",
        "defaults: health_check_interval is '30', must be a number",
    ),
    "a text for a truth": (BTC + "enabled = 'no'", f"{AT_BTC}: enabled is 'no', must be true or false"),
    "a text for a list": (BTC + "data_types = 'trade'", f"{AT_BTC}: data_types is 'trade', must be a list: [...]"),
    "a data type by another name": (
        BTC + "data_types = ['l2_book']",
        f"{AT_BTC}: data_types[0] is 'l2_book'; did you mean 'orderbook'? (known: trade, orderbook, ticker, candles)",
    ),
    "a data type that nobody has": (
        "[defaults]\ndata_types = ['funding']",
        "defaults: data_types[0] is 'funding' (known: trade, orderbook, ticker, candles)",
    ),
    "an address of which socket": (
        "[exchanges.okx]\nws = 'wss://x'",
        f"exchanges.okx: unknown key 'ws'; did you mean 'ws_public' or 'ws_business'? (known: {EXCHANGE_KEYS})",
    ),
    "collectors in single brackets, twice": (
        BTC.replace("[[", "[").replace("]]", "]") * 2,
        "not valid TOML: Cannot declare ('collectors',) twice (at line 4, column 12);"
        " each collector is written [[collectors]], in double brackets",
    ),
    "collectors that are a text": ("collectors = 'x'", "collectors: is a text, must be tables: [[collectors]]"),
    "a section in double brackets": ("[[redis]]\nurl = ''", "redis: is written [redis], in single brackets"),
    "an exchange in double brackets": ("[[exchanges.okx]]\nrest = ''", "exchanges.okx: is a list, must be a table"),
    "a limit out of its bounds": ("[manager]\nhung_after_s = 1", "manager: hung_after_s is 1, must be at least 3"),
    "half a count": ("[redis.maxlen]\ntrade = 1.5", "redis.maxlen: trade is 1.5, must be a whole number"),
    "a secret where a table should be": ("redis = 'redis://:hunter2@h'", "redis: is a text, must be a table"),
    "an interval by another name": (
        BTC + "candle_intervals = ['60m']",
        f"{AT_BTC}: candle_intervals: OKX has no '60m'; did you mean '1h'?"
        " (known: 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w)",
    ),
    "a parameter that Binance has not": (
        BTC.replace("okx", "binance") + "custom_params = { trade_channel = 'trades' }",
        "collectors[0] (binance:BTC-USDT): custom_params: Binance has no parameter 'trade_channel' (known: none)",
    ),
    "a value that is none of the parameter's": (
        BTC + "custom_params = { book_channel = 'book' }",
        f"{AT_BTC}: custom_params.book_channel is 'book'; did you mean 'books'? (known: books, books5, bbo-tbt)",
    ),
    "a key of the collector's own beside good defaults": (
        "[defaults]\ntransport = 'picows'\n" + BTC + "max_backfill_wait = -1",
        f"{AT_BTC}: max_backfill_wait is -1, must be from 0 to 604800 seconds",
    ),
    "an unknown data type": (
        BTC + "data_types = ['trade', 'trades']",
        f"{AT_BTC}: data_types[1] is 'trades'; did you mean 'trade'? (known: trade, orderbook, ticker, candles)",
    ),
    "a number for a parameter": (
        BTC + "custom_params = { trade_channel = 1 }",
        f"{AT_BTC}: custom_params.trade_channel is 1, must be a text in quotes",
    ),
    "no symbol": ("[[collectors]]\nexchange = 'okx'", "collectors[0] (okx): symbol is missing"),
    "no exchange": ("[[collectors]]\nsymbol = 'BTC-USDT'", "collectors[0] (BTC-USDT): exchange is missing"),
    "a stream of no length": ("[redis.maxlen]\ntrade = 0", "redis.maxlen.trade must be at least 1"),
    "a number for a transport": (BTC + "transport = 1", f"{AT_BTC}: transport is 1, must be a text in quotes"),
    "an unknown transport": (
        BTC + "[defaults]\ntransport = 'websocket'",
        f"defaults for {AT_BTC}: transport is 'websocket'; did you mean 'websockets'? (known: picows, websockets)",
    ),
    "no data types": (
        BTC + "data_types = []",
        f"{AT_BTC}: data_types must name at least one data type (known: trade, orderbook, ticker, candles)",
    ),
    "no data types by default": (
        BTC + "[defaults]\ndata_types = []",
        f"defaults for {AT_BTC}: data_types must name at least one data type (known: trade, orderbook, ticker,"
        f" candles)",
    ),
    "a data type twice": (BTC + "data_types = ['trade', 'trade']", f"{AT_BTC}: data_types names 'trade' twice"),
    "a misspelt interval": (
        BTC + "candle_intervals = ['1M']",
        f"{AT_BTC}: candle_intervals: OKX has no '1M' (known: 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w)",
    ),
    "endless patience": (
        BTC + "health_check_interval = inf",
        f"{AT_BTC}: health_check_interval is inf, must be above 0 and at most 604800 seconds",
    ),
    "an unknown parameter": (
        BTC + "custom_params = { chan = 'x' }",
        f"{AT_BTC}: custom_params: OKX has no parameter 'chan' (known: trade_channel, book_channel)",
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
        "exchanges.okx: connects_per_s is 3, must be from 0.025 to 2.5 connections a second, which keeps OKX's"
        " own limit",
    ),
    "more REST than the exchange takes": (
        "[exchanges.binance]\nrest_units_per_s = 80.1",
        "exchanges.binance: rest_units_per_s is 80.1, must be from 0.8 to 80 request weight a second, which"
        " keeps Binance's own limit",
    ),
    "a misspelt limit": (
        "[exchanges.okx]\nconnect_per_s = 1",
        f"exchanges.okx: unknown key 'connect_per_s'; did you mean 'connects_per_s'? (known: {EXCHANGE_KEYS})",
    ),
    "a text for a limit": (
        "[exchanges.okx]\nrest_units_per_s = '1'",
        "exchanges.okx: rest_units_per_s is '1', must be a number",
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


FLEET = BTC + 'data_types = ["trade"]\n'


def test_the_mark_of_an_editor_in_front_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FLEET.encode())

    fleet = load_fleet(path, Environment(root=tmp_path, fleet_path=path))
    assert fleet.collectors == (ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_with_the_remedy(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(FLEET.encode(encoding))

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: is written in UTF-16, must be UTF-8; run: iconv -f UTF-16 -t UTF-8 {path} > new && mv new {path}"
    )


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"a = '\xfc'")

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: is not text in UTF-8; save it as that"


def test_a_folder_is_no_fleet_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder, not a file"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o664, 0o666, 0o777])
def test_a_file_that_others_can_change_is_refused_with_the_remedy(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "our fleet.toml"
    path.write_text(FLEET)
    path.chmod(mode)

    with pytest.raises(InvalidConfigurationError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: others may change it ({stat.filemode(stat.S_IFREG | mode)}), and it says where the fleet connects to;"
        f" run: chmod go-w '{path}'"
    )


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o644, 0o755])
def test_a_file_that_others_can_only_read_is_taken(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    path.chmod(mode)

    load(path)


def test_a_file_may_come_through_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, FLEET.encode())
    os.close(writer)
    os.fchmod(reader, 0o666)

    load(Path(f"/dev/fd/{reader}"))
    os.close(reader)


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
    assert str(caught.value) == f"{path}: redis.password_file: {tmp_path}/{shown}: {why}"


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
