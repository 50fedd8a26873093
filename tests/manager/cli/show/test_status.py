import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.cli.show.fleet_view import FleetView
from manager.cli.show.status import StatusRow, all_well, manager_line, short, summary_line, to_rows
from manager.decide.assess import assess
from manager.model.processes import ProcessState
from manager.model.verdicts import Pulse, Verdict
from manager.report.figures.collectors import Totals
from manager.report.figures.document import Figures
from manager.report.figures.system import SystemFigures
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tickfleet.contract.health import Progress
from tickfleet.contract.identity import DataType

TRADES = config(data_types=(DataType.TRADE,))


def seen(
    found: Pulse, of: ExchangeCollectorConfig = TRADES, state: ProcessState = ProcessState.RUNNING, **facts: str
) -> FleetView:
    processes = {of.id.program: process(of, state=state)}
    judgements = assess([of], {of.id: found}, processes, {}, ManagerSettings())
    return FleetView(at_ns=NOW_NS, judgements=judgements, manager=facts)


def beat(count: int, **changes: object) -> Pulse:
    progress = {DataType.TRADE: Progress(count=count, last_event_at=NOW_NS - 3 * S, silence_limit=30 * S)}
    return pulse(replace(heartbeat(TRADES), progress=progress, **changes))


def test_the_row_of_a_healthy_collector() -> None:
    assert to_rows(seen(beat(12_345, latency_p50_us=1234, latency_p99_us=56_789, reconnects=2))) == [
        StatusRow(
            id="okx:BTC-USDT",
            verdict=Verdict.HEALTHY,
            state="running",
            uptime="10 min",
            throughput="trade 12.3k",
            last_data="3 s",
            latency="1.2/56.8",
            reconnects="2",
            version="0.1.0",
            why="data flows",
        )
    ]


def test_with_an_earlier_look_there_are_rates() -> None:
    before = seen(beat(100, beat_at=NOW_NS - 2 * S))
    assert [row.throughput for row in to_rows(seen(beat(150)), before)] == ["trade 25/s"]
    assert [row.throughput for row in to_rows(seen(beat(150, run_id="run-2")), before)] == ["trade 150"]


def test_without_a_heartbeat_the_row_shows_the_process() -> None:
    assert to_rows(seen(Pulse(), state=ProcessState.FATAL)) == [
        StatusRow(
            id="okx:BTC-USDT",
            verdict=Verdict.DEAD,
            state="fatal",
            why="its process ended within seconds of its start",
        )
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.0k"),
        (99_949, "99.9k"),
        (123_456, "123k"),
        (4_500_000, "4.5M"),
        (2**31, "2.1G"),
    ],
)
def test_short(count: int, text: str) -> None:
    assert short(count) == text


def test_lines() -> None:
    view = seen(Pulse(), state=ProcessState.FATAL, pid="9", state_="x", started_at=str(NOW_NS - 60 * S))
    view = replace(view, manager={**view.manager, "state": "degraded", "last_error": "supervisord is away"})
    assert summary_line(view) == "1 desired, 0 healthy, 1 dead"
    assert manager_line(view) == "manager: degraded, pid 9, up 60 s (supervisord is away)"
    system = SystemFigures(cpu_count=2, manager_cpu_s=1.5, uptime_s=7260.0)
    totals = Totals(
        healthy=0, failed=0, restarted=0, reconnects=0, gaps=0, cpu_percent=0.0, rss_bytes=0, entries_per_s=0.0
    )
    view = replace(view, figures=Figures(at=NOW_NS, totals=totals, system=system, collectors={}))
    assert manager_line(view) == "manager: degraded, pid 9, up 60 s (supervisord is away); supervisord up 2.0 h"
    assert not all_well(view)
    assert all_well(FleetView(at_ns=NOW_NS, judgements=[], manager={}))
