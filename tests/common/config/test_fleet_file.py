from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.exchanges import Endpoints, LowerLimits
from common.config.fleet_file import Fleet, load_fleet
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.redis.config import MaxLen, RedisConfig

SECRET = "hunter2"  # noqa: S105 - made up
CHECKOUT = Path(__file__).resolve().parents[3]


class FleetFile:
    """A fleet file that a test writes and reads."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fleet.toml"

    def load(
        self,
        text: str,
        redis_url: str | None = None,
        redis_password: str | None = None,
        also: CollectorId | None = None,
    ) -> Fleet:
        self.path.write_text(text, encoding="utf-8")
        environment = Environment(
            root=self.path.parent, fleet_path=self.path, redis_url=redis_url, redis_password=redis_password
        )
        return load_fleet(self.path, environment, also)


@pytest.fixture
def fleet_file(tmp_path: Path) -> FleetFile:
    return FleetFile(tmp_path)


def test_an_empty_file_is_a_fleet_of_none(fleet_file: FleetFile) -> None:
    assert fleet_file.load("") == Fleet(redis=RedisConfig(url="redis://127.0.0.1:6379/0"), collectors=())


def test_everything_that_can_be_said(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load("""
        [redis]
        url = "redis://db:7000/2"
        [redis.maxlen]
        trade = 7
        [defaults]
        data_types = ["trade", "ticker"]
        candle_intervals = ["5m"]
        auto_restart = false
        health_check_interval = 5
        max_backfill_wait = 1.5
        store_raw_data = true
        transport = "websockets"
        custom_params = { trade_channel = "trades" }
        [exchanges.okx]
        rest = "http://127.0.0.1:8000"
        connects_per_s = 1
        rest_units_per_s = 2.5
        [[collectors]]
        exchange = "okx"
        symbol = "BTC-USDT"
        [[collectors]]
        exchange = "okx"
        symbol = "ETH-USDT-PERP"
        data_types = ["candles"]
        candle_intervals = ["1m", "1h"]
        auto_restart = true
        health_check_interval = 60.0
        max_backfill_wait = 0
        store_raw_data = false
        transport = "picows"
        enabled = false
        custom_params = { book_channel = "books5" }
        """)

    endpoints = Endpoints(rest="http://127.0.0.1:8000")
    limits = LowerLimits(connects_per_s=1.0, rest_units_per_s=2.5)
    assert (fleet.redis, fleet.collectors) == (
        RedisConfig(url="redis://db:7000/2", maxlen=MaxLen(trade=7)),
        (
            ExchangeCollectorConfig(
                exchange="okx",
                symbol="BTC-USDT",
                data_types=(DataType.TRADE, DataType.TICKER),
                candle_intervals=("5m",),
                auto_restart=False,
                health_check_interval=5.0,
                max_backfill_wait=1.5,
                store_raw_data=True,
                transport="websockets",
                custom_params={"trade_channel": "trades"},
                endpoints=endpoints,
                limits=limits,
            ),
            ExchangeCollectorConfig(
                exchange="okx",
                symbol="ETH-USDT-PERP",
                data_types=(DataType.CANDLES,),
                candle_intervals=("1m", "1h"),
                auto_restart=True,
                health_check_interval=60.0,
                max_backfill_wait=0.0,
                store_raw_data=False,
                transport="picows",
                enabled=False,
                custom_params={"book_channel": "books5"},
                endpoints=endpoints,
                limits=limits,
            ),
        ),
    )


BTC = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'


def test_a_collector_that_says_nothing_collects_all_that_its_exchange_has(fleet_file: FleetFile) -> None:
    assert fleet_file.load(BTC).collectors == (ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)),)


def test_a_region_selects_addresses_and_an_explicit_address_overrides_it(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load('[exchanges.okx]\nregion = "eea"\nrest = "http://127.0.0.1:8000"\n' + BTC)

    assert fleet.collectors[0].address == Endpoints(
        ws_public="wss://wseea.okx.com/ws/v5/public",
        ws_business="wss://wseea.okx.com/ws/v5/business",
        rest="http://127.0.0.1:8000",
    )
    assert fleet.resolve({"exchange": "okx", "symbol": "ETH-USDT"}).address == fleet.collectors[0].address
    default = fleet_file.load('[exchanges.okx]\nregion = "global"\n' + BTC).collectors[0]
    assert default.address == fleet_file.load(BTC).collectors[0].address


def test_limits_are_those_of_one_exchange(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load("[exchanges.binance]\nconnects_per_s = 0.1\n" + BTC)

    assert fleet.collectors == (ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)),)


def test_a_collector_is_found_by_its_id(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load(BTC)

    assert fleet.find(CollectorId("okx", "BTC-USDT")) == fleet.collectors[0]
    assert fleet.find(CollectorId("okx", "ETH-USDT")) is None


def test_the_file_of_this_project_is_good() -> None:
    path = CHECKOUT / "deploy" / "fleet.toml"
    fleet = load_fleet(path, Environment(root=CHECKOUT, fleet_path=path))

    symbols = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "DOGE-USDT", "TON-USDT")
    assert (fleet.redis, fleet.collectors) == (
        RedisConfig(),
        tuple(ExchangeCollectorConfig("okx", symbol, tuple(DataType)) for symbol in symbols),
    )


# --- a collector that the file does not list --------------------------------------------------------------------------


def test_a_collector_more_takes_the_defaults(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load('[defaults]\ndata_types = ["trade"]\n' + BTC, also=CollectorId("okx", "SOL-USDT"))

    assert fleet.collectors == (
        ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)),
        ExchangeCollectorConfig("okx", "SOL-USDT", (DataType.TRADE,)),
    )


def test_a_collector_that_is_listed_is_not_added(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load(BTC + 'data_types = ["trade"]', also=CollectorId("okx", "BTC-USDT"))

    assert fleet.collectors == (ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)),)


def test_an_exchange_that_is_asked_for_and_not_there(fleet_file: FleetFile) -> None:
    with pytest.raises(ExchangeNotSupportedError) as caught:
        fleet_file.load("", also=CollectorId("okex", "BTC-USDT"))
    assert str(caught.value) == "exchange 'okex' is not supported; did you mean 'okx'? (supported: binance, okx)"


def test_defaults_that_do_not_fit_a_collector_more_are_named_with_the_file(fleet_file: FleetFile) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        fleet_file.load("[defaults]\ndata_types = []", also=CollectorId("okx", "BTC-USDT"))
    assert str(caught.value) == (
        f"{fleet_file.path}: for okx:BTC-USDT: data_types must name at least one data type"
        " (known: trade, orderbook, ticker, candles)"
    )


# --- a collector that is added at run time ----------------------------------------------------------------------------


def test_a_table_is_resolved_as_in_the_file(fleet_file: FleetFile) -> None:
    text = (
        '[defaults]\nhealth_check_interval = 7.0\n[exchanges.okx]\nrest = "http://127.0.0.1:8000"\nconnects_per_s = 1\n'
    )
    table = {"exchange": "okx", "symbol": "SOL-USDT", "data_types": ["trade"]}

    listed = fleet_file.load(f'{text}[[collectors]]\nexchange = "okx"\nsymbol = "SOL-USDT"\ndata_types = ["trade"]\n')
    assert (fleet_file.load(text).resolve(table),) == listed.collectors


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"symbl": "SOL-USDT"}, "unknown key 'symbl'; did you mean 'symbol'? (known: "),
        (
            {"data_types": ["trad"]},
            "data_types[0] is 'trad'; did you mean 'trade'? (known: trade, orderbook, ticker, candles)",
        ),
        ({"candle_intervals": ["7m"]}, "candle_intervals: OKX has no '7m' (known: 1s, 1m, "),
        ({"exchange": "okex"}, "exchange 'okex' is not supported; did you mean 'okx'? (supported: binance, okx)"),
        ({"symbol": "sol"}, "symbol 'sol' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals"),
        ({"custom_params": {"x": "y"}}, "custom_params: OKX has no parameter 'x'"),
    ],
)
def test_a_table_is_refused_for_the_reason_of_the_file(
    table: dict[str, object], message: str, fleet_file: FleetFile
) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        fleet_file.load(BTC).resolve({"exchange": "okx", "symbol": "SOL-USDT", **table})
    assert str(caught.value).startswith(message)


# --- Redis and its secret ---------------------------------------------------------------------------------------------


def test_the_environment_outranks_the_file(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load('[redis]\nurl = "redis://db/1"', "unix:///run/redis.sock", SECRET)

    assert fleet.redis == RedisConfig(url="unix:///run/redis.sock", password=SECRET)


def test_a_secret_in_the_environments_address_is_taken_out_of_it(fleet_file: FleetFile) -> None:
    assert fleet_file.load("", f"redis://me:{SECRET}@db/1").redis == RedisConfig(url="redis://me@db/1", password=SECRET)


def test_a_password_beside_the_address_outranks_the_one_in_it(fleet_file: FleetFile) -> None:
    assert fleet_file.load("", "redis://:old@db/1", SECRET).redis == RedisConfig(url="redis://db/1", password=SECRET)


def test_a_password_has_a_file_of_its_own_beside_the_fleet_file(fleet_file: FleetFile) -> None:
    secret = fleet_file.path.parent / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)

    fleet = fleet_file.load('[redis]\npassword_file = "secret"')
    assert fleet.redis == RedisConfig(password=SECRET, password_file=str(secret))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_password_that_others_can_read_is_refused(fleet_file: FleetFile, mode: int) -> None:
    secret = fleet_file.path.parent / "secret"
    secret.write_text(SECRET)
    secret.chmod(mode)

    with pytest.raises(InvalidConfigurationError) as caught:
        fleet_file.load('[redis]\npassword_file = "secret"')
    assert str(caught.value) == (
        f"{fleet_file.path}: redis.password_file: {secret} holds a secret"
        f" and others can read it; run: chmod 600 {secret}"
    )


@pytest.mark.parametrize("outranked_by", [None, "redis://db/1"])
def test_a_fleet_file_with_a_secret_that_others_can_read_is_refused(
    fleet_file: FleetFile, outranked_by: str | None
) -> None:
    text, path = f'[redis]\nurl = "redis://:{SECRET}@db/0"', fleet_file.path
    path.touch(mode=0o644)
    with pytest.raises(InvalidConfigurationError) as caught:
        fleet_file.load(text, outranked_by)
    assert str(caught.value) == (
        f"{path}: redis.url: {path} holds a secret and others can read it; run: chmod 600 {path}"
    )

    path.chmod(0o600)
    expected = RedisConfig(url=outranked_by or "redis://db/0", password=None if outranked_by else SECRET)
    assert fleet_file.load(text, outranked_by).redis == expected


def test_the_secret_is_not_in_what_a_fleet_shows(fleet_file: FleetFile) -> None:
    fleet = fleet_file.load(BTC, f"redis://:{SECRET}@db/1")

    assert fleet.redis.password == SECRET
    assert SECRET not in f"{fleet} {fleet!r} {pretty_repr(fleet)}"


TWO = '[[collectors]]\nexchange = "okx"\nsymbol = "A-USDT"\n[[collectors]]\nexchange = "okx"\nsymbol = "B-USDT"\n'
SWAPPED = '[[collectors]]\nexchange = "okx"\nsymbol = "B-USDT"\n[[collectors]]\nexchange = "okx"\nsymbol = "A-USDT"\n'


@pytest.mark.parametrize("text", [SWAPPED, f"# a remark\n{TWO}", f'[redis]\nurl = "redis://:{SECRET}@db/1"\n{TWO}'])
def test_the_same_fleet_has_the_same_fingerprint(fleet_file: FleetFile, text: str) -> None:
    fleet_file.path.touch(mode=0o600)
    assert fleet_file.load(text).fingerprint() == fleet_file.load(TWO).fingerprint()


@pytest.mark.parametrize(
    "text",
    [
        "",
        TWO.replace("B-USDT", "C-USDT"),
        f"{TWO}enabled = false\n",
        f"{TWO}auto_restart = false\n",
        f"[redis.maxlen]\ntrade = 7\n{TWO}",
        f"[defaults]\nmax_backfill_wait = 7.0\n{TWO}",
        f"[exchanges.binance]\nconnects_per_s = 0.5\n{TWO}",
        f"[manager]\nhung_after_s = 20.0\n{TWO}",
    ],
)
def test_another_fleet_has_another_fingerprint(fleet_file: FleetFile, text: str) -> None:
    assert fleet_file.load(text).fingerprint() != fleet_file.load(TWO).fingerprint()
