"""A real fleet of symbols that are more than capital letters: every program, file, key and command takes them."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment, complaints
from tests.support.processes import SimulatorProcess
from tickfleet.contract.identity import CollectorId

pytestmark = pytest.mark.system

CHINESE, SWAP, XPERP = (
    CollectorId("binance", "币安人生-USDT"),
    CollectorId("okx", "BTC-USD_UM-PERP"),
    CollectorId("okx", "BTC-USD_UM_XPERP-310404"),
)
NATIVE = {CHINESE: "币安人生USDT", SWAP: "BTC-USD_UM-SWAP", XPERP: "BTC-USD_UM_XPERP-310404"}


@pytest.fixture
def fleet() -> Iterator[Deployment]:
    okx = SimulatorProcess("--instruments", f"{NATIVE[SWAP]},{NATIVE[XPERP]}", "--trades-per-s", "20")
    binance = SimulatorProcess("--exchange", "binance", "--instruments", NATIVE[CHINESE], "--trades-per-s", "20")
    address = f"127.0.0.1:{binance.port}"
    deployment = Deployment(
        f'{okx.endpoints}[exchanges.binance]\nws_public = "ws://{address}"\nrest = "http://{address}"\n'
        + "".join(f'[[collectors]]\nexchange = "{each.exchange}"\nsymbol = "{each.symbol}"\n' for each in NATIVE)
        + "store_raw_data = true\n"
    )
    try:
        deployment.start()
        deployment.wait_healthy()
        yield deployment
    finally:
        deployment.stop()
        okx.stop()
        binance.stop()


def test_every_program_file_key_and_command_takes_them(fleet: Deployment) -> None:
    assert {str(each): fleet.redis.hget(f"md:v1:{{{each}}}:instrument", "native") for each in NATIVE} == {
        str(each): native for each, native in NATIVE.items()
    }
    for each in NATIVE:
        assert fleet.processes()[each.program].alive
        newest = fleet.cli("tail", str(each), "trade", "--count", "1")
        assert (newest.returncode, newest.stderr) == (0, "")
        assert f'collector="{each}"' in fleet.page("/metrics")[1]

    assert any((fleet.root / "var" / "raw" / "okx" / "BTC-USD_UM_XPERP-310404").iterdir())
    old = fleet.processes()[CHINESE.program].pid
    restarted = fleet.cli("restart", "binance:币*")
    assert (restarted.returncode, complaints(restarted)) == (0, ""), restarted.stdout
    assert fleet.processes()[CHINESE.program].pid not in (0, old)
    assert "feed_connected" in fleet.cli("logs", str(CHINESE)).stdout

    fleet.wait_healthy()  # else status is right to say 1
    fleet.env = {**fleet.env, "PYTHONIOENCODING": "latin-1"}  # a terminal that has no such letters
    for command in ("list", "status", "events"):
        shown = fleet.cli(command)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert r"binance:\u5e01\u5b89\u4eba\u751f-USDT" in shown.stdout
    assert fleet.cli("status", "--json").returncode == 0
