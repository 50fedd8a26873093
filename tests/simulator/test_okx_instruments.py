import pytest

from tests.simulator.okx_instruments import (
    DEFAULT_INSTRUMENTS,
    UnknownInstrumentError,
    describe,
    expiry_ms,
    inst_type,
    parse,
)


@pytest.mark.parametrize("inst_id", ["", "BTC", "btc-usdt", "BTC-USDT-", "BTC-USDT-PERP", "BTC-USD-270231", "A-B-C-D"])
def test_other_forms_are_refused(inst_id: str) -> None:
    with pytest.raises(UnknownInstrumentError):
        parse(inst_id)


@pytest.mark.parametrize("inst_id", [*DEFAULT_INSTRUMENTS.split(","), "XYZ-USDC", "BTC-USDT-SWAP", "BTC-USD-270326"])
def test_ids_are_kept(inst_id: str) -> None:
    assert parse(inst_id).name == inst_id


def test_expiry_is_eight_in_the_morning() -> None:
    assert expiry_ms("BTC-USD-270326") == 1_806_048_000_000


def _facts(inst_id: str) -> dict[str, object]:
    row = describe(parse(inst_id), "live")
    assert row.pop("instIdCode") == sum(inst_id.encode())
    return {name: value for name, value in row.items() if value not in ("", [])}


_COMMON = {"listTime": "1611907686000", "ruleType": "normal", "state": "live"}


def test_spot_row() -> None:
    assert inst_type("BTC-USDT") == "SPOT"
    assert _facts("BTC-USDT") == {
        **_COMMON,
        "instType": "SPOT",
        "instId": "BTC-USDT",
        "baseCcy": "BTC",
        "quoteCcy": "USDT",
        "tickSz": "0.1",
        "lotSz": "0.00000001",
        "minSz": "0.00001",
    }


def test_linear_swap_row() -> None:
    assert _facts("BTC-USDT-SWAP") == {
        **_COMMON,
        "instType": "SWAP",
        "instId": "BTC-USDT-SWAP",
        "instFamily": "BTC-USDT",
        "uly": "BTC-USDT",
        "settleCcy": "USDT",
        "ctVal": "0.01",
        "ctMult": "1",
        "ctValCcy": "BTC",
        "ctType": "linear",
        "tickSz": "0.1",
        "lotSz": "0.01",
        "minSz": "0.01",
    }


@pytest.mark.parametrize("inst_id", ["BTC-USD_UM-SWAP", "BTC-USD_UM_XPERP-310404"])
def test_several_families_have_one_index(inst_id: str) -> None:
    family = inst_id.rpartition("-")[0]
    told = _facts(inst_id)
    assert (told["instFamily"], told["uly"], told["settleCcy"], told["ctType"]) == (family, "BTC-USD", "USD", "linear")


def test_inverse_future_row() -> None:
    assert _facts("BTC-USD-270326") == {
        **_COMMON,
        "instType": "FUTURES",
        "instId": "BTC-USD-270326",
        "instFamily": "BTC-USD",
        "uly": "BTC-USD",
        "settleCcy": "BTC",
        "ctVal": "100",
        "ctMult": "1",
        "ctValCcy": "USD",
        "ctType": "inverse",
        "tickSz": "0.1",
        "lotSz": "1",
        "minSz": "1",
        "expTime": "1806048000000",
    }
