import msgspec
import pytest

from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.document import Figures, read_figures
from manager.report.figures.forecast import MemoryForecast, StreamForecast
from manager.report.figures.system import SystemFigures

STREAM = StreamForecast(key="k", kind="trade", entries=1, maxlen=9, bytes=100, full_bytes=900, full_in_s=1.5)
FIGURES = Figures(
    at=7,
    totals=Totals(
        healthy=1, failed=0, restarted=2, reconnects=3, gaps=4, cpu_percent=0.5, rss_bytes=6, entries_per_s=7.0
    ),
    system=SystemFigures(cpu_count=2, manager_cpu_s=0.0, load_1m=0.0, disk_free_bytes=5),
    collectors={"okx:BTC-USDT": CollectorFigures(restarts=2, entries_per_s={"trade": 7.0}, streams=[STREAM])},
    memory=MemoryForecast(streams_bytes=1, streams_full_bytes=2, redis_full_bytes=3, measured=1, streams=1),
)


def test_what_is_written_is_read() -> None:
    assert read_figures(msgspec.json.encode(FIGURES).decode()) == FIGURES


def test_what_is_not_known_is_absent_and_a_zero_is_not() -> None:
    assert msgspec.to_builtins(FIGURES.system) == {
        "cpu_count": 2,
        "load_1m": 0.0,
        "disk_free_bytes": 5,
        "manager_cpu_s": 0.0,
    }


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"at":"x"}', ResourceWarning()])
def test_what_is_no_document_is_none(text: object) -> None:
    assert read_figures(text) is None
