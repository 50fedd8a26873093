from datetime import date

import pytest
from msgspec.structs import astuple

from common.config.exchanges import PROFILES, Endpoints, Rate, profile
from tickfleet.contract.exchanges import ASSETS
from tickfleet.contract.identity import DataType, ProductKind
from tickfleet.contract.intervals import INTERVAL_S
from tickfleet.errors import ExchangeNotSupportedError


def test_okx() -> None:
    okx = profile("okx")

    assert okx.name == "OKX"
    assert okx.endpoints == Endpoints(
        ws_public="wss://ws.okx.com/ws/v5/public",
        ws_business="wss://ws.okx.com/ws/v5/business",
        rest="https://www.okx.com",
    )
    assert okx.data_types == tuple(DataType)
    assert okx.custom_params == {
        "trade_channel": ("trades-all", "trades"),
        "book_channel": ("books", "books5", "bbo-tbt"),
    }


def test_what_they_trade() -> None:
    assert {name: known.kinds for name, known in PROFILES.items()} == {
        "binance": (ProductKind.SPOT,),
        "okx": tuple(ProductKind),
    }


def test_how_they_spell_assets() -> None:
    names = ("BTC", "USD_UM", "BRK.B", "币安人生", "жук", "kPEPE", "B/C", "A" * 21)
    assert {name: [each for each in names if known.assets.admits(each)] for name, known in PROFILES.items()} == {
        "binance": ["BTC", "USD_UM", "BRK.B", "币安人生", "жук"],
        "okx": ["BTC", "USD_UM", "BRK.B", "币安人生"],
    }
    assert {name: known.assets for name, known in PROFILES.items()} == ASSETS


@pytest.mark.parametrize(
    ("name", "region"), [(name, each) for name, known in PROFILES.items() for each in known.regions]
)
def test_an_address_says_when_it_was_checked_and_against_what(name: str, region: str) -> None:
    found = PROFILES[name].region(region)
    date.fromisoformat(f"{found.checked}-01")
    assert found.source.startswith("https://")
    assert [bool(each) for each in astuple(found.endpoints)] == [
        bool(each) for each in astuple(PROFILES[name].endpoints)
    ]
    assert ":8443" not in str(found)  # closed by OKX on 2026-10-31


def test_the_regions_of_okx() -> None:
    assert {name: region.endpoints for name, region in profile("okx").regions.items()} == {
        "global": profile("okx").endpoints,
        "eea": Endpoints(
            ws_public="wss://wseea.okx.com/ws/v5/public",
            ws_business="wss://wseea.okx.com/ws/v5/business",
            rest="https://eea.okx.com",
        ),
        "us": Endpoints(
            ws_public="wss://wsus.okx.com/ws/v5/public",
            ws_business="wss://wsus.okx.com/ws/v5/business",
            rest="https://us.okx.com",
        ),
    }


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_whole(name: str) -> None:
    known = PROFILES[name]

    assert known.data_types
    assert set(known.candle_intervals) <= set(INTERVAL_S)
    assert all(known.custom_params.values())
    assert known.rest_unit
    assert known.endpoints.rest.startswith("https://")
    assert known.endpoints.ws_public.startswith("wss://")


@pytest.mark.parametrize(
    ("name", "kind", "window_s", "stated"),
    [
        ("binance", "connect", 300, 300),  # attempts in 5 minutes
        ("binance", "rest", 60, 6_000),  # weight a minute
        ("okx", "connect", 1, 3),  # a second
        ("okx", "rest", 2, 20),  # calls in 2 s: history-trades, instruments
    ],
)
def test_what_comes_in_any_window_is_what_the_exchange_states_or_less(
    name: str, kind: str, window_s: float, stated: float
) -> None:
    rate: Rate = getattr(PROFILES[name].limits, kind)

    assert rate.burst + rate.per_s * window_s < stated + 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("okex", "exchange 'okex' is not supported; did you mean 'okx'? (supported: okx)"),
        ("OKX", "exchange 'OKX' is not supported; did you mean 'okx'? (supported: okx)"),
        ("invalid", "exchange 'invalid' is not supported (supported: okx)"),
    ],
)
def test_an_exchange_that_we_do_not_speak(name: str, message: str) -> None:
    with pytest.raises(ExchangeNotSupportedError) as caught:
        profile(name)
    assert str(caught.value) == message.replace("(supported: okx)", f"(supported: {', '.join(sorted(PROFILES))})")
