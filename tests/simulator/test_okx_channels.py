import pytest

from tests.simulator.okx_channels import BUSINESS, PUBLIC, Arg, canonical, refusal

_BTC = "BTC-USDT"


def _code(path: str, arg: Arg) -> str | None:
    reason = refusal(path, arg, lambda inst_id: inst_id == _BTC)
    return reason[0] if reason else None


@pytest.mark.parametrize("channel", ["tickers", "trades", "books", "books5", "bbo-tbt", "funding-rate", "mark-price"])
def test_channels_of_the_public_path(channel: str) -> None:
    assert _code(PUBLIC, Arg(channel, inst_id=_BTC)) is None
    assert _code(BUSINESS, Arg(channel, inst_id=_BTC)) == "64001"


@pytest.mark.parametrize("channel", ["trades-all", "candle1s", "candle1m", "candle1Dutc", "mark-price-candle1m"])
def test_channels_of_the_business_path(channel: str) -> None:
    assert _code(BUSINESS, Arg(channel, inst_id=_BTC)) is None
    assert _code(PUBLIC, Arg(channel, inst_id=_BTC)) == "64001"


@pytest.mark.parametrize(
    ("arg", "code"),
    [
        (Arg("trades", inst_id="NO-SUCH"), "60018"),
        (Arg("trades", inst_id="btc-usdt"), "60018"),
        (Arg("trades"), "60018"),
        (Arg("nonsense", inst_id=_BTC), "60018"),
        (Arg("candle1min", inst_id=_BTC), "60018"),
        (Arg("candle1h", inst_id=_BTC), "60018"),
        (Arg("books-l2-tbt", inst_id=_BTC), "60011"),
        (Arg("books50-l2-tbt", inst_id=_BTC), "60011"),
        (Arg("trades", uly=_BTC), "64000"),
        (Arg("instruments", inst_type="SPOT"), None),
        (Arg("instruments", inst_type="spot"), "60018"),
        (Arg("instruments"), "60018"),
        (Arg("status"), None),
    ],
)
def test_refusals_on_public(arg: Arg, code: str | None) -> None:
    assert _code(PUBLIC, arg) == code


def test_canonical_arg_has_no_superfluous_members() -> None:
    assert canonical(Arg("trades", inst_id=_BTC, inst_type="SPOT")) == Arg("trades", inst_id=_BTC)
    assert canonical(Arg("status", inst_id=_BTC)) == Arg("status")
    assert canonical(Arg("instruments", inst_type="SPOT")) == Arg("instruments", inst_type="SPOT")
