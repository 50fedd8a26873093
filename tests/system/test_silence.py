"""A real fleet that gets no data: one that is stalled, a market that rests, an exchange that is out."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess

pytestmark = pytest.mark.system

BTC, ETH, SOL, RESTS = "okx:BTC-USDT", "okx:ETH-USDT", "okx:SOL-USDT", "binance:BTC-USDT"
OKX = (BTC, ETH, SOL)
FLEET = """\
[defaults]
health_check_interval = 1.0
[manager]
blip_s = 0.5
silent_confirm_s = 5.0
flow_fresh_s = 2.0
outage_settle_s = 5.0
probe_first_s = 5.0
[exchanges.binance]
ws_public = "ws://127.0.0.1:{port}"
rest = "http://127.0.0.1:{port}"
"""


@pytest.fixture(scope="module")
def okx() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--seed", "7", "--trades-per-s", "20")
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def _running(okx: SimulatorProcess) -> Iterator[Deployment]:
    rests = SimulatorProcess("--exchange", "binance", "--trades-per-s", "0", "--books-per-s", "0")
    collectors = (name.split(":") for name in (*OKX, RESTS))
    rows = (f'[[collectors]]\nexchange = "{exchange}"\nsymbol = "{symbol}"\n' for exchange, symbol in collectors)
    deployment = Deployment(FLEET.format(port=rests.port) + okx.endpoints + "".join(rows))
    deployment.start()
    yield deployment
    deployment.stop()
    assert rests.stop() == 0


@pytest.fixture
def fleet(_running: Deployment) -> Deployment:
    """The module's fleet, healthy."""
    _running.wait_healthy()
    return _running


def beat(fleet: Deployment, collector: str) -> dict[str, str]:
    """The heartbeat of a collector."""
    fields: dict[str, str] = fleet.redis.hgetall(f"md:v1:{{{collector}}}:heartbeat")
    return fields


def events(fleet: Deployment, after: str = "-") -> list[dict[str, str]]:
    """The manager's journal, or what it has got since an entry."""
    return [fields for _, fields in fleet.redis.xrange("md:v1:fleet:events", min=after)]


def now(fleet: Deployment) -> str:
    """The place in the journal behind its last entry."""
    return "(" + str(fleet.redis.xrevrange("md:v1:fleet:events", count=1)[0][0])


def verdict(fleet: Deployment, collector: str) -> str:
    """The last verdict in the journal, where ``quiet`` is ``healthy``; a command for each look would cost too much."""
    told = [fields["to"] for fields in events(fleet) if fields["collector"] == collector and "to" in fields]
    return told[-1] if told else ""


def pid(fleet: Deployment, collector: str) -> int:
    """The process that beats."""
    return int(beat(fleet, collector).get("pid", 0))


def all_well(fleet: Deployment) -> None:
    """Wait until every verdict is healthy."""
    wait_until(lambda: {verdict(fleet, name) for name in (*OKX, RESTS)} == {"healthy"}, 20, "all are healthy again")


def trade_ids(fleet: Deployment, collector: str) -> list[int]:
    entries = fleet.redis.xrange(f"md:v1:{{{collector}}}:trade")
    return [int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"]


def test_a_stalled_channel_is_reconnected_then_restarted_nobody_else(fleet: Deployment, okx: SimulatorProcess) -> None:
    before, began, beats = fleet.pids(), now(fleet), list[dict[str, str]]()

    def restarted() -> bool:
        beats.append(beat(fleet, BTC))
        return int(beats[-1].get("pid", 0)) not in (0, before[BTC])

    okx.get("/sim/do/fault?kind=mute_channel&channel=ticker&instrument=BTC-USDT&for_ms=60000")
    try:
        wait_until(restarted, 50, "it is restarted")
    finally:
        okx.get("/sim/do/calm")
    all_well(fleet)
    mute = [seen for seen in beats if seen.get("pid") == str(before[BTC]) and seen.get("mute") == "ticker"]
    assert int(mute[-1]["mute_reconnects"]) >= 1, "the worker's own step comes first"
    assert "silent" in [fields.get("to") for fields in events(fleet, began) if fields.get("collector") == BTC]

    after = fleet.pids()
    assert {name: pid for name, pid in after.items() if name != BTC} == {
        name: pid for name, pid in before.items() if name != BTC
    }
    acted = [fields for fields in events(fleet, began) if fields["what"] == "action"]
    assert {(fields["collector"], fields["action"]) for fields in acted} == {(BTC, "restart")}


def test_an_exchange_that_is_out_is_probed_with_one_collector(fleet: Deployment, okx: SimulatorProcess) -> None:
    before, began = fleet.pids(), now(fleet)

    okx.get("/sim/do/mute?on=1")
    try:
        wait_until(lambda: {verdict(fleet, name) for name in OKX} == {"exchange_outage"}, 30, "okx is out")
        found = {beat(fleet, name).get("rest_look") for name in OKX} - {"none"}  # one may not have looked yet
        told = wait_until(lambda: probes(fleet, began), 20, "one is probed")
        probed = {fields["collector"] for fields in told}
        wait_until(lambda: {name for name in OKX if pid(fleet, name) != before[name]} == probed, 20, "it is restarted")
    finally:
        okx.get("/sim/do/mute?on=0")
    all_well(fleet)

    assert found == {"newer"}
    after = fleet.pids()
    assert {name for name in after if after[name] != before[name]} == probed
    assert len(probed) == 1
    story = [fields["what"] for fields in events(fleet, began) if fields["what"].startswith("outage")]
    assert story == ["outage_began", "outage_probed", "outage_ended"]
    for name in OKX:
        ids = trade_ids(fleet, name)
        assert ids == list(range(ids[0], ids[-1] + 1)), "what was missed is there, once and in order"


def probes(fleet: Deployment, since: str) -> list[dict[str, str]]:
    return [fields for fields in events(fleet, since) if fields["what"] == "outage_probed"]


def test_a_market_that_rests_is_left_alone(fleet: Deployment) -> None:
    wait_until(lambda: beat(fleet, RESTS).get("rest_look") == "nothing_newer", 30, "REST was asked")
    wait_until(lambda: fleet.verdicts()[RESTS] == "quiet", 20, "it is quiet")
    assert beat(fleet, RESTS)["trade_count"] == "0"
    about_it = [fields for fields in events(fleet) if fields["collector"] == RESTS]
    assert [fields["action"] for fields in about_it if fields["what"] == "action"] == ["start"]
