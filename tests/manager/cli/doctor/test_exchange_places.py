from pathlib import Path

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.exchanges import Endpoints
from common.config.fleet_file import load_fleet
from manager.cli.doctor.exchange_places import Place, is_own, others, places
from tickfleet.contract.identity import DataType


def config(exchange: str = "okx", symbol: str = "BTC-USDT", **endpoints: str) -> ExchangeCollectorConfig:
    return ExchangeCollectorConfig(exchange, symbol, (DataType.TRADE,), endpoints=Endpoints(**endpoints))


def place(
    url: str, field: str = "ws_public", exchange: str = "okx", probe: str = "", *, by_file: bool = False
) -> Place:
    return Place(exchange=exchange, field=field, url=url, probe=probe, set_by_file=by_file)


def test_addresses_are_named_once_and_the_fleet_files_own_come_first() -> None:
    collectors = [config(rest="http://127.0.0.1:1/x"), config("binance")]
    assert places([*collectors, replace(collectors[0], symbol="ETH-USDT")]) == [
        place("wss://ws.okx.com/ws/v5/public"),
        place("wss://ws.okx.com/ws/v5/business", "ws_business"),
        place("http://127.0.0.1:1/x", "rest", probe="/api/v5/public/time", by_file=True),
        place("wss://stream.binance.com:9443", exchange="binance", probe="/stream"),
        place("https://api.binance.com", "rest", "binance", "/api/v3/time"),
    ]


@pytest.mark.parametrize(
    ("failed", "settings"),
    [
        (
            place("wss://ws.okx.com:8443/ws/v5/public"),  # as fleet files had it before the port was closed
            ['ws_public = "wss://ws.okx.com/ws/v5/public"', 'region = "eea"', 'region = "us"'],
        ),
        (place("https://www.okx.com", "rest"), ['region = "eea"', 'region = "us"']),
        (place("wss://wsus.okx.com/ws/v5/public"), ['region = "global"', 'region = "eea"']),
        (
            place("wss://stream.binance.com:9443", exchange="binance"),
            ['ws_public = "wss://stream.binance.com:443"', 'ws_public = "wss://data-stream.binance.vision"'],
        ),
        (
            place("https://api.binance.com", "rest", "binance"),
            ['rest = "https://api-gcp.binance.com"'],
        ),
        (place("wss://proxy.example.com/ws/v5/public"), []),
    ],
    ids=["closed port", "rest", "region", "other port", "other host", "proxy"],
)
def test_what_could_take_the_place_of_an_address(failed: Place, settings: list[str]) -> None:
    assert [other.setting for other in others(failed)] == settings
    assert is_own(failed) == bool(settings)


WS_PUBLIC = 'ws_public = "{}"'


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        ("", ['region = "eea"', 'region = "us"']),
        ('region = "eea"', ['region = "global" and no ws_public', 'region = "us" and no ws_public']),
        (
            WS_PUBLIC.format("wss://ws.okx.com/ws/v5/public"),  # the usual one, spelt out
            ['region = "eea" and no ws_public', 'region = "us" and no ws_public'],
        ),
        (
            WS_PUBLIC.format("wss://wspap.okx.com/ws/v5/public"),
            [WS_PUBLIC.format(f"wss://{host}.okx.com/ws/v5/public") for host in ("ws", "wseea", "wsus")],
        ),
        (
            'region = "us"\n' + WS_PUBLIC.format("wss://wseea.okx.com:8443/ws/v5/public"),
            [WS_PUBLIC.format(f"wss://{host}.okx.com/ws/v5/public") for host in ("wseea", "ws", "wsus")],
        ),
    ],
    ids=["nothing", "region", "the usual one", "another host", "another port"],
)
def test_what_is_proposed_leads_there(tmp_path: Path, table: str, settings: list[str]) -> None:
    def used(lines: str) -> Place:
        path = tmp_path / "fleet.toml"
        path.write_text(f'[exchanges.okx]\n{lines}\n[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
        path.chmod(0o600)
        return places(load_fleet(path, Environment(root=tmp_path, fleet_path=path)).collectors)[0]

    proposed = others(used(table))
    assert [other.setting for other in proposed] == settings
    for other in proposed:
        written, _, without = other.setting.partition(" and no ")
        names = {written.partition(" ")[0], without}
        kept = [line for line in table.splitlines() if line.partition(" ")[0] not in names]
        assert used("\n".join([*kept, written])).url == other.place.url


def test_an_address_is_shown_without_what_may_be_a_secret() -> None:
    found = place("wss://x.example.com/a?token=hunter2")
    assert (found.shown, found.port, found.tls) == ("wss://x.example.com/a", 443, True)
    assert (place("ws://x:81").port, place("http://x", "rest").port, place("http://x", "rest").tls) == (81, 80, False)
