import pytest

from common.errors import ExchangeNotSupportedError
from common.exchanges import PROFILES, Endpoints, profile
from common.identity import DataType
from common.intervals import INTERVAL_S


def test_okx() -> None:
    okx = profile("okx")

    assert okx.name == "OKX"
    assert okx.endpoints == Endpoints(
        ws_public="wss://ws.okx.com:8443/ws/v5/public",
        ws_business="wss://ws.okx.com:8443/ws/v5/business",
        rest="https://www.okx.com",
    )
    assert okx.data_types == tuple(DataType)
    assert okx.custom_params == {
        "trade_channel": ("trades-all", "trades"),
        "book_channel": ("books", "books5", "bbo-tbt"),
    }


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_whole(name: str) -> None:
    known = PROFILES[name]

    assert known.data_types
    assert set(known.candle_intervals) <= set(INTERVAL_S)
    assert all(known.custom_params.values())
    assert known.endpoints.rest.startswith("https://")
    assert known.endpoints.ws_public.startswith("wss://")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("okex", "exchange 'okex' is not supported; did you mean 'okx'? (supported: okx)"),
        ("OKX", "exchange 'OKX' is not supported (supported: okx)"),
        ("invalid", "exchange 'invalid' is not supported (supported: okx)"),
    ],
)
def test_an_exchange_that_we_do_not_speak(name: str, message: str) -> None:
    with pytest.raises(ExchangeNotSupportedError) as caught:
        profile(name)
    assert str(caught.value) == message.replace("(supported: okx)", f"(supported: {', '.join(sorted(PROFILES))})")
