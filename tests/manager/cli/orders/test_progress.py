import pytest
from msgspec.structs import replace

from manager.cli.orders.progress import WaitMessages, reason
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Pulse
from tests.manager.fakes import NOW_NS, config, heartbeat
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId

BTC, ETH = (CollectorId("okx", symbol) for symbol in ("BTC-USDT", "ETH-USDT"))
RUNNING = Process(program="collector-okx-BTC-USDT", state=ProcessState.RUNNING, pid=7)
BEAT = heartbeat(config(), NOW_NS, pid=7, state=WorkerState.CONNECTING)


@pytest.mark.parametrize(
    ("process", "pulse", "expected"),
    [
        (None, Pulse(), "supervisord does not know its program yet"),
        (RUNNING, Pulse(), "running, no heartbeat yet"),
        (replace(RUNNING, pid=8), Pulse(heartbeat=BEAT), "running, no heartbeat yet"),
        (
            Process(program="collector-okx-BTC-USDT", state=ProcessState.STOPPED, pid=0),
            Pulse(heartbeat=BEAT),
            "stopped",
        ),
        (RUNNING, Pulse(heartbeat=BEAT), "connecting"),
        (RUNNING, Pulse(heartbeat=replace(BEAT, last_error="no such\nname")), "connecting: no such name"),
    ],
)
def test_the_reason_is_the_state_and_its_error(process: Process | None, pulse: Pulse, expected: str) -> None:
    assert reason(process, pulse) == expected


def test_nothing_is_said_at_first_nor_twice_nor_too_often() -> None:
    patience, stopping, connecting = WaitMessages(100.0), {BTC: "stopping", ETH: "x"}, {BTC: "connecting"}
    assert [
        patience.line(104.9, stopping),
        patience.line(105.0, stopping),
        patience.line(109.0, connecting),
        patience.line(110.0, connecting),
        patience.line(120.0, connecting),
        patience.line(130.0, {}),
    ] == ["", f"waiting for {BTC} (and 1 more): stopping", "", f"waiting for {BTC}: connecting", "", ""]
